import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_jax.errors import UserError
from vae_jax.types import Array, Model, Params


def exact(model: Model, params: Params, shape: tuple[int, ...]) -> Distribution:
    """p(x) of a linear-Gaussian model, `[prod(x_shape)]`: N(W m + b, W P W' + S).

    For a prior N(m, P) and a decoder N(Wz + b, S), P and S diagonal (Tipping & Bishop 1999). W and
    b are read off the decoder, which is checked to be affine.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is looked at.
        shape: x_shape.

    Raises:
        UserError: if the prior or the decoder is not normal, or the decoder is not affine.
    """
    with jax.ensure_compile_time_eval():
        W, b, variance, prior = _read_off(model, params, shape)
    covariance = (W * prior.scale**2) @ W.T + jnp.diag(variance)
    return MultivariateNormal(W @ prior.loc + b, covariance)


def exact_posterior(model: Model, params: Params, x: Array) -> Distribution:
    """p(z | x) of a linear-Gaussian model: N(m + G (x - W m - b), (P^-1 + W' S^-1 W)^-1).

    G is the covariance times W' S^-1.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is looked at.
        x: one example, `[*x_shape]`.

    Raises:
        UserError: as `exact` does.
    """
    with jax.ensure_compile_time_eval():
        W, b, variance, prior = _read_off(model, params, x.shape)
    precision = jnp.diag(prior.scale**-2) + (W.T / variance) @ W
    residual = x.reshape(-1) - W @ prior.loc - b
    loc = prior.loc + jnp.linalg.solve(precision, (W.T / variance) @ residual)
    return MultivariateNormal(loc, precision_matrix=precision)


def _read_off(
    model: Model, params: Params, shape: tuple[int, ...]
) -> tuple[Array, Array, Array, Normal]:
    """W `[d, latent_dim]`, b `[d]`, the diagonal of S `[d]`, and the prior's factors."""
    prior = _normal(model.prior(params), "prior")

    def decoder(z: Array) -> tuple[Array, Array]:
        normal = _normal(model.decode(params, z), "decoder")
        d = int(np.prod(shape))
        return normal.loc.reshape(d), jnp.broadcast_to(normal.scale, shape).reshape(d) ** 2

    zero = jnp.zeros(prior.loc.shape)
    jax.eval_shape(decoder, zero)  # whether it is normal at all, before anything is computed
    (b, variance), W = decoder(zero), jax.jacfwd(lambda z: decoder(z)[0])(zero)
    for z in 3 * jax.random.normal(jax.random.key(0), (4, *zero.shape)):
        loc, other = decoder(z)
        affine = (jnp.abs(loc - W @ z - b) <= 1e-3 * jnp.sqrt(variance) + 1e-5 * jnp.abs(loc)).all()
        if not (affine and jnp.allclose(other, variance, rtol=1e-3, atol=0.0)):
            raise UserError("the exact log p(x) needs an affine decoder and one scale for all z")
    return W, b, variance, prior


def _normal(distribution: Distribution, part: str) -> Normal:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Normal):
        raise UserError(f"the exact log p(x) needs a normal {part}, not {type(base).__name__}")
    return base
