"""How the noise of a diffusion grows: gamma = -log SNR at times t from 0, data, to 1, noise."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid, softplus

from vae_jax.types import Array, Params

BENDS = 32  # of the learned schedule


class Schedule(NamedTuple):
    """gamma(t), with parameters or without."""

    init: Callable[[float, float], Params]  # (gamma at 0, at 1) -> params
    gamma: Callable[[Params, Array, float, float], Array]  # (params, t, gamma at 0, at 1) -> gamma


def _linear(params: Params, t: Array, least: float, most: float) -> Array:
    return least + (most - least) * t


def _cosine(params: Params, t: Array, least: float, most: float) -> Array:
    """gamma = 2 log tan(a), the angle a even in t: alpha = cos(a) (Nichol & Dhariwal 2021)."""
    ends = jnp.arctan(jnp.exp(0.5 * jnp.array([least, most])))
    return 2 * jnp.log(jnp.tan(ends[0] + (ends[1] - ends[0]) * t))


def _begin(least: float, most: float) -> Params:
    return {
        "least": jnp.asarray(least),
        "log_range": jnp.log(jnp.asarray(most - least)),
        "heights": jnp.full(BENDS, -5.0),
        "slopes": jnp.full(BENDS, 10.0),
        "places": jnp.linspace(0.0, 1.0, BENDS),
    }


def _learned(params: Params, t: Array, least: float, most: float) -> Array:
    """A line and rising sigmoids, so that it is monotone, and both ends (VDM, appendix H)."""
    del least, most

    def rising(t: Array) -> Array:
        bends = sigmoid(softplus(params["slopes"]) * (t[..., None] - params["places"]))
        return t + (softplus(params["heights"]) * bends).sum(-1)

    low, high = rising(jnp.zeros(())), rising(jnp.ones(()))
    return params["least"] + jnp.exp(params["log_range"]) * (rising(t) - low) / (high - low)


def _nothing(*_: Any) -> Params:
    return {}


SCHEDULES = {
    "linear": Schedule(_nothing, _linear),
    "cosine": Schedule(_nothing, _cosine),
    "learned": Schedule(_begin, _learned),
}


def falling(schedule: Schedule, params: Params, steps: int, ends: tuple[float, float]) -> Array:
    """gamma of the layers, the noisiest first, `[steps + 1]`."""
    return schedule.gamma(params, jnp.linspace(1.0, 0.0, steps + 1), *ends)
