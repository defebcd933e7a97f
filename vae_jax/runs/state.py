"""The state that a run carries from one update to the next."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax.types import UNTRAINED, Array, Batch, Model, Params


class State(NamedTuple):
    """All that a run carries from one update to the next; its randomness derives from `step`."""

    step: Array
    params: Params
    opt_state: Any
    average: Any  # optax's EmaState of params, or () without averaging


class Optimization(NamedTuple):
    """The update rule and the averaging of parameters."""

    gradient: optax.GradientTransformation
    average: optax.GradientTransformation | None


def optimization(
    optimizer: optax.GradientTransformation, clip_norm: float = 0.0, ema_decay: float = 0.0
) -> Optimization:
    """The optimizer behind a clip of the global gradient norm, and the average; 0 is none."""
    clipped = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)
    average = optax.ema(ema_decay) if ema_decay else None
    return Optimization(clipped if clip_norm else optimizer, average)


def initial_state(model: Model, rule: Optimization, key: Array, batch: Batch) -> State:
    """The state before the first update; starts may depend on the data of `batch`."""
    params = model.init(key, batch)
    average = rule.average.init(params) if rule.average else ()
    return State(jnp.zeros((), jnp.int32), params, rule.gradient.init(params), average)


def evaluated_params(state: State, ema_decay: float) -> Params:
    """The parameters to evaluate: their average where there is one, without its bias to 0."""
    if state.average == ():
        return state.params
    count = state.average.count
    average = optax.tree.bias_correction(state.average.ema, ema_decay, jnp.maximum(count, 1))
    return jax.tree.map(lambda now, mean: jnp.where(count, mean, now), state.params, average)


def is_trained(path: Sequence[Any]) -> bool:
    """Whether the leaf of params at that path is one that an optimizer moves."""
    return all(getattr(key, "key", None) != UNTRAINED for key in path)


def num_parameters(params: Params) -> int:
    """The number of numbers that training adjusts."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(int(np.prod(leaf.shape)) for path, leaf in leaves if is_trained(path))
