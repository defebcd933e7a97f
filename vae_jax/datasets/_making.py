"""x from stored values, and splits, for all the data sets."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import UserError
from vae_jax.types import Array, Dataset

Binarize = Literal["none", "static", "dynamic"]
Values = Literal["greys", "levels", "dequantized"]


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
    log_prob: Callable[[Array], Array] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
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
    return Dataset(splits, preprocess, log_prob, labels or {}, checked, bin_width)


def count(size: int | float, total: int) -> int:
    """A number of examples given as a count (int) or as a fraction of `total` (float).

    Raises:
        UserError: if it is negative or leaves nothing.
    """
    number = size if isinstance(size, int) else round(size * total)
    if not 0 <= number < total:
        raise UserError(f"{size} examples or parts of {total} cannot be held out")
    return number


def hold_out(train: Any, validation: int | float) -> dict[str, Any]:
    """The splits train and validation: the last examples of the training set, none if 0."""
    kept = len(train) - count(validation, len(train))
    held = {} if kept == len(train) else {"validation": train[kept:]}
    return {"train": train[:kept], **held}


def shuffled_splits(
    data: np.ndarray, validation: int | float, test: int | float, labels: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits of one array after a shuffle that is always the same, and the test set's labels."""
    order = np.random.default_rng(0).permutation(len(data))
    first = count(test, len(data))
    splits = {**hold_out(data[order[first:]], validation), "test": data[order[:first]]}
    return splits, {} if labels is None else {"test": labels[order[:first]]}
