"""KL(q || p) in closed form, dispatched on the pair of types by NumPyro's `kl_divergence`."""

from numpyro.distributions import Distribution, Independent, kl_divergence

from vae_jax.errors import UserError
from vae_jax.types import Array


def closed_form_kl(q: Distribution, p: Distribution) -> Array | None:
    """KL(q || p) in nats, `[...]`, or None where the pair has no closed form."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def kl_per_dimension(q: Distribution, p: Distribution) -> Array | None:
    """KL(q_j || p_j), nats, `[..., latent_dim]`; None unless q and p factorize in closed form."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    return closed_form_kl(q.base_dist, p.base_dist)


def require_closed_form_kl(q: Distribution, p: Distribution) -> Array:
    """KL(q || p) in nats, `[...]`.

    Raises:
        UserError: for a pair without closed form; it names the pairs that have one.
    """
    kl = closed_form_kl(q, p)
    if kl is None:
        message = f"KL({describe(q)} || {describe(p)}) has no closed form: use kl='sampled'"
        raise UserError(f"{message}; these pairs have one: {', '.join(closed_form_pairs())}")
    return kl


def closed_form_pairs() -> list[str]:
    """`Normal-Normal` and so on; independents of a pair have one too."""
    pairs = [(a.__name__, b.__name__) for a, b in kl_divergence.funcs]
    wrappers = ("Distribution", "Independent")
    return sorted(f"{a}-{b}" for a, b in pairs if not (a + b).endswith(wrappers))


def describe(distribution: Distribution) -> str:
    """`Independent[Normal]`: the type, and what it wraps."""
    name = type(distribution).__name__
    inner = getattr(distribution, "base_dist", None)
    return name if inner is None else f"{name}[{describe(inner)}]"
