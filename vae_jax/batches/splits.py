"""Splits as they are stored: checks of their shapes and values, and rows of them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import hosts
from vae_jax.batches.keys import example_keys
from vae_jax.batches.rows import Rows, gather, rows_of
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
    present_x = jax.jit(functools.partial(x_of, dataset))
    keys = jax.random.split(jax.random.key(0), CHECKED_TOGETHER)
    for name, split in dataset.splits.items():
        starts = range(0, len(split), CHECKED_TOGETHER)
        for start in starts[hosts.index() :: hosts.count()]:  # each process checks its part
            rows = np.minimum(np.arange(start, start + CHECKED_TOGETHER), len(split) - 1)
            raw = gather(split, rows)
            name_of = functools.partial(_name, dataset, name, rows)
            _require_usable(dataset, name_of, raw)
            _require_accepted(dataset, model, name_of, *present_x(keys, raw))


def _name(dataset: Dataset, split: str, rows: np.ndarray, i: int) -> str:
    return f"data: {example_name(dataset, split, int(rows[i]))}"


def _require_usable(dataset: Dataset, name_of: Callable[[int], str], raw: np.ndarray) -> None:
    ok = np.asarray(dataset.usable(raw))
    if not ok.all():
        wanted = USABLE + _scale_for(raw[~ok], raw[ok], dataset.bin_width is not None)
        require_elements(name_of, raw, ok, wanted, dataset.names)


def _scale_for(bad: np.ndarray, good: np.ndarray, integers: bool) -> str:
    """The scale that takes values which are too large; empty for those that are wrong otherwise."""
    too_large = np.isfinite(bad).all() and bad.min() > max(1, good.max(initial=0))
    if not too_large or (integers and (bad % 1).any()):
        return ""
    top = float(bad.max())
    return f"; scale={BYTE if BYTE / 2 < top <= BYTE else top:.10g} takes values up to that"


def _require_accepted(
    dataset: Dataset,
    model: Model,
    name_of: Callable[[int], str],
    x: Array,
    observed: Array | None,
) -> None:
    wanted = f"the likelihood takes {in_words(model.accepts)}"
    if dataset.standardization is not None:
        wanted += "; standardize=False leaves x as it was brought"
    ok = model.accepts(x) if observed is None else model.accepts(x) | ~observed
    require_elements(name_of, np.asarray(x), np.asarray(ok), wanted, dataset.names)


def example_name(dataset: Dataset, split: str, i: int) -> str:
    """An example as the person who brought it numbers it: `train split, example 46 of 'x'`.

    One that has a name of its own is called by both: `example 46 ('Ann') of 'table.csv'`.
    """
    if (origin := dataset.origins.get(split)) is None:
        return f"{split} split, example {i}"
    name = "" if origin.ids is None else f" ({str(origin.ids[i])!r})"
    return f"{split} split, example {origin.rows[i]}{name} of {origin.array!r}"


def x_of(dataset: Dataset, keys: Array, raw: Any) -> tuple[Array, Array | None]:
    """x of stored examples, and which elements were observed; None: all. x is 0 where not.

    Args:
        dataset: the data set.
        keys: one for each example.
        raw: examples as stored, `[batch, ...]`.
    """
    preprocess = jax.vmap(dataset.preprocess)
    if not dataset.missing:
        return preprocess(keys, raw), None
    observed = ~jnp.isnan(raw)
    x = preprocess(keys, jnp.where(observed, raw, 0))
    return jnp.where(observed, x, 0), observed


def present(dataset: Dataset, keys: Array, raw: Any) -> tuple[Array, Batch]:
    """Keys `[batch]` and examples, made of stored ones with one of their two keys each.

    Args:
        dataset: the data set.
        keys: `[batch, 2]`, see `example_keys`.
        raw: examples as stored, `[batch, ...]`, or `Rows` of them with their conditions.
    """
    stored, given = (raw.x, raw.given) if isinstance(raw, Rows) else (raw, None)
    x, observed = x_of(dataset, keys[:, 1], stored)
    if given is not None and dataset.coding is not None:
        given = dataset.coding.expand(given)
    return keys[:, 0], Batch(x, given, observed)


def presented(
    dataset: Dataset, model: Model, key: Array, brought: Any, given: Any = None
) -> Array | Batch:
    """x `[n, *x_shape]` of examples as they were brought: in the shape and units of the data set.

    It comes in a `Batch` where values are missing, and with what is `given`.

    Args:
        dataset: the data set.
        model: the one that x is for.
        key: example i is drawn by `example_keys(key, i)`, where anything is drawn.
        brought: `[n, ...]`, of any dtype of numbers.
        given: what they are conditioned on `[n, ...]`, as it was brought; None: nothing.

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
    stored = raw if given is None else Rows(raw, codes_of(dataset, given, len(raw)))
    _, batch = jax.jit(functools.partial(present, dataset))(keys, stored)
    _require_accepted(dataset, model, "x: example {}".format, batch.x, batch.observed)
    is_plain = given is None and not np.isnan(raw).any()
    return batch.x if is_plain else batch


def codes_of(dataset: Dataset, given: Any, count: int) -> np.ndarray:
    """The codes of conditions, one for each of `count` examples, or one for all."""
    if dataset.coding is None:
        raise UserError("given: the model of this data is not conditioned on anything")
    codes = dataset.coding.codes(np.atleast_1d(np.asarray(given)))
    if len(codes) not in (1, count):
        raise UserError(f"given: {len(codes)} conditions for {count} examples")
    return np.broadcast_to(codes, (count, *codes.shape[1:]))


def examples(dataset: Dataset, key: Array, split: str, count: int) -> tuple[Array, Batch]:
    """Keys `[count]` and the first `count` examples of a split, all of them if there are fewer."""
    raw = jax.tree.map(jnp.asarray, gather(rows_of(dataset, split), slice(0, count)))
    return present(dataset, example_keys(key, jnp.arange(len(raw))), raw)
