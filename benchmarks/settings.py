"""The things that are compared: a model, a batch size, and images that are made up.

The time of a step does not depend on what the images show; about a fifth of their pixels are inked.
"""

import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.batches.keys import epoch_order, keys_of
from vae_jax.datasets._making import make_dataset
from vae_jax.runs.parts import Parts, make_parts

LEARNING_RATE = 1e-3
GATED = "mlp(hidden=(300, 300), activation='identity', gated=True)"
VAMP = {"encoder": GATED, "decoder": GATED, "latent_dim": 40, "prior": "vamp(components=500)"}
Arrays = list[tuple[np.ndarray, np.ndarray]]  # weights and biases of a network's layers in order


@functools.cache
def images() -> np.ndarray:
    """10,000 of them, uint8."""
    rng = np.random.default_rng(0)
    ink = rng.integers(1, 256, (10_000, 28, 28, 1))
    return np.where(rng.uniform(size=ink.shape) < 0.2, ink, 0).astype(np.uint8)


class Setting(NamedTuple):
    """The model of `experiments/mnist.py` with some changes, and a batch size."""

    name: str
    batch: int
    steps: int
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def is_gated(self) -> bool:
        return "gated=True" in self.parts.cfg.encoder

    @property
    def parts(self) -> Parts:
        return _parts(self.batch, self.changes)

    @property
    def params(self) -> Any:
        """Weights on which all are compared."""
        return _params(self.batch, self.changes)

    @property
    def order(self) -> np.ndarray:
        """The examples of each step, `[steps, batch]`."""
        order = epoch_order(jax.random.key(1), 0, len(images()), self.batch)
        return np.resize(order, (self.steps, self.batch))

    def layers(self, name: str) -> Arrays:
        """The layers of the encoder or the decoder."""
        branch = jax.device_get(self.params)[name]
        dense = (branch[f"Dense_{i}"] for i in range(len(branch)))
        return [(layer["kernel"], layer["bias"]) for layer in dense]

    @property
    def pseudo_inputs(self) -> np.ndarray | None:
        """Those of a VampPrior, `[components, 784]`."""
        prior = jax.device_get(self.params)["prior"]
        return prior["inputs"].reshape(-1, 784) if "inputs" in prior else None


@functools.cache
def _parts(batch: int, changes: tuple[tuple[str, Any], ...]) -> Parts:
    sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
    from mnist import get_config

    config = get_config()
    config.optimizer, config.batch_size = f"adam(learning_rate={LEARNING_RATE})", batch
    config.update(dict(changes))
    dataset = make_dataset({"train": images()}, scale=255.0, binarize="dynamic")
    return make_parts(config, dataset=dataset)


@functools.cache
def _params(batch: int, changes: tuple[tuple[str, Any], ...]) -> Any:
    """Those of seed 0, what networks say a tenth, so that log p(x) by K draws has little noise."""
    params = _parts(batch, changes).start(keys_of(0)).params
    return params | {name: _calm(params[name]) for name in ("encoder", "decoder")}


def _calm(branch: Any) -> Any:
    last = max(branch)
    return {**branch, last: jax.tree.map(lambda leaf: 0.1 * leaf, branch[last])}


def an_example(setting: Setting) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """A batch of bits, keys for it, and the noise in z that our objective draws with them."""
    x = (jax.random.uniform(jax.random.key(2), (setting.batch, 28, 28, 1)) < 0.2).astype(float)
    keys = jax.random.split(jax.random.key(3), setting.batch)
    model, params = setting.parts.model, setting.params

    def noise(key: jax.Array, x: jax.Array) -> jax.Array:
        q = model.encode(params, x)
        return (q.sample(jax.random.fold_in(key, 0)) - q.mean) / jnp.sqrt(q.variance)

    return keys, x, np.asarray(jax.vmap(noise)(keys, x))
