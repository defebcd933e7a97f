from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_jax.distributions.chain import Chain
from vae_jax.distributions.markov_chain import MarkovChain
from vae_jax.errors import UserError
from vae_jax.estimators._affine import AFFINE, CONSTANT, kinds
from vae_jax.model import fixed
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

LARGEST = 4096  # latent numbers: the slopes of each are held
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
        if batch.given is None and batch.observed is None:
            density = _marginal(_read_off(model, params, shape))
            log_p = density.log_prob(batch.x.reshape(len(batch.x), -1))
        else:
            log_p = jax.vmap(partial(_of_one, model, params))(batch)
        return {"log_p_exact": log_p, "log_p_exact_error": jnp.zeros_like(log_p)}

    return Estimator(of_examples, {"log_p_exact": LOG_P_EXACT}, _require)


def _of_one(model: Model, params: Params, one: Batch) -> Array:
    """log p(x_observed | y) of one example, nats `[]`."""
    at = model if one.given is None else fixed(model, one.given)
    return log_prob_observed(_marginal(_read_off(at, params, one.x.shape)), one)


def log_prob_observed(density: MultivariateNormal, one: Batch) -> Array:
    """log of the density of the elements that were observed, the others integrated out, nats `[]`.

    Those get a variance of 1, no covariance and no distance, and each takes log(2 pi) / 2 away.
    """
    x = one.x.reshape(-1)
    seen = jnp.ones(x.shape, bool) if one.observed is None else one.observed.reshape(-1)
    covariance = jnp.where(seen[:, None] & seen, density.covariance_matrix, jnp.eye(x.size))
    away = jnp.where(seen, x - density.loc, 0.0)
    log_p = MultivariateNormal(jnp.zeros(x.size), covariance).log_prob(away)
    return log_p + 0.5 * jnp.log(2 * jnp.pi) * (~seen).sum()


def _require(facts: Facts) -> None:
    if (size := facts.prior.event_shape[0]) > LARGEST:
        raise UserError(
            f"the exact log p(x) is of at most {LARGEST:,} latent numbers, not {size:,}"
        )
    model = facts.model
    if model.given_shape is not None:  # what it is given moves the mean, and the prior's scale
        model = fixed(model, jnp.zeros(model.given_shape))
    if facts.are_known:
        with jax.ensure_compile_time_eval():
            _require_affine(model, facts.params, facts.x_shape)
    else:
        noise = jax.ShapeDtypeStruct(facts.prior.event_shape, jnp.float32)
        jax.eval_shape(lambda params, e: _pushed(model.prior(params), e), facts.params, noise)
        _normal(facts.likelihood, "decoder")


def marginal(model: Model, params: Params, x_shape: Shape) -> Distribution:
    """p(x) of a linear-Gaussian model, event `[prod(x_shape)]`: N(b, W W' + S).

    x = b + W e + S^1/2 e', where standard normal noise e makes z of a normal prior, or of one whose
    layers are normals with affine means (Tipping & Bishop 1999). W and b are read off the program,
    which is proved to be affine in e.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is evaluated.
        x_shape: of an example.

    Raises:
        UserError: if the prior or the decoder is not normal, or the decoder is not affine.
    """
    with jax.ensure_compile_time_eval():
        return _marginal(_require_affine(model, params, x_shape))


def _marginal(affine: "Affine") -> Distribution:
    covariance = affine.W @ affine.W.T + jnp.diag(affine.variance)
    return MultivariateNormal(affine.b, covariance)


