"""Splits as they are stored: checks of their shapes and values, and rows of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.batches.keys import example_keys
from vae_jax.config.ranges import in_words, require_elements
from vae_jax.datasets._storing import require_examples, storable
from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Dataset, Model

CHECKED_TOGETHER = 1000
BYTE = 256  # levels


USABLE = (
    "finite values are read, from 0 to the scale if they are to be binarized, "
    "and integers if they are levels"
)


def x_shape(dataset: Dataset) -> tuple[int, ...]:
    """The shape of one example on the device."""
    raw = np.asarray(next(iter(dataset.splits.values()))[0])
    return jax.eval_shape(dataset.preprocess, jax.random.key(0), raw).shape


def require_shapes(dataset: Dataset) -> Dataset:
    """Refuses a data set with an empty split, or splits whose examples differ in shape.

    Raises:
        UserError: naming the split.
    """
    for name, split in dataset.splits.items():
        if len(split) == 0:
            raise UserError(f"data: the {name} split is empty")
    first, *others = dataset.splits
    shape = np.shape(dataset.splits[first][0])
    for name, split in dataset.splits.items():
        require_examples(f"data: the {name} split", np.asarray(split[0])[None])
    for name in others:
        if (other := np.shape(dataset.splits[name][0])) != shape:
            raise UserError(f"data: {name} examples have shape {other}, {first} examples {shape}")
    return dataset


def require_valid(dataset: Dataset, model: Model) -> None:
    """Refuses stored values that are not finite or out of range, and x that p(x | z) does not take.

    Raises:
        UserError: naming the split, the example and the value.
    """
    splits, allowed = dataset.splits, in_words(model.accepts)
    preprocess = jax.jit(jax.vmap(dataset.preprocess))
    keys = jax.random.split(jax.random.key(0), CHECKED_TOGETHER)
    for name, split in splits.items():
        for start in range(0, len(split), CHECKED_TOGETHER):
            rows = np.minimum(np.arange(start, start + CHECKED_TOGETHER), len(split) - 1)
            raw = gather(split, rows)
            names = [f"data: {example_name(dataset, name, i)}" for i in rows.tolist()]
            ok = np.asarray(dataset.usable(raw))
            require_elements(names.__getitem__, raw, ok, USABLE + _scale_for(raw))
            x = np.asarray(preprocess(keys, raw))
            ok = np.asarray(model.accepts(x))
            require_elements(names.__getitem__, x, ok, f"the likelihood takes {allowed}")


def _scale_for(raw: np.ndarray) -> str:
    """Advice where what is out of range may have another scale."""
    top = float(raw.max())
    scale = 255.0 if BYTE / 2 < top < BYTE else top
    return f"; scale={scale:g} takes values up to that" if 1 < top < np.inf else ""


def example_name(dataset: Dataset, split: str, i: int) -> str:
    """An example as the person who brought it numbers it: `train split, example 46 of 'x'`."""
    origin = dataset.origins.get(split)
    number = i if origin is None else f"{origin.rows[i]} of {origin.array!r}"
    return f"{split} split, example {number}"


def gather(split: Any, rows: Any) -> np.ndarray:
    """The examples of a slice or an index array, stacked, from an array or any sequence."""
    if isinstance(split, np.ndarray):
        return np.asarray(split[rows])
    indices = range(len(split))[rows] if isinstance(rows, slice) else rows
    return np.stack([split[int(i)] for i in indices])


def present(dataset: Dataset, keys: Array, raw: Array) -> tuple[Array, Batch]:
    """Keys `[batch]` and examples, made of stored ones with one of their two keys each.

    Args:
        dataset: the data set.
        keys: `[batch, 2]`, see `example_keys`.
        raw: examples as stored, `[batch, ...]`.
    """
    return keys[:, 0], Batch(jax.vmap(dataset.preprocess)(keys[:, 1], raw))


def presented(dataset: Dataset, model: Model, key: Array, brought: Any) -> Array:
    """x `[n, *x_shape]` of examples as they were brought: in the shape and units of the data set.

    Args:
        dataset: the data set.
        model: what x is for.
        key: example i is drawn by `example_keys(key, i)`, where anything is drawn.
        brought: `[n, ...]`, of any dtype of numbers.

    Raises:
        UserError: for another shape, and for values that make no sense or the model does not take.
    """
    array, done = np.asarray(brought), dataset.standardization
    require_examples("what is presented", array)
    shape = np.shape(next(iter(dataset.splits.values()))[0])
    if array.shape[1:] != shape:
        raise UserError(f"what is presented has shape {array.shape}: {['n', *shape]} is needed")
    raw = storable("what is presented", array) if done is None else done.apply(array)
    usable = np.asarray(dataset.usable(raw))
    require_elements("example {}".format, raw, usable, USABLE + _scale_for(raw))
    _, batch = present(dataset, example_keys(key, jnp.arange(len(raw))), jnp.asarray(raw))
    x = np.asarray(batch.x)
    wanted = f"the likelihood takes {in_words(model.accepts)}"
    require_elements("example {}".format, x, np.asarray(model.accepts(x)), wanted)
    return batch.x


def examples(dataset: Dataset, key: Array, split: str, count: int) -> tuple[Array, Batch]:
    """Keys `[count]` and the first `count` examples of a split, all of them if there are fewer."""
    raw = jnp.asarray(gather(dataset.splits[split], slice(0, count)))
    return present(dataset, example_keys(key, jnp.arange(len(raw))), raw)
