"""Splits as they are stored: checks of their shapes and values, and rows of them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.batches.keys import example_keys
from vae_jax.config.ranges import in_words, require_elements
from vae_jax.datasets import require_examples, storable
from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Dataset, Model

CHECKED_TOGETHER = 1000
BYTE = 255
IN_MEMORY = np.ndarray | jax.Array | list | tuple
USABLE = (
    "finite values are read, from 0 to the scale if they are to be binarized, "
    "and integers if they are levels"
)


def stored_shape(dataset: Dataset) -> tuple[int, ...]:
    """The shape of one example as it is stored."""
    return np.shape(next(iter(dataset.splits.values()))[0])


def x_shape(dataset: Dataset) -> tuple[int, ...]:
    """The shape of one example on the device."""
    raw = np.asarray(next(iter(dataset.splits.values()))[0])
    return jax.eval_shape(dataset.preprocess, jax.random.key(0), raw).shape


def require_shapes(dataset: Dataset) -> Dataset:
    """Refuses splits that are empty, of other things than numbers, or differ in examples' shape.

    Returns:
        the data set, its arrays as a device can hold them.

    Raises:
        UserError: naming the split.
    """
    splits = {name: _readable(name, split) for name, split in dataset.splits.items()}
    if not splits:
        raise UserError("data: there are no splits")
    first, *others = splits
    shape = np.shape(splits[first][0])
    for name in others:
        if (other := np.shape(splits[name][0])) != shape:
            raise UserError(f"data: {name} examples have shape {other}, {first} examples {shape}")
    return dataset._replace(splits=splits)


def _readable(name: str, split: Any) -> Any:
    """A split that a device can hold; one that is decoded as it is read has to be so already."""
    what = f"data: the {name} split"
    if isinstance(split, IN_MEMORY):
        return storable(what, _as_array(what, split))
    if len(split) == 0:
        raise UserError(f"{what} is empty")
    example = np.asarray(split[0])[None]
    require_examples(what, example)
    kept = storable(what, example)
    if kept.dtype != example.dtype and example.dtype != np.float64:
        raise UserError(
            f"{what}: examples are {example.dtype}, which no device holds: {kept.dtype}"
        )
    return split


def _as_array(what: str, split: Any) -> np.ndarray:
    try:
        return np.asanyarray(split)
    except ValueError as error:
        raise UserError(f"{what}: its examples differ in shape") from error


def require_valid(dataset: Dataset, model: Model) -> None:
    """Refuses stored values that are not finite or out of range, and x that p(x | z) does not take.

    Raises:
        UserError: naming the split, the example and the value.
    """
    preprocess = jax.jit(jax.vmap(dataset.preprocess))
    keys = jax.random.split(jax.random.key(0), CHECKED_TOGETHER)
    for name, split in dataset.splits.items():
        for start in range(0, len(split), CHECKED_TOGETHER):
            rows = np.minimum(np.arange(start, start + CHECKED_TOGETHER), len(split) - 1)
            raw = gather(split, rows)
            name_of = functools.partial(_name, dataset, name, rows)
            _require_usable(dataset, name_of, raw)
            _require_accepted(model, name_of, np.asarray(preprocess(keys, raw)))


def _name(dataset: Dataset, split: str, rows: np.ndarray, i: int) -> str:
    return f"data: {example_name(dataset, split, int(rows[i]))}"


def _require_usable(dataset: Dataset, name_of: Callable[[int], str], raw: np.ndarray) -> None:
    ok = np.asarray(dataset.usable(raw))
    if not ok.all():
        wanted = USABLE + _scale_for(raw[~ok], raw[ok], dataset.bin_width is not None)
        require_elements(name_of, raw, ok, wanted)


def _scale_for(bad: np.ndarray, good: np.ndarray, integers: bool) -> str:
    """The scale that takes values which are too large; empty for those that are wrong otherwise."""
    too_large = np.isfinite(bad).all() and bad.min() > max(1, good.max(initial=0))
    if not too_large or (integers and (bad % 1).any()):
        return ""
    top = float(bad.max())
    return f"; scale={BYTE if BYTE / 2 < top <= BYTE else top:.10g} takes values up to that"


def _require_accepted(model: Model, name_of: Callable[[int], str], x: np.ndarray) -> None:
    wanted = f"the likelihood takes {in_words(model.accepts)}"
    require_elements(name_of, x, np.asarray(model.accepts(x)), wanted)


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
        model: the one that x is for.
        key: example i is drawn by `example_keys(key, i)`, where anything is drawn.
        brought: `[n, ...]`, of any dtype of numbers.

    Raises:
        UserError: for another shape, and for values that make no sense or the model does not take.
    """
    what, done, shape = "what is brought", dataset.standardization, stored_shape(dataset)
    array = _as_array(what, brought)
    if array.ndim and array.shape[1:] != shape:
        needed = ", ".join(map(str, ("n", *shape)))
        raise UserError(f"{what} has shape {list(array.shape)}, where [{needed}] is needed")
    require_examples(what, array)
    raw = storable(what, array) if done is None else done.apply(array)
    _require_usable(dataset, "example {}".format, raw)
    keys = example_keys(key, jnp.arange(len(raw)))
    _, batch = jax.jit(functools.partial(present, dataset))(keys, raw)
    _require_accepted(model, "x: example {}".format, np.asarray(batch.x))
    return batch.x


def examples(dataset: Dataset, key: Array, split: str, count: int) -> tuple[Array, Batch]:
    """Keys `[count]` and the first `count` examples of a split, all of them if there are fewer."""
    raw = jnp.asarray(gather(dataset.splits[split], slice(0, count)))
    return present(dataset, example_keys(key, jnp.arange(len(raw))), raw)
