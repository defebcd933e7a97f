"""Rates that start at the data's, dispersions and encoder inputs, for likelihoods of counts."""

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.flat import Flat
from vae_jax.flows.scales import softplus
from vae_jax.types import Array, Batch, Likelihood, Params, Shape, Spec

Dispersion = Literal["learned", "learned_per_element", "predicted"]
FLOOR = 1e-4  # of rates and dispersions


def count_likelihood(
    spec: Spec, num_features: int, density: Callable[..., Distribution], start: Callable[[], Params]
) -> Likelihood:
    """A likelihood of counts 0, 1, 2, ... of rate 0.0001 + exp(log_rate_d) softplus(a_d) / log 2.

    a is the decoder's first feature; log_rate, one per element, is learned and starts at the
    logarithm of a batch's mean count and 0.1. `density(params, features, rate)` makes the
    distribution of the elements, from the list of the other features; `start()` its other
    parameters. The encoder sees log(1 + x).
    """

    def init(key: Array, batch: Batch) -> Params:
        del key
        mean = jnp.mean(batch.x.reshape(-1, *spec.x_shape), 0, where=_seen(batch, spec.x_shape))
        return {"log_rate": jnp.log(jnp.nan_to_num(mean) + 0.1), **start()}

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        base_rate = jnp.exp(params["likelihood"]["log_rate"])
        first, *rest = jnp.unstack(features, axis=-1)  # a gradient is stacked faster than padded
        rate = FLOOR + base_rate * softplus(first) / np.log(2)
        return Flat(density(params["likelihood"], rest, rate), len(spec.x_shape))

    accepts = constraints.nonnegative_integer
    return Likelihood(num_features, init, distribution, accepts, _inputs)


def _seen(batch: Batch, x_shape: Shape) -> Array | None:
    """Which counts of a batch were observed, `[n, *x_shape]`; None: all."""
    return None if batch.observed is None else batch.observed.reshape(-1, *x_shape)


def _inputs(x: Array) -> Array:
    return jnp.log1p(jnp.maximum(x, 0))


def dispersion_of(spec: Spec, kind: Dispersion) -> tuple[int, Callable[[], Params], Any]:
    """A dispersion: features asked for, its start, and (likelihood's params, features) -> r.

    `"learned"` is one r = 0.0001 + exp(log_dispersion) for all elements, `"learned_per_element"`
    one for each; `"predicted"` is 0.0001 + softplus of the decoder's last feature.
    """
    if kind == "predicted":
        return 1, dict, lambda branch, features: FLOOR + softplus(features[-1])
    shape: Shape = spec.x_shape if kind == "learned_per_element" else ()

    def start() -> Params:
        return {"log_dispersion": jnp.zeros(shape)}

    return 0, start, lambda branch, features: FLOOR + jnp.exp(branch["log_dispersion"])
