"""Gamma and exponential among each other."""

import jax.numpy as jnp
from numpyro.distributions import Exponential, Gamma, kl_divergence

from vae_jax.divergences.stable import excess, gamma_gap
from vae_jax.types import Array

_KINDS = (Gamma, Exponential)


@kl_divergence.register(_KINDS, _KINDS)
def gamma_gamma(q: Gamma | Exponential, p: Gamma | Exponential) -> Array:
    """KL(Gamma(a, b) || Gamma(c, d)), nats, `[...]`, an exponential being Gamma(1, rate).

    (a - c) psi(a) - log Gamma(a) + log Gamma(c) + c log (b / d) + a (d / b - 1)

    (Penny 2001). The sum of c (x - 1 - log x), x = (a / b) / (c / d), by the means, and of the gap
    between the shapes: both are positive. In place of NumPyro's, whose terms cancel in float32: at
    shapes of 10^6 it is wrong by 10^-2 nats.
    """
    (a, b), (c, d) = _shape_and_rate(q), _shape_and_rate(p)
    x = (a / c) * (d / b)
    return c * excess(x, jnp.ones_like(x)) + gamma_gap(c, a)


def _shape_and_rate(q: Gamma | Exponential) -> tuple[Array, Array]:
    shape = q.concentration if isinstance(q, Gamma) else jnp.ones_like(q.rate)
    return jnp.asarray(shape), jnp.asarray(q.rate)
