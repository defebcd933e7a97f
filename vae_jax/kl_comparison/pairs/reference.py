"""The most exact value of KL(q || p) that is available, in double precision."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, MixtureSameFamily

from vae_jax.divergences import closed_form_kl
from vae_jax.divergences.mixtures import mixture_approximations
from vae_jax.divergences.quadrature import kl_by_quadrature
from vae_jax.errors import UserError
from vae_jax.standard_errors import standard_error
from vae_jax.types import Array

CHUNKS, CHUNK = 256, 2**14  # of 2^22 draws, fewer at a time in many dimensions


class Reference(NamedTuple):
    """A value of KL(q || p) in nats, its error, and how it was computed."""

    value: float
    error: float  # a standard error where it was sampled, else a bound
    method: str


def reference(q: Distribution, p: Distribution, seed: int = 0) -> Reference:
    """The closed form if there is one, else quadrature, else the mean over many draws, nats.

    Raises:
        UserError: where it is not finite.
    """
    kl = closed_form(q, p) or quadrature(q, p) or sampled(q, p, seed)
    if not np.isfinite(kl.value):
        raise UserError(f"KL(q || p) is {kl.value}, by {kl.method}")
    return kl


def closed_form(q: Distribution, p: Distribution) -> Reference | None:
    """The closed form of the pair of types; None where `divergences` has none."""
    with jax.enable_x64(True):
        value = closed_form_kl(*in_double_precision(q, p))
    return None if value is None else Reference(float(value), 0.0, "closed form")


def quadrature(q: Distribution, p: Distribution) -> Reference | None:
    """The KL by quadrature or by summation; None where `divergences.quadrature` cannot."""
    try:
        kl = kl_by_quadrature(q, p)
    except UserError:
        return None
    method = "sum over all values" if q.support.is_discrete else "quadrature"
    return Reference(float(kl.value), float(kl.error), method)


def sampled(q: Distribution, p: Distribution, seed: int) -> Reference:
    """The mean of log q(z) - log p(z) over some 4 million draws."""
    with jax.enable_x64(True):
        q, p = in_double_precision(q, p)
        num_draws = max(2**8, CHUNK // max(1, int(np.prod(q.event_shape))))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2**31), CHUNKS)
        draw = functools.partial(q.sample, sample_shape=(num_draws,))
        means = jax.lax.map(lambda key: _log_ratio(q, p, draw(key)).mean(), keys)
        means = np.asarray(means)
    error = float(standard_error(means))
    return Reference(float(means.mean()), error, f"mean of {CHUNKS * num_draws:,} draws")


def rounding(q: Distribution, p: Distribution) -> float:
    """Root mean square of the error of log q(z) - log p(z) in single precision, nats."""
    z = jax.jit(lambda key: q.sample(key, (1000,)))(jax.random.key(0))
    single = np.asarray(_log_ratio(q, p, z), np.float64)
    with jax.enable_x64(True):
        double = np.asarray(_log_ratio(*in_double_precision(q, p, z)))
    return float(np.sqrt(np.mean((single - double) ** 2)))


def _log_ratio(q: Distribution, p: Distribution, z: Array) -> Array:
    return jax.jit(lambda z: q.log_prob(z) - p.log_prob(z))(z)


def in_double_precision(*trees: Any) -> Any:
    """The numbers that single precision computes with, as float64, within `jax.enable_x64`."""

    def widen(leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return leaf
        return jnp.asarray(np.asarray(leaf, np.float32), jnp.float64)

    return jax.tree.map(widen, trees)


def approximations(q: Distribution, p: Distribution) -> dict[str, float]:
    """Deterministic approximations and bounds by name, nats, for mixtures of normals."""
    if not isinstance(q, MixtureSameFamily) and not isinstance(p, MixtureSameFamily):
        return {}  # of single normals they all are the KL
    try:
        with jax.enable_x64(True):
            values = mixture_approximations(*in_double_precision(q, p))
    except UserError:
        return {}
    return {name: float(value) for name, value in values.items()}
