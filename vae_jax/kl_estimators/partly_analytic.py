from numpyro.distributions import Distribution

from vae_jax.config.events import require_same_event
from vae_jax.divergences import describe
from vae_jax.divergences.entropies import entropy
from vae_jax.errors import UserError
from vae_jax.kl_estimators._draws import at_least_one, mean_and_error
from vae_jax.types import Array, Estimate


def partly_analytic(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """-H(q) - E_q[log p(z)], the entropy in closed form, the rest the mean over draws.

    Unbiased; its variance is Var_q[log p] / K. That is less than `plain`'s where log p varies
    little under q, and more where p resembles q, for which `plain` has none at all. The form B of
    the evidence bound in Roeder et al. 2017.

    Returns:
        nats, `[...]`; the standard error is NaN for K = 1.

    Raises:
        UserError: if q's entropy has no closed form, or p is of values of another shape.
    """
    require_same_event(q, p)
    known = entropy(q)
    if known is None:
        message = "has no entropy in closed form: use kl_estimators.plain"
        raise UserError(f"{describe(q)} {message}")
    z = q.sample(key, (at_least_one(num_samples),))
    cross = mean_and_error(-p.log_prob(z))
    return Estimate(cross.value - known, cross.standard_error)
