"""Dirichlet and beta."""

import jax.numpy as jnp
from numpyro.distributions import Beta, Dirichlet, kl_divergence

from vae_jax.divergences.stable import gamma_gap, log_ratio, mass_kl
from vae_jax.types import Array


@kl_divergence.register(Dirichlet, Dirichlet)
def dirichlet_dirichlet(q: Dirichlet, p: Dirichlet) -> Array:
    """KL(Dir(a) || Dir(c)), nats, `[...]`; A and C are the sums of a and c.

    log Gamma(A) - log Gamma(C) - sum_k log Gamma(a_k) / Gamma(c_k)
    + sum_k (a_k - c_k) (psi(a_k) - psi(A))

    (Penny 2001). The large parts of the log-gamma functions are C KL(c / C || a / A) of
    categoricals. In place of NumPyro's, whose terms cancel in float32 where a is large.
    """
    return concentrations_kl(q.concentration, p.concentration)


@kl_divergence.register(Beta, Beta)
def beta_beta(q: Beta, p: Beta) -> Array:
    """The KL of Dirichlets of two elements, nats, `[...]`."""
    return concentrations_kl(*(_both(d) for d in (q, p)))


def _both(d: Beta) -> Array:
    return jnp.stack(jnp.broadcast_arrays(d.concentration1, d.concentration0), -1)


def concentrations_kl(a: Array, c: Array) -> Array:
    """KL(Dir(a) || Dir(c)), nats, `[..., K]` each -> `[...]`."""
    a, c = jnp.broadcast_arrays(a, c)
    A, C = a.sum(-1), c.sum(-1)
    log_q, log_p = (jnp.log(x / x.sum(-1, keepdims=True)) for x in (c, a))
    masses = C * mass_kl(log_q, log_p, log_ratio(a, c))
    return masses + gamma_gap(c, a).sum(-1) - gamma_gap(C, A)
