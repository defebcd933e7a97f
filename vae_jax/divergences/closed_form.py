"""KL(q || p) in closed form, dispatched on the pair of types by NumPyro's `kl_divergence`."""

from numpyro.distributions import (
    Distribution,
    ExpandedDistribution,
    Independent,
    MaskedDistribution,
    kl_divergence,
)

from vae_jax.config.events import require_same_event
from vae_jax.errors import UserError
from vae_jax.types import Array


def closed_form_kl(q: Distribution, p: Distribution) -> Array | None:
    """KL(q || p) in nats, `[...]`, or None where the pair has no closed form.

    Raises:
        UserError: for values of different shapes.
    """
    require_same_event(q, p)
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
        UserError: for a pair without closed form; it names those of q's or to p's type with one.
    """
    kl = closed_form_kl(q, p)
    if kl is None:
        pair = f"KL({describe(q)} || {describe(p)})"
        raise UserError(f"{pair} has no closed form{_other_pairs(q, p)}; use kl='sampled'")
    return kl


def _other_pairs(q: Distribution, p: Distribution) -> str:
    ours, pairs = [type(innermost(d)).__name__ for d in (q, p)], closed_form_pairs()
    others = [pair for pair in pairs if pair != "-".join(ours)]
    similar = [p for p in others if p.split("-")[0] == ours[0] or p.split("-")[1] == ours[1]]
    where = " at these parameters" if len(others) < len(pairs) else ""
    return f"{where}; these have one: {', '.join(similar or others)}"


def innermost(d: Distribution) -> Distribution:
    """The distribution of an element: what `Independent` and `expand` wrap, and no transform."""
    while isinstance(d, Independent | ExpandedDistribution):
        d = d.base_dist
    return d


def closed_form_pairs() -> list[str]:
    """`Normal-Normal` and so on; independents of a pair have one too."""
    wrappers = {Distribution, Independent, ExpandedDistribution, MaskedDistribution}
    pairs = [pair for pair in kl_divergence.funcs if len(wrappers & {*pair}) < len({*pair})]
    return sorted({f"{q.__name__}-{p.__name__}" for q, p in pairs})


def describe(distribution: Distribution) -> str:
    """`Independent[Normal]`: the type, and what it wraps."""
    name = type(distribution).__name__
    inner = getattr(distribution, "base_dist", None)
    return name if inner is None else f"{name}[{describe(inner)}]"
