"""KL(q || p) layer by layer, of two chains: in closed form given the layers drawn before."""

import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.config.events import require_same_event
from vae_jax.distributions.chain import Chain
from vae_jax.divergences.closed_form import closed_form_kl, describe
from vae_jax.errors import UserError
from vae_jax.types import Array


def have_layers(q: Distribution, p: Distribution) -> bool:
    """Whether both are chains of layers of the same sizes, p's drawn from the top."""
    both = isinstance(q, Chain) and isinstance(p, Chain)
    return both and q.sizes == p.sizes and not p.upwards


def kl_by_layer(q: Distribution, p: Distribution, z: Array) -> Array:
    """The terms of KL(q || p) at draws z ~ q, nats `[..., layers]`, top first; unbiased in sum.

    A layer's term is KL(q(z_l | z_>l, x) || p(z_l | z_>l)) where that has a closed form (Sonderby
    et al. 2016, eq. 12), else log q - log p at the draw. Of a q that is drawn upwards the last draw
    is the top layer, and its term alone is a KL.

    Args:
        q: a chain, the posterior.
        p: a chain of the same layers.
        z: draws of q, `[..., sum of sizes]`.

    Raises:
        UserError: for distributions without such layers.
    """
    require_same_event(q, p)
    if not (isinstance(q, Chain) and isinstance(p, Chain) and have_layers(q, p)):
        pair = f"KL({describe(q)} || {describe(p)})"
        raise UserError(f"{pair}: a prior and a posterior with the same layers are needed")
    layers = zip(q.factors(z), p.factors(z), q.split(z), strict=True)
    terms = [
        _term(*layer, in_closed_form=is_top or not q.upwards)
        for layer, is_top in zip(layers, [True] + [False] * (len(q.sizes) - 1), strict=True)
    ]
    return jnp.stack(jnp.broadcast_arrays(*terms), axis=-1)


def _term(q: Distribution, p: Distribution, z: Array, in_closed_form: bool) -> Array:
    kl = closed_form_kl(q, p) if in_closed_form else None
    return q.log_prob(z) - p.log_prob(z) if kl is None else kl
