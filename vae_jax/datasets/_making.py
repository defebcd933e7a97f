"""x from stored values, and splits, for all the data sets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.brought import Origin, Standardization
from vae_jax.datasets._doubts import channels_first, doubts
from vae_jax.datasets._storing import require_numbers, storable
from vae_jax.errors import UserError
from vae_jax.types import Array, Dataset

Binarize = Literal["none", "static", "dynamic"]
Values = Literal["greys", "levels", "dequantized"]
Rows = Mapping[str, Sequence[int] | np.ndarray]  # split -> places in an array


BINARIZE: Mapping[str, Callable[[Array, Array], Array]] = {
    "none": lambda key, x: x,
    "static": lambda key, x: jnp.where(x > 0.5, 1.0, 0.0),
    "dynamic": lambda key, x: jnp.where(_uniform16(key, x.size) / 2**16 < x, 1.0, 0.0),
}


def _uniform16(key: Array, size: int) -> Array:
    """Uniform integers below 2^16 as floats, two from each random word, in half the time of one.

    For u = half / 2^16, P(u < x) is x rounded up to a multiple of 2^-16, exactly x at 0 and 1.
    """
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size]
    return halves.astype(jnp.float32)


def _dequantize(key: Array, raw: Array, levels: int) -> Array:
    """(raw + u) / levels, u uniform on the 2^15 odd multiples of 2^-16: exact up to 256 levels."""
    u = (2 * jnp.floor(_uniform16(key, raw.size) / 2) + 1) / 2**16
    return (raw + u) / levels


def make_dataset(
    splits: Mapping[str, Any],
    *,
    scale: float = 1.0,
    binarize: Binarize = "none",
    values: Values = "greys",
    standardize: bool | Standardization = False,
    log_prob: Callable[[Array], Array] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
    origins: Mapping[str, Origin] | None = None,
) -> Dataset:
    """A data set whose x is computed from raw values on the device, at every presentation.

    With `values` greys x is raw / scale, binarized as asked: `static` is x > 0.5, `dynamic` draws
    Bernoulli(x). With levels x is raw, an integer 0, ..., scale: L = scale + 1 levels. Dequantized,
    x is (raw + u) / L with u ~ U(0, 1), inside (0, 1); then log p(x), a density, is comparable to
    masses on levels: log P(raw) >= E_u log p((raw + u) / L) - D log L, where P is the mass of p on
    the D-dimensional bin of raw (Theis et al. 2016).

    Raises:
        UserError: for levels that are binarized, or more than 256 of them to be dequantized.
    """
    if binarize != "none" and values != "greys":
        raise UserError(f"values={values!r} goes with binarize='none', not {binarize!r}")
    if values != "greys" and scale % 1:
        raise UserError(f"scale={scale}: the greatest level is a whole number")
    if values == "dequantized" and scale > 255:
        raise UserError(f"values='dequantized' takes at most 256 levels, not {scale + 1:.0f}")
    if standardize and (binarize != "none" or values != "greys" or scale != 1):
        raise UserError("standardize goes with binarize='none', values='greys' and scale=1")
    splits, standardization, remarks = _stored(splits, standardize)
    x_of: Callable[[Array, Array], Array] = {
        "greys": lambda key, raw: BINARIZE[binarize](key, raw / scale),
        "levels": lambda key, raw: raw,
        "dequantized": lambda key, raw: _dequantize(key, raw, int(scale) + 1),
    }[values]

    def preprocess(key: Array, raw: Array) -> Array:
        flat = raw.reshape(-1).astype(jnp.float32)  # XLA is faster over one long axis
        return x_of(key, flat).reshape(raw.shape)

    def usable(raw: Any) -> Any:
        in_range = (raw >= 0) & (raw <= scale)
        return in_range & (values == "greys" or raw % 1 == 0)

    checked = np.isfinite if binarize == "none" and values == "greys" else usable
    bin_width = {"levels": 1.0, "dequantized": 1 / (scale + 1)}.get(values)
    more = (checked, bin_width, origins or {}, standardization, remarks)
    return Dataset(splits, preprocess, log_prob, labels or {}, *more)


def _stored(
    splits: Mapping[str, Any], standardize: bool | Standardization
) -> tuple[dict[str, Any], Standardization | None, list[str]]:
    """The splits as they are kept, how they were standardized, and doubts about them.

    What is no array, since it is decoded as it is read, is kept as it is.
    """
    arrays = {name: split for name, split in splits.items() if isinstance(split, np.ndarray)}
    for name, array in arrays.items():
        require_numbers(f"the {name} split", array)
    done = standardize if isinstance(standardize, Standardization) else None
    if standardize and not done and "train" in arrays:
        done = Standardization.of(arrays["train"])
    kept = {
        name: storable(f"the {name} split", array) if done is None else done.apply(array)
        for name, array in arrays.items()
    }
    remarks: list[str] = []
    if "train" in arrays:
        remarks += [*doubts(arrays["train"], kept["train"]), *channels_first(kept["train"])]
    return {**splits, **kept}, done, remarks


def count(size: int | float, total: int) -> int:
    """A number of examples given as a count (int) or as a fraction of `total` (float).

    Raises:
        UserError: if it is negative or leaves nothing.
    """
    number = size if isinstance(size, int) else round(size * total)
    if not 0 <= number < total:
        raise UserError(f"{size} examples or parts of {total} cannot be held out")
    return number


def held_rows(total: int, validation: int | float) -> dict[str, range]:
    """The splits train and validation: the last rows of the training set, none if 0."""
    kept = total - count(validation, total)
    held = {} if kept == total else {"validation": range(kept, total)}
    return {"train": range(kept), **held}


def hold_out(train: Any, validation: int | float) -> dict[str, Any]:
    """The splits train and validation: the last examples of the training set, none if 0."""
    rows = held_rows(len(train), validation)
    return {name: train[places.start : places.stop] for name, places in rows.items()}


def shuffled_rows(total: int, validation: int | float, test: int | float) -> dict[str, np.ndarray]:
    """The rows of three splits of one array after a shuffle that is always the same."""
    order = np.random.default_rng(0).permutation(total)
    first = count(test, total)
    return {**hold_out(order[first:], validation), "test": order[:first]}


def shuffled_splits(
    data: np.ndarray, validation: int | float, test: int | float, labels: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits of one array after a shuffle that is always the same, and those of its labels."""
    rows = shuffled_rows(len(data), validation, test)
    splits = {name: data[places] for name, places in rows.items()}
    return splits, {} if labels is None else {n: labels[places] for n, places in rows.items()}
