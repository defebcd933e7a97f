import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_jax.errors import UserError
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Examples,
    Facts,
    Model,
    Params,
    Quantity,
    Shape,
)
from vae_jax.weights import checked_batch

LOG_P_EXACT = Quantity(
    NATS,
    "the model's own density, exactly: it is linear-Gaussian",
    better="higher",
    label="log p(x), exact",
)


def exact() -> Estimator:
    """log p(x) of a linear-Gaussian model, exactly (Tipping & Bishop 1999); `log_p_exact`.

    It is refused for a prior or a decoder that is not normal, and a decoder that is not affine.
    """

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        shape = batch.x.shape[1:]
        density = _marginal(*_read_off(model, params, shape))
        return {"log_p_exact": density.log_prob(batch.x.reshape(len(batch.x), -1))}

    return Estimator(of_examples, {"log_p_exact": LOG_P_EXACT}, _require)


def _require(facts: Facts) -> None:
    if facts.are_known:
        with jax.ensure_compile_time_eval():
            _require_affine(facts.model, facts.params, facts.x_shape)
    else:
        _normal(facts.prior, "prior")
        _normal(facts.likelihood, "decoder")


def marginal(model: Model, params: Params, x_shape: Shape) -> Distribution:
    """p(x) of a linear-Gaussian model, event `[prod(x_shape)]`: N(W m + b, W P W' + S).

    For a prior N(m, P) and a decoder N(Wz + b, S), P and S diagonal (Tipping & Bishop 1999). W and
    b are read off the decoder, which is checked to be affine.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is evaluated.
        x_shape: of an example.

    Raises:
        UserError: if the prior or the decoder is not normal, or the decoder is not affine.
    """
    with jax.ensure_compile_time_eval():
        return _marginal(*_require_affine(model, params, x_shape))


def _marginal(W: Array, b: Array, variance: Array, prior: Normal) -> Distribution:
    covariance = (W * prior.scale**2) @ W.T + jnp.diag(variance)
    return MultivariateNormal(W @ prior.loc + b, covariance)


def exact_posterior(model: Model, params: Params, example: Examples) -> Distribution:
    """p(z | x) of a linear-Gaussian model: N(m + G (x - W m - b), (P^-1 + W' S^-1 W)^-1).

    G is the covariance times W' S^-1.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is evaluated.
        example: one, a `Batch` or x `[*x_shape]`.

    Raises:
        UserError: as `marginal` does.
    """
    x = checked_batch(model, example).x
    with jax.ensure_compile_time_eval():
        W, b, variance, prior = _require_affine(model, params, x.shape)
    precision = jnp.diag(prior.scale**-2) + (W.T / variance) @ W
    residual = x.reshape(-1) - W @ prior.loc - b
    loc = prior.loc + jnp.linalg.solve(precision, (W.T / variance) @ residual)
    return MultivariateNormal(loc, precision_matrix=precision)


Affine = tuple[Array, Array, Array, Normal]  # W [d, latent_dim], b [d], diag(S) [d], p(z_j)


def _read_off(model: Model, params: Params, shape: Shape) -> Affine:
    """The decoder's value and its slopes at z = 0."""
    prior = _normal(model.prior(params), "prior")
    zero = jnp.zeros(prior.loc.shape)
    W = jax.jacfwd(lambda z: _decoder(model, params, shape, z)[0])(zero)
    return W, *_decoder(model, params, shape, zero), prior


def _decoder(model: Model, params: Params, shape: Shape, z: Array) -> tuple[Array, Array]:
    """Mean and variance of p(x | z), `[d]`."""
    normal, d = _normal(model.decode(params, z), "decoder"), int(np.prod(shape))
    return normal.loc.reshape(d), jnp.broadcast_to(normal.scale, shape).reshape(d) ** 2


def _require_affine(model: Model, params: Params, shape: Shape) -> Affine:
    """The result of `_read_off`, if the decoder agrees with it at four other z."""
    zero = jnp.zeros(_normal(model.prior(params), "prior").loc.shape)
    jax.eval_shape(lambda z: _decoder(model, params, shape, z), zero)  # before anything is computed

    @jax.jit
    def read_off_and_check(params: Params, z: Array) -> tuple[Affine, Array]:
        W, b, variance, prior = _read_off(model, params, shape)
        loc, other = jax.vmap(lambda z: _decoder(model, params, shape, z))(z)
        most = 1e-3 * jnp.sqrt(variance) + 1e-5 * jnp.abs(loc)
        affine = (jnp.abs(loc - z @ W.T - b) <= most).all()
        same = jnp.allclose(other, variance, rtol=1e-3, atol=0.0)
        return (W, b, variance, prior), affine & same

    z = 3 * jax.random.normal(jax.random.key(0), (4, *zero.shape))
    affine, holds = read_off_and_check(params, z)
    if not holds:
        raise UserError("the exact log p(x) needs an affine decoder and one scale for all z")
    return affine


def _normal(distribution: Distribution, part: str) -> Normal:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Normal):
        raise UserError(f"the exact log p(x) needs a normal {part}, not {type(base).__name__}")
    return base
