from numpyro.distributions import Distribution

from vae_jax.kl_estimators._draws import log_ratio, mean_and_error
from vae_jax.kl_estimators._uniforms import num_uniforms, uniforms, with_intermediates
from vae_jax.kl_estimators.plain import plain
from vae_jax.types import Array, Estimate


def antithetic(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[log q - log p] over pairs of draws F^-1(u) and F^-1(1 - u) (Hammersley & Morton 1956).

    Unbiased. With l(u) the log ratio its variance is (Var[l] + Cov[l(u), l(1 - u)]) / K: the part
    of l that is odd about q's middle vanishes, as the linear term of the log ratio of two normals,
    and the even part counts double, as the quadratic term. Not above that of `plain` where l is
    monotone in every dimension. A pair is two of the K draws; of an odd K > 1 one is not used, and
    K = 1 is a plain draw.

    Returns:
        nats, `[...]`; the standard error is over pairs, with Student's t of K // 2 - 1 degrees of
        freedom, NaN for K < 4.

    Raises:
        UserError: if q has no inverse CDF.
    """
    size = num_uniforms(q)
    if num_samples < 2:
        return plain(key, q, p, num_samples)
    u = uniforms(key, (num_samples // 2, *q.batch_shape, size))
    sides = [log_ratio(q, p, *with_intermediates(q, side)) for side in (u, 1 - u)]
    return mean_and_error(0.5 * (sides[0] + sides[1]))
