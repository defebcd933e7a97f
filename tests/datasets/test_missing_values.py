"""Values that were not observed: NaN, masks beside arrays, and what is said of them."""

import jax
import numpy as np
import pandas as pd
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid, x_of
from vae_jax.datasets import make_dataset

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(60, 3)).astype(np.float32)
SEEN = RNG.random((60, 3)) < 0.7


def with_holes(values=VALUES, seen=SEEN):
    return np.where(seen, values, np.nan)


def all_of(dataset):
    """The stored values in the order in which they were brought."""
    rows = np.concatenate([origin.rows for origin in dataset.origins.values()])
    return np.concatenate([*dataset.splits.values()])[np.argsort(rows)]


def test_nan_is_a_value_that_was_not_observed(tmp_path):
    dataset = make(save(tmp_path, x=with_holes()))
    assert dataset.missing
    np.testing.assert_array_equal(all_of(dataset), with_holes())
    remark = dataset.remarks[0]
    number = int((~SEEN).sum())
    assert remark == f"{number} of 180 values are missing (columns 0, 1, 2): taken as not observed"
    require_valid(dataset, build_model((3,), 2, likelihood="normal"))
    assert not make(save(tmp_path, x=VALUES)).missing


def test_infinite_values_are_refused_by_name_beside_those_that_are_missing(tmp_path):
    values = with_holes()
    values[7, 1] = np.inf
    model = build_model((3,), 2, likelihood="normal")
    for more in (")", ", standardize=True)"):
        with pytest.raises(UserError, match=r"example 7 of 'x', element \[1\] is inf"):
            require_valid(make(save(tmp_path, x=values)[:-1] + more), model)


@pytest.mark.parametrize("word", ["observed", "missing", "mask"])
@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_a_mask_says_the_same_as_nan(tmp_path, word, kind):
    mask = (~SEEN if word == "missing" else SEEN).astype(kind)
    dataset = make(save(tmp_path, x=VALUES, **{word: mask}))
    np.testing.assert_array_equal(all_of(dataset), with_holes())
    split = make(
        save(tmp_path, train=VALUES, test=VALUES[:9], **{f"train_{word}": mask})[:-1]
        + ", validation=10)"
    )
    np.testing.assert_array_equal(split.splits["train"], with_holes()[:50])
    np.testing.assert_array_equal(split.splits["validation"], with_holes()[50:])
    np.testing.assert_array_equal(split.splits["test"], VALUES[:9])
    assert not [remark for remark in split.remarks if "not read" in remark]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float16", "float64"])
@pytest.mark.parametrize("with_channels", [True, False])
def test_masked_images_keep_their_values_and_their_scale(tmp_path, dtype, with_channels):
    images = RNG.integers(0, 256, (30, 4, 5, 3)).astype(dtype)
    seen = RNG.random((30, 4, 5, 1)) < 0.6
    mask = np.broadcast_to(seen, images.shape) if with_channels else seen[..., 0]
    dataset = make(save(tmp_path, x=images, observed=mask))
    stored = all_of(dataset)
    np.testing.assert_array_equal(stored, np.where(seen, images, np.nan))
    x, observed = x_of(dataset, jax.random.split(jax.random.key(0), 30), stored)
    expected = images / (255 if dtype == "uint8" else 1)
    np.testing.assert_allclose(x, np.where(seen, expected, 0), rtol=1e-6)
    np.testing.assert_array_equal(observed, np.broadcast_to(seen, images.shape))


MASKS = {
    "another shape": ("observed", SEEN[:, :2], r"'observed' has shape \(60, 2\), and .*\(60, 3\)"),
    "one a row": ("observed", SEEN[:, 0], r"'observed' has shape \(60,\)"),
    "other values": ("observed", 2 * SEEN.astype(int), "holds other values than True and False"),
    "text": ("observed", SEEN.astype(str), "holds other values than True and False"),
    "the other way": ("mask", ~SEEN, r"'mask' is True for 3\d% of the values: call it 'observed'"),
}


