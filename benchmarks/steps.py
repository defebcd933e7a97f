"""Training steps as `train` makes them, for any config on made-up images."""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vae_jax.batches.keys import epoch_order, keys_of
from vae_jax.datasets._making import make_dataset
from vae_jax.runs.parts import Parts, make_parts
from vae_jax.training.update import RunSteps, make_update
from vae_jax.types import Dataset


def images(shape: tuple[int, ...], count: int) -> np.ndarray:
    """About a fifth of the pixels inked, as in MNIST."""
    rng = np.random.default_rng(0)
    ink = rng.integers(1, 256, (count, *shape))
    return np.where(rng.uniform(size=ink.shape) < 0.2, ink, 0).astype(np.uint8)


def presented(raw: np.ndarray, **how: Any) -> Dataset:
    """Images that are trained on as `how` says, by default binarized at each presentation."""
    return make_dataset({"train": raw}, scale=255.0, **(how or {"binarize": "dynamic"}))


def mnist_config(**changes: Any) -> ConfigDict:
    """The config of `experiments/mnist.py`, changed."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
    from mnist import get_config

    config = get_config()
    config.update(changes)
    return config


class Steps:
    """Each call makes `count` steps more."""

    def __init__(self, config: ConfigDict, dataset: Dataset, count: int):
        """The program is compiled, and a seed's state is there."""
        self.parts: Parts = make_parts(config, dataset=dataset)
        stored = dataset.splits["train"]
        order = epoch_order(jax.random.key(1), 0, len(stored), config.batch_size)
        ids = [jnp.asarray(np.resize(order, (count, config.batch_size)))]
        self._states = [self.parts.start(keys_of(0))]
        self._arguments = [jax.random.key(0)], jnp.asarray(stored), ids, ids
        of_parts = self.parts.model, self.parts.objective, self.parts.rule, dataset
        self.program = RunSteps(make_update(*of_parts)).prepare(self._states, *self._arguments)

    def __call__(self) -> None:
        """Waits until they are made."""
        self._states = [state for state, _ in self.program(self._states, *self._arguments)]
        jax.block_until_ready(self._states)

    @property
    def params(self) -> Any:
        """The parameters now."""
        return self._states[0].params
