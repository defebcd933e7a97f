from typing import Any

import jax.numpy as jnp
from numpyro.distributions import Distribution, TransformedDistribution

from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.kl_estimators._draws import at_least_one, log_ratio, mean_and_error
from vae_jax.types import Array, Estimate

DRAWS_PER_COEFFICIENT = 2  # in each half; with fewer the fit costs more than it saves


def control_variate(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[log q - log p - b'h], E_q[h] = 0 (Lavenberg & Welch 1981), b by least squares.

    h holds (z_j - m_j) / s_j and (z_j - m_j)^2 / s_j^2 - 1 for every dimension j, m and s^2 the
    moments of q; where q is a flow, those of its base. The b of each half of the draws is fitted to
    the other half (cross-fitting), so that the estimate is unbiased. Its variance is (1 - R^2) of
    that of `plain`, R^2 the share of the log ratio's variance that h explains, times about
    1 + 2 C / (K - 2 C) for the C = 2 D + 1 fitted coefficients. It is 0 for two normals with
    diagonal covariance, whose log ratio is a quadratic.

    With fewer than 4 C draws it is `plain`. Moments that are infinite are left out.

    Args:
        key: one key.
        q: what is drawn from, and its batch axes `[...]`; it needs a mean and a variance.
        p: of the same event shape.
        num_samples: K, draws.

    Returns:
        nats, `[...]`; the standard error is that of the two halves' residuals, NaN for K = 1.

    Raises:
        UserError: if q's mean or variance is not known.
    """
    z, intermediates = q.sample_with_intermediates(key, (at_least_one(num_samples),))
    values = log_ratio(q, p, z, intermediates)
    h = _controls(q, z, intermediates)
    if num_samples < 2 * DRAWS_PER_COEFFICIENT * (1 + h.shape[-1]):
        return mean_and_error(values)
    middle = num_samples // 2
    halves = (values[:middle], h[:middle]), (values[middle:], h[middle:])
    residuals = [_residuals(*halves[i], *halves[1 - i]) for i in (0, 1)]
    return mean_and_error(jnp.concatenate(residuals))


def _controls(q: Distribution, z: Array, intermediates: Any) -> Array:
    """h, `[K, ..., 2 D]`, of mean 0."""
    if isinstance(q, TransformedDistribution):
        q, z = q.base_dist, intermediates[0][0]
    try:
        mean, variance = q.mean, q.variance
    except NotImplementedError as error:
        message = "has no known mean and variance: use kl_estimators.plain"
        raise UserError(f"{describe(q)} {message}") from error
    standard = (z - mean) / jnp.sqrt(variance)
    h = jnp.stack([standard, standard**2 - 1], -1)
    h = jnp.where(jnp.isfinite(variance)[..., None], h, 0.0)
    return h.reshape(*h.shape[: h.ndim - 1 - q.event_dim], -1)


def _residuals(values: Array, h: Array, others: Array, others_h: Array) -> Array:
    """values - b'h, `[n, ...]`, b fitted to the others."""
    ones = jnp.ones_like(others_h[..., :1])
    design = jnp.moveaxis(jnp.concatenate([ones, others_h], -1), 0, -2)
    b = _least_squares(design, jnp.moveaxis(others, 0, -1))[..., 1:]
    return values - (h * b).sum(-1)


_least_squares = jnp.vectorize(
    lambda design, values: jnp.linalg.lstsq(design, values)[0], signature="(n,c),(n)->(c)"
)
