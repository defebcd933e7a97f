"""x from stored values, and splits, for all the data sets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32

from vae_jax.brought import Origin, Standardization
from vae_jax.datasets._doubts import doubts
from vae_jax.datasets._lazy import Lazy, standardization_of
from vae_jax.datasets._missing import remarks_on
from vae_jax.datasets._splitting import by_split, shuffled_rows
from vae_jax.datasets._storing import require_examples, storable
from vae_jax.errors import UserError
from vae_jax.types import Array, Dataset, as_it_is

Binarize = Literal["none", "static", "dynamic"]
Values = Literal["greys", "levels", "dequantized"]


BINARIZE: Mapping[str, Callable[[Array, Array], Array]] = {
    "none": lambda key, x: x,
    "static": lambda key, x: jnp.where(x > 0.5, 1.0, 0.0),
    "dynamic": lambda key, x: jnp.where(_uniform16(key, x.size) / 2**16 < x, 1.0, 0.0),
}


def _uniform16(key: Array, size: int) -> Array:
    """Uniform integers below 2^16 as floats: threefry's words, all low halves before the high ones.

    For u = half / 2^16, P(u < x) is x rounded up to a multiple of 2^-16, exactly x at 0 and 1.
    `jax.random.bits` makes a word of two, and halves side by side would be moved to their places:
    so it takes 0.6 of the time. Keys of other generators begin with one of threefry's.
    """
    counts = jnp.arange((size + 1) // 2, dtype=jnp.uint32)
    words = threefry_2x32(jax.random.key_data(key)[:2], counts)
    return jnp.concatenate([words & 0xFFFF, words >> 16])[:size].astype(jnp.float32)


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
    covariates: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    names: Sequence[str] = (),
) -> Dataset:
    """A data set whose x is computed from raw values on the device, at every presentation.

    With `values` greys x is raw / scale, binarized as asked: `static` is x > 0.5, `dynamic` draws
    Bernoulli(x). With levels x is raw, an integer 0, ..., scale: L = scale + 1 levels. Dequantized,
    x is (raw + u) / L with u ~ U(0, 1), inside (0, 1); then log p(x), a density, is comparable to
    masses on levels: log P(raw) >= E_u log p((raw + u) / L) - D log L, where P is the mass of p on
    the D-dimensional bin of raw (Theis et al. 2016).

    NaN in an array is a value that was not observed.

    Args:
        splits: arrays `[n, ...]` of any dtype of numbers, `Lazy` ones, or sequences of examples.
        scale: the largest raw value.
        binarize: the greys.
        values: what x is.
        standardize: takes each element less its mean, over its standard deviation, both of the
            training split; or less and over the numbers of a `Standardization`.
        log_prob: the data's own density of x, where it is known.
        labels: of each split, `[n]`, for colours in plots.
        origins: of each split, where its examples come from.
        covariates: name -> split -> `[n]` or `[n, d]`, which conditions may name.
        names: of the columns of examples `[d]`, for messages.

    Raises:
        UserError: for splits that are no numbers, arguments that exclude each other, and more than
            256 levels to be dequantized.
    """
    _require_compatible(scale, binarize, values, bool(standardize))
    splits, done, remarks = _stored(splits, standardize, names)
    remarks_on_missing = remarks_on(splits, names)
    levels = int(scale) + 1
    x_of: Callable[[Array, Array], Array] = {
        "greys": lambda key, raw: BINARIZE[binarize](key, raw / scale),
        "levels": lambda key, raw: raw,
        "dequantized": lambda key, raw: _dequantize(key, raw, levels),
    }[values]

    def preprocess(key: Array, raw: Array) -> Array:
        flat = raw.reshape(-1).astype(jnp.float32)  # XLA is faster over one long axis
        return x_of(key, flat).reshape(raw.shape)

    has_range = binarize != "none" or values != "greys"
    return Dataset(
        splits,
        preprocess,
        log_prob,
        labels or {},
        _usable(scale if has_range else None, values != "greys", bool(remarks_on_missing)),
        bin_width={"levels": 1.0, "dequantized": 1 / (scale + 1)}.get(values),
        origins=origins or {},
        standardization=done,
        remarks=[*remarks, *remarks_on_missing],
        restore=_raw_of(scale, binarize, values),
        missing=bool(remarks_on_missing),
        covariates=covariates or {},
        names=tuple(names),
    )


def _raw_of(scale: float, binarize: Binarize, values: Values) -> Callable[[Any], Any]:
    """x -> the stored values that it was made of, where they can be told."""
    if values == "dequantized":
        levels = int(scale) + 1
        return lambda x: np.clip(np.floor(np.asarray(x) * levels), 0, levels - 1)
    is_scaled = values == "greys" and binarize == "none" and scale != 1
    return (lambda x: np.asarray(x) * scale) if is_scaled else as_it_is


def _usable(top: float | None, is_whole: bool, is_missing: bool) -> Callable[[Any], Any]:
    """Stored values -> which of them make sense: finite ones, or those from 0 to a top.

    Args:
        top: the largest; None: there is none.
        is_whole: that integers alone are levels.
        is_missing: that NaN is a value that was not observed.
    """

    def usable(raw: Any) -> Any:
        ok = np.isfinite(raw) if top is None else (raw >= 0) & (raw <= top)
        ok = ok & (np.floor(raw) == raw) if is_whole else ok
        return ok | np.isnan(raw) if is_missing else ok

    return usable


def _require_compatible(scale: float, binarize: str, values: str, standardize: bool) -> None:
    """Refuses levels that are binarized, more than 256 that are dequantized, and what has no mean.

    Raises:
        UserError: naming the arguments.
    """
    if binarize != "none" and values != "greys":
        raise UserError(f"values={values!r} goes with binarize='none', not {binarize!r}")
    if values != "greys" and scale % 1:
        raise UserError(f"scale={scale}: the greatest level is a whole number")
    if values == "dequantized" and scale > 255:
        raise UserError(f"values='dequantized' takes at most 256 levels, not {scale + 1:.0f}")
    if standardize and (binarize != "none" or values != "greys" or scale != 1):
        given = f"binarize={binarize!r}, values={values!r}, scale={scale:g}"
        needed = "binarize='none', values='greys' and scale=1"
        raise UserError(f"standardize=True goes with {needed}, not with {given}")


def _stored(
    splits: Mapping[str, Any], standardize: bool | Standardization, names: Sequence[str]
) -> tuple[dict[str, Any], Standardization | None, list[str]]:
    """The splits as they are kept, how they were standardized, and doubts about them.

    What is neither an array nor `Lazy` is kept as it is.
    """
    arrays = {n: split for n, split in splits.items() if isinstance(split, np.ndarray | Lazy)}
    for name, array in arrays.items():
        require_examples(f"the {name} split", array)
    train = arrays.get("train")
    done = standardize if isinstance(standardize, Standardization) else None
    if standardize and done is None:
        if len(arrays) < len(splits) or train is None:
            raise UserError("standardize=True needs arrays, among them the training split")
        done = standardization_of(train)
    kept = {name: _kept(f"the {name} split", array, done) for name, array in arrays.items()}
    remarks = [] if train is None else list(doubts(train, kept["train"], names))
    return {**splits, **kept}, done, remarks


def _kept(name: str, split: Any, done: Standardization | None) -> Any:
    """The split as a device can hold it, standardized where it is: as it is read if it is lazy."""
    if done is None:
        return storable(name, split)
    return split.converted(done.apply) if isinstance(split, Lazy) else done.apply(split)


def shuffled_dataset(
    name: str, data: np.ndarray, labels: np.ndarray, sizes: tuple[float, float], **how: Any
) -> Dataset:
    """The data set of one array, shuffled and split, whose examples are named by their rows.

    Args:
        name: of the array.
        data: `[n, ...]`.
        labels: `[n]`.
        sizes: of validation and test, counts or fractions.
        how: arguments of `make_dataset`.
    """
    rows = {name: shuffled_rows(len(data), *sizes)}
    return make_dataset(**by_split({name: (name, data)}, {name: labels}, rows), **how)
