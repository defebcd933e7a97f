"""Data sets, one a file; here what they share: binarization, held-out examples, checks."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import UserError
from vae_jax.types import Array, Dataset, Model

Binarize = Literal["none", "static", "dynamic"]
BINARIZE: Mapping[str, Callable[[Array, Array], Array]] = {
    "none": lambda key, x: x,
    "static": lambda key, x: jnp.where(x > 0.5, 1.0, 0.0),
    "dynamic": lambda key, x: jnp.where(jax.random.uniform(key, x.shape) < x, 1.0, 0.0),
}


def make_dataset(
    splits: Mapping[str, Any],
    *,
    scale: float = 1.0,
    binarize: Binarize = "none",
    log_prob: Callable[[Array], Array] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
) -> Dataset:
    """A data set whose x is raw / scale, binarized on the device as asked.

    `static` is x > 0.5; `dynamic` draws Bernoulli(x) at every presentation.
    """
    binarized = BINARIZE[binarize]

    def preprocess(key: Array, raw: Array) -> Array:
        return binarized(key, raw.astype(jnp.float32) / scale)

    return Dataset(splits, preprocess, log_prob, labels or {})


def count(size: float, total: int) -> int:
    """A number of examples given as a count (int) or as a fraction of `total` (float).

    Raises:
        UserError: if it is negative or leaves nothing.
    """
    number = size if isinstance(size, int) else round(size * total)
    if not 0 <= number < total:
        raise UserError(f"{size} examples or parts of {total} cannot be held out")
    return number


def hold_out(train: Any, validation: float) -> dict[str, Any]:
    """The splits train and validation: the last examples of the training set, none if 0."""
    kept = len(train) - count(validation, len(train))
    held = {} if kept == len(train) else {"validation": train[kept:]}
    return {"train": train[:kept], **held}


def shuffled_splits(
    data: np.ndarray, validation: float, test: float, labels: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits of one array after a shuffle that is always the same, and the test set's labels."""
    order = np.random.default_rng(0).permutation(len(data))
    first = count(test, len(data))
    splits = {**hold_out(data[order[first:]], validation), "test": data[order[:first]]}
    return splits, {} if labels is None else {"test": labels[order[:first]]}


def x_shape(dataset: Dataset) -> tuple[int, ...]:
    """The shape of one example on the device."""
    raw = np.asarray(dataset.splits["train"][0])
    return jax.eval_shape(dataset.preprocess, jax.random.key(0), raw).shape


def require_valid(dataset: Dataset, model: Model) -> None:
    """Checks each split before training: not empty, one shape, finite, what p(x | z) accepts.

    Raises:
        UserError: naming the split, the example and the value.
    """
    shape = np.shape(dataset.splits["train"][0]) if len(dataset.splits["train"]) else None
    for name, split in dataset.splits.items():
        if len(split) == 0:
            raise UserError(f"data: the {name} split is empty")
        if (other := np.shape(split[0])) != shape:
            raise UserError(f"data: {name} examples have shape {other}, train examples {shape}")
        for start in range(0, len(split), 10_000):
            _require_accepted(
                name, start, gather(split, slice(start, start + 10_000)), dataset, model
            )


def gather(split: Any, rows: Any) -> np.ndarray:
    """The examples of a slice or an index array, stacked, from an array or any sequence."""
    if isinstance(split, np.ndarray):
        return np.asarray(split[rows])
    indices = range(len(split))[rows] if isinstance(rows, slice) else rows
    return np.stack([split[int(i)] for i in indices])


def _require_accepted(
    name: str, start: int, raw: np.ndarray, dataset: Dataset, model: Model
) -> None:
    x = np.asarray(_preprocess_all(dataset.preprocess, raw))
    ok = np.isfinite(x) & np.asarray(model.accepts(x))
    if ok.all():
        return
    example, *element = np.argwhere(~ok)[0]
    value, where = x[(example, *element)], f"example {start + example}, element {element}"
    wanted = f"the likelihood takes {str(model.accepts).strip('<>')}"
    raise UserError(f"data: {name} split, {where} is {value}: {wanted}, finite")


def _preprocess_all(preprocess: Callable[[Array, Array], Array], raw: np.ndarray) -> Array:
    keys = jax.random.split(jax.random.key(0), len(raw))
    return jax.jit(jax.vmap(preprocess))(keys, raw)
