"""KL(q || p) layer by layer, of two chains: in closed form given the layers drawn before."""

from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.config.events import require_same_event
from vae_jax.distributions.chain import Chain
from vae_jax.distributions.markov_chain import MarkovChain
from vae_jax.divergences.closed_form import closed_form_kl, describe, require_closed_form_kl
from vae_jax.errors import UserError
from vae_jax.types import Array, Facts

MOST_LAYERS = 16  # that are taken one by one: of more no number of draws tames the weights


def have_layers(q: Distribution, p: Distribution) -> bool:
    """Whether both are chains of layers of the same sizes, p's drawn from the top."""
    both = isinstance(q, Chain) and isinstance(p, Chain)
    return both and q.sizes == p.sizes and not p.upwards


def require_few_layers(facts: Facts, taker: str) -> None:
    """Raises UserError for more layers of z than a `taker`, as "annealing takes", can have."""
    if (count := len(getattr(facts.posterior, "sizes", ()))) > MOST_LAYERS:
        instead = "--estimators=\"bound(kl='one_layer')\" has the ELBO"
        raise UserError(f"{taker} at most {MOST_LAYERS} layers, not {count:,}: {instead}")


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
    if isinstance(q, MarkovChain) and isinstance(p, MarkovChain):
        return _by_scan(q, p, z)
    layers = zip(q.factors(z), p.factors(z), q.split(z), strict=True)
    terms = [
        _term(*layer, in_closed_form=is_top or not q.upwards)
        for layer, is_top in zip(layers, [True] + [False] * (len(q.sizes) - 1), strict=True)
    ]
    draws = jnp.zeros(z.shape[:-1])  # on which no term need depend
    return jnp.stack(jnp.broadcast_arrays(draws, *terms)[1:], axis=-1)


def kl_of_layer(q: MarkovChain, p: MarkovChain, layer: Any, above: Array | None) -> Array:
    """KL(q(z_l | z_l-1, x) || p(z_l | z_l-1)) in closed form, nats, given the layer above.

    Of an array of layers the layers above are `[..., size]`; of the top one, 0, there is None.
    """
    if above is None:
        return require_closed_form_kl(q.first, p.first)
    return require_closed_form_kl(q.below(layer, above), p.below(layer, above))


def _by_scan(q: MarkovChain, p: MarkovChain, z: Array) -> Array:
    """The terms of two Markov chains, one layer after another."""
    layers = q.stacked(z)

    def term(now: tuple[Array, Array, Array]) -> Array:
        layer, above, z = now
        return _term(q.below(layer, above), p.below(layer, above), z, in_closed_form=True)

    below = jax.lax.map(term, (jnp.arange(1, len(layers)), layers[:-1], layers[1:]))
    top = _term(q.first, p.first, layers[0], in_closed_form=True)
    shape = jnp.broadcast_shapes(z.shape[:-1], top.shape, below.shape[1:])
    terms = jnp.concatenate(
        [jnp.broadcast_to(top, shape)[None], jnp.broadcast_to(below, (len(below), *shape))]
    )
    return jnp.moveaxis(terms, 0, -1)


def _term(q: Distribution, p: Distribution, z: Array, in_closed_form: bool) -> Array:
    kl = closed_form_kl(q, p) if in_closed_form else None
    return q.log_prob(z) - p.log_prob(z) if kl is None else kl