def exact_posterior(model: Model, params: Params, example: Examples) -> Distribution:
    """p(z | x) of a linear-Gaussian model, the normal of z = m + A e given x.

    e | x ~ N(C W' S^-1 (x - b), C), C = (I + W' S^-1 W)^-1.

    Args:
        model: the model.
        params: its parameters, no tracers: the decoder is evaluated.
        example: one, a `Batch` or x `[*x_shape]`.

    Raises:
        UserError: as `marginal` does.
    """
    batch = checked_batch(model, example)
    if batch.given is not None:
        model = fixed(model, batch.given)
    if batch.observed is not None:
        raise UserError("the exact p(z | x) is of x without missing values")
    x = batch.x
    with jax.ensure_compile_time_eval():
        W, b, variance, A, m = _require_affine(model, params, x.shape)
    precision = jnp.eye(len(m)) + (W.T / variance) @ W
    loc = jnp.linalg.solve(precision, (W.T / variance) @ (x.reshape(-1) - b))
    return MultivariateNormal(m + A @ loc, A @ jnp.linalg.solve(precision, A.T))


class Affine(NamedTuple):
    """z = m + A e and x = b + W e + S^1/2 e', e and e' of N(0, I)."""

    W: Array  # [d, latent_dim]
    b: Array  # [d]
    variance: Array  # diag(S), [d]
    A: Array  # [latent_dim, latent_dim]
    m: Array  # [latent_dim]


def _read_off(model: Model, params: Params, shape: Shape) -> Affine:
    """z and the decoder's mean where the noise is 0, and their slopes there."""
    zero = jnp.zeros(model.prior(params).event_shape)

    def along(noise: Array) -> tuple[Array, Array]:
        z = _pushed(model.prior(params), noise)
        return z, _decoder(model, params, shape, z)[0]

    (m, b), (A, W) = along(zero), jax.jacfwd(along)(zero)
    return Affine(W, b, _decoder(model, params, shape, m)[1], A, m)


def _pushed(prior: Distribution, noise: Array) -> Array:
    """z of a normal prior, or one of normal layers, made of standard normal noise."""
    if isinstance(prior, MarkovChain):
        return _pushed_down(prior, noise)
    if not isinstance(prior, Chain):
        return _moved(prior, noise)
    parts, drawn = prior.split(noise), dict[int, Array]()
    for layer in prior.order:
        drawn[layer] = _moved(prior.conditional(layer, list(drawn.values())), parts[layer])
    return jnp.concatenate([drawn[layer] for layer in sorted(drawn)])


def _pushed_down(prior: MarkovChain, noise: Array) -> Array:
    parts = prior.stacked(noise)

    def step(above: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        z = _moved(prior.below(now[0], above), now[1])
        return z, z

    top = _moved(prior.first, parts[0])
    _, others = jax.lax.scan(step, top, (jnp.arange(1, len(parts)), parts[1:]))
    return prior.joined(jnp.concatenate([top[None], others]))


def _moved(distribution: Distribution, noise: Array) -> Array:
    normal = _normal(distribution, "prior")
    return normal.loc + normal.scale * noise


def _decoder(model: Model, params: Params, shape: Shape, z: Array) -> tuple[Array, Array]:
    """Mean and variance of p(x | z), `[d]`."""
    normal, d = _normal(model.decode(params, z), "decoder"), int(np.prod(shape))
    return normal.loc.reshape(d), jnp.broadcast_to(normal.scale, shape).reshape(d) ** 2


def _require_affine(model: Model, params: Params, shape: Shape) -> Affine:
    """The result of `_read_off`, if the program of x is affine in the noise."""

    def at(params: Params, noise: Array) -> tuple[Array, Array]:
        return _decoder(model, params, shape, _pushed(model.prior(params), noise))

    zero = jnp.zeros(model.prior(params).event_shape)
    jax.eval_shape(at, params, zero)  # before anything is computed

    loc, variance = kinds(lambda noise: at(params, noise), zero)
    if loc > AFFINE or variance > CONSTANT:
        layers = " and layers" if isinstance(model.prior(params), Chain) else ""
        needed = f"an affine decoder{layers} and one scale for all z"
        raise UserError(f"the exact log p(x) needs {needed}")
    return jax.jit(lambda params: _read_off(model, params, shape))(params)


def _normal(distribution: Distribution, part: str) -> Normal:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Normal):
        raise UserError(f"the exact log p(x) needs a normal {part}, not {type(base).__name__}")
    return base