@pytest.mark.parametrize("what", MASKS)
def test_masks_that_cannot_be_are_refused(tmp_path, what):
    name, mask, expected = MASKS[what]
    with pytest.raises(UserError, match=expected):
        make(save(tmp_path, x=VALUES, **{name: mask}))


def test_a_mask_that_is_true_where_values_are_nan_is_refused(tmp_path):
    few = RNG.random((60, 3)) < 0.9
    values = np.where(few, VALUES, np.nan)
    values[~few] = np.nan
    make(save(tmp_path, x=values, mask=few))
    flipped = ~few | (RNG.random((60, 3)) < 0.8)
    with pytest.raises(UserError, match="'mask' is True where values are NaN: call it"):
        make(save(tmp_path, x=values, mask=flipped))


def test_two_masks_of_one_array_are_refused(tmp_path):
    with pytest.raises(UserError, match="'mask' and 'observed', which are both read as all masks"):
        make(save(tmp_path, x=VALUES, mask=SEEN, observed=SEEN))


def test_a_mask_of_no_examples_is_named(tmp_path):
    dataset = make(save(tmp_path, train=VALUES, test=VALUES, validation_mask=SEEN))
    assert any("'validation_mask' is not read" in remark for remark in dataset.remarks)


def test_missing_values_are_left_out_of_means_and_deviations(tmp_path):
    """The numbers are those of pandas, which leaves NaN out."""
    values = with_holes() * [1, 1e5, 1] + [0, 0, 1e9]
    dataset = make(
        save(tmp_path, train=values, test=values)[:-1] + ", validation=0, standardize=True)"
    )
    frame = pd.DataFrame(values)
    np.testing.assert_allclose(dataset.standardization.mean, frame.mean(), rtol=1e-12)
    np.testing.assert_allclose(dataset.standardization.scale, frame.std(ddof=0), rtol=1e-8)
    expected = (frame - frame.mean()) / frame.std(ddof=0)
    np.testing.assert_allclose(dataset.splits["train"], expected, rtol=1e-4, atol=1e-6)


def test_doubts_leave_missing_values_out():
    """A table is doubted for the same columns with and without holes."""
    columns = [
        RNG.normal(size=2000),
        np.ones(2000),
        1.6e9 + np.arange(2000) / 50,
        RNG.normal(size=2000) * 1e-4,
    ]
    whole = np.stack(columns, axis=1)
    holed = np.where(RNG.random(whole.shape) < 0.7, whole, np.nan)
    expected = make_dataset({"train": whole}).remarks
    found = make_dataset({"train": holed}).remarks
    assert found[:3] == expected
    assert "are missing" in found[3]


def test_what_is_never_observed_is_said():
    values = with_holes()
    values[:, 1], values[5] = np.nan, np.nan
    values[10:12] = np.nan
    test = values[:8].copy()
    test[:, 1] = 0
    remarks = make_dataset({"train": values, "test": test[:6]}, names=("a", "b", "c")).remarks
    assert "column b: observed in no training example, so nothing is learned of it" in remarks
    empty = np.isnan(values).all(1).sum(), np.isnan(test[:6]).all(1).sum()
    assert f"{sum(empty)} examples have no observed value (train {empty[0]})" in remarks
    images = make_dataset({"train": values.reshape(60, 3, 1)}).remarks
    assert any(remark.startswith("1 element: observed in no training") for remark in images)


@pytest.mark.parametrize("options", ["binarize='static'", "values='levels'", "scale=4.0"])
def test_levels_and_bits_may_be_missing(tmp_path, options):
    levels = np.where(SEEN, RNG.integers(0, 2, SEEN.shape), np.nan)
    dataset = make(save(tmp_path, x=levels)[:-1] + f", {options})")
    stored = all_of(dataset)
    x, observed = x_of(dataset, jax.random.split(jax.random.key(0), 60), stored)
    np.testing.assert_array_equal(observed, SEEN)
    assert np.isfinite(x).all()
    stored[3] = 0.5 if "levels" in options else -1 if "static" in options else np.inf
    assert dataset.usable(stored).sum() == 180 - 3
