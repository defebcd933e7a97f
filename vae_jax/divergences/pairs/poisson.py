from numpyro.distributions import Poisson, kl_divergence

from vae_jax.divergences.stable import excess
from vae_jax.types import Array


@kl_divergence.register(Poisson, Poisson)
def poisson_poisson(q: Poisson, p: Poisson) -> Array:
    """l log (l / m) + m - l of the rates l of q and m of p, nats, `[...]`."""
    return q.rate * excess(p.rate, q.rate)
