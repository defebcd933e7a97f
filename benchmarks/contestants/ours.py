"""This package: the programs of `vae-jax train` and `vae-jax evaluate`."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rates import Call
from benchmarks.settings import Setting, images
from vae_jax.batches.devices import compiler_options
from vae_jax.batches.keys import keys_of
from vae_jax.estimators._rows import decoded_rows
from vae_jax.estimators.importance import importance_sampling
from vae_jax.training.update import RunSteps, make_update

NAME = "ours"


def loss(setting: Setting, x: Any, keys: Any, noise: Any) -> float:
    """Ours draws the noise with the keys."""
    parts = setting.parts
    return -float(parts.objective(parts.model, setting.params, keys, x).value.mean())


def program(setting: Setting) -> tuple[RunSteps, Any]:
    """The program of training's steps, and the function from a seed's keys to its start."""
    parts = setting.parts
    return RunSteps(
        make_update(parts.model, parts.objective, parts.rule, parts.dataset)
    ), parts.start


def training(setting: Setting, seeds: tuple[int, ...] = (0,)) -> Call:
    """Trains seeds, along one axis if they are several."""
    (run, start), data = program(setting), jnp.asarray(images())
    ids, keys = [jnp.asarray(setting.order)] * len(seeds), [jax.random.key(s) for s in seeds]
    held = [start(keys_of(seed)) for seed in seeds]

    def call() -> None:
        held[:] = [state for state, _ in run(held, keys, data, ids, ids)]
        jax.block_until_ready(held)

    return call


def evaluations(setting: Setting, x: np.ndarray, k: int) -> Mapping[str, Call]:
    """log p(x) with all that `importance` gives besides."""
    options: dict[str, Any] = {
        "num_samples": k,
        "rows": decoded_rows(setting.parts.model, setting.params),
    }
    options["iwae_samples"] = tuple(each for each in (1, 5, 50, 500) if each <= k)
    call = partial(importance_sampling, setting.parts.model, **options)
    run = jax.jit(call, compiler_options=compiler_options())
    keys = jax.random.split(jax.random.key(2), len(x))
    return {NAME: lambda: float(run(setting.params, keys, x)["log_p"].mean())}
