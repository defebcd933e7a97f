"""Files as people bring them: every dtype, shape and name is read, or refused in one line."""

import re

import jax
import numpy as np
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_shapes, require_valid, x_shape

READ = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "longdouble"),
    *(">i2", ">i4", ">i8", ">u4", ">f2", ">f4", ">f8", "<f8"),
]
RNG = np.random.default_rng(0)


def x_of(dataset, split="train"):
    raw = dataset.splits[split]
    return np.asarray(jax.jit(jax.vmap(lambda r: dataset.preprocess(jax.random.key(0), r)))(raw))


@pytest.mark.parametrize("dtype", READ)
def test_every_dtype_of_numbers_is_read(tmp_path, dtype):
    values = RNG.integers(0, 2 if dtype == "bool" else 100, (30, 4)).astype(dtype)
    scale = ", scale=1.0" if dtype == "uint8" else ""
    dataset = make(save(tmp_path, train=values, test=values[:9])[:-1] + scale + ", validation=0)")
    np.testing.assert_array_equal(x_of(dataset), values.astype(np.float64))
    assert dataset.splits["train"].dtype.isnative
    assert dataset.splits["train"].dtype.itemsize <= 4
    require_valid(require_shapes(dataset), build_model((4,), 2, likelihood="normal"))


@pytest.mark.parametrize("value", [2**31, -(2**40), 2**53])
def test_integers_beyond_32_bits_do_not_wrap(tmp_path, value):
    values = np.array([[value, 1]] * 9, np.int64)
    dataset = make(save(tmp_path, train=values, test=values))
    np.testing.assert_array_equal(x_of(dataset)[0], [value, 1])


REFUSED = {
    "complex": (np.zeros((9, 2), complex), "complex128, complex numbers: save real and imaginary"),
    "text": (np.full((9, 2), "a"), "text: save numbers"),
    "bytes": (np.full((9, 2), b"a"), "bytes: save numbers"),
    "dates": (np.zeros((9, 2), "datetime64[D]"), "dates: save numbers"),
    "durations": (np.zeros((9, 2), "timedelta64[s]"), "durations: save numbers"),
    "records": (np.zeros((9, 2), [("a", "f4")]), "records: save an array of numbers"),
    "bfloat16": (np.zeros((9, 2), "V2"), "records"),
    "objects": (np.full((9, 2), None), "Python objects"),
    "beyond float32": (np.full((9, 2), 1e300), "1e+300, which float32 cannot"),
    "single numbers": (np.zeros(9), r"shape (9,), single numbers: save it after .reshape(-1, 1)"),
    "one number": (np.float32(3), "no array of numbers"),
    "no columns": (np.zeros((9, 0)), "shape (9, 0): there is nothing in it"),
    "no rows": (np.zeros((0, 2)), "shape (0, 2): there is nothing in it"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, what):
    array, expected = REFUSED[what]
    good = np.zeros((9, 2), np.float32)
    for splits in ({"train": array, "test": good}, {"train": good, "test": array}):
        with pytest.raises(UserError) as error:
            require_shapes(make(save(tmp_path, **splits)))
        assert expected in str(error.value) or "shape" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError) as error:
        make(save(tmp_path, mine=array))
    assert expected in str(error.value) or what == "one number"


@pytest.mark.parametrize("shape", [(2,), (4, 3), (4, 3, 1), (4, 3, 3), (2, 2, 2, 2)])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_every_shape_of_examples_is_read(tmp_path, shape, order):
    values = RNG.normal(size=(30, *shape)).astype(np.float32)
    kept = {"C": values, "F": np.asfortranarray(values), "strided": np.repeat(values, 2, 0)[::2]}
    dataset = require_shapes(
        make(save(tmp_path, train=kept[order], test=values)[:-1] + ", validation=0)")
    )
    np.testing.assert_array_equal(x_of(dataset), values)
    assert x_shape(dataset) == shape
    require_valid(dataset, build_model(shape, 2, likelihood="normal"))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_are_noticed(tmp_path, channels):
    first = np.zeros((20, channels, 8, 8), np.float32)
    [remark] = make(save(tmp_path, train=first, test=first)).remarks
    assert "np.moveaxis(a, 1, -1)" in remark
    last = np.moveaxis(first, 1, -1)
    assert not make(save(tmp_path, train=last, test=last)).remarks


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test", "train_labels", "test_labels"),
        ("x_train", "x_test", "y_train", "y_test"),
        ("X_train", "X_test", "Y_train", "Y_test"),
        ("train_images", "test_images", "train_labels", "test_labels"),
        ("train", "test", "train_y", "test_y"),
    ],
)
def test_labels_stay_with_their_examples(tmp_path, names):
    values = np.arange(50, dtype=np.float32).reshape(50, 1)
    labels = (np.arange(50) % 7)[:, None]  # a column, as some files have it
    arrays = dict(zip(names, (values[:40], values[40:], labels[:40], labels[40:, 0]), strict=True))
    dataset = make(save(tmp_path, **arrays))
    assert not [r for r in dataset.remarks if "not read" in r]
    assert dataset.labels.keys() == {"train", "validation", "test"}
    for split, kept in dataset.labels.items():
        np.testing.assert_array_equal(kept, dataset.splits[split][:, 0] % 7)


@pytest.mark.parametrize("name", ["labels", "y", "target"])
def test_labels_of_one_array_are_shuffled_with_it(tmp_path, name):
    values = np.arange(50, dtype=np.float32).reshape(50, 1)
    dataset = make(
        save(tmp_path, mine=values, **{name: np.array([f"c{i % 3}" for i in range(50)])})
    )
    for split, kept in dataset.labels.items():
        expected = [f"c{i % 3}" for i in dataset.splits[split][:, 0].astype(int)]
        assert kept.tolist() == expected


@pytest.mark.parametrize("data", ["digits", "tabular(name='iris')"])
def test_shipped_data_has_labels_of_every_split(data):
    dataset = make(data)
    assert {k: len(v) for k, v in dataset.labels.items()} == {
        k: len(v) for k, v in dataset.splits.items()
    }


def test_labels_of_another_length_are_refused(tmp_path):
    arrays = {"train": np.zeros((9, 2)), "test": np.zeros((9, 2)), "train_labels": np.zeros(8)}
    with pytest.raises(
        UserError, match=r"'train_labels' have shape \(8,\), and the examples 'train'"
    ):
        make(save(tmp_path, **arrays))


def test_nothing_is_dropped_without_a_word(tmp_path):
    values = RNG.normal(size=(20, 2))
    dataset = make(save(tmp_path, train=values, test=values, weights=values, y=np.zeros(20)))
    assert "data.npz: 'weights' is not read" in dataset.remarks
    assert any("'y' is not read" in remark for remark in dataset.remarks)
    with pytest.raises(UserError, match="a 'test' array is needed beside 'train'"):
        make(save(tmp_path, train=values))


@pytest.mark.parametrize("options", ["", ", binarize='dynamic'", ", values='dequantized'"])
@pytest.mark.parametrize(("top", "advice"), [(1, "give scale=1,"), (16, "give scale=16,")])
def test_a_sliver_of_uint8_costs_a_line_that_says_what_to_give(tmp_path, options, top, advice):
    values = RNG.integers(0, top + 1, (40, 5)).astype(np.uint8)
    text = save(tmp_path, mine=values)[:-1] + options
    with pytest.raises(UserError, match=f"holds uint8 from 0 to {top}, .*: {advice}"):
        make(text + ")")
    for scale in (top, 255):
        assert make(f"{text}, scale={scale})").splits["train"].max() == top


def test_bits_of_any_dtype_give_one_x(tmp_path):
    bits = RNG.integers(0, 2, (40, 5))
    as_bool = x_of(make(save(tmp_path, mine=bits.astype(bool))))
    as_uint8 = x_of(make(save(tmp_path, mine=bits.astype(np.uint8))[:-1] + ", scale=1)"))
    np.testing.assert_array_equal(as_bool, as_uint8)


def test_a_value_out_of_range_names_the_scale_that_would_do(tmp_path):
    values = RNG.integers(0, 256, (40, 5)).astype(np.int32)
    dataset = make(save(tmp_path, mine=values)[:-1] + ", binarize='dynamic')")
    with pytest.raises(UserError, match="scale=255 takes values up to that"):
        require_valid(dataset, build_model((5,), 2))


def test_the_row_is_named_as_the_user_numbers_it(tmp_path):
    values = RNG.normal(size=(60, 3)).astype(np.float32)
    values[5, 1] = np.nan
    model = build_model((3,), 2, likelihood="normal")
    with pytest.raises(UserError, match=r"split, example 5 of 'mine', element \[1\] is nan"):
        require_valid(make(save(tmp_path, mine=values)), model)
    values[5, 1], values[58, 2] = 0, np.inf
    with pytest.raises(UserError, match=r"validation split, example 58 of 'train', element \[2\]"):
        require_valid(make(save(tmp_path, train=values, test=values[:9])), model)


def test_columns_that_float32_cannot_tell_apart_are_named(tmp_path):
    times = 1.6e9 + np.arange(-10, 10, 0.02)
    values = np.stack([RNG.normal(size=1000), times, RNG.normal(size=1000)], axis=1)
    for kept in (values, np.stack([times.astype(np.int64) * 1000 + np.arange(1000)] * 2, 1)):
        remarks = make(save(tmp_path, mine=kept)).remarks
        assert any("float32 makes one of different values of column" in r for r in remarks)
    assert any(
        "of column 1: standardize=True" in r for r in make(save(tmp_path, mine=values)).remarks
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([1.0, 0.0, 1.0], "column 1: a single value"),
        ([1.0, 1e5, 1.0], "standard deviations from .* to .*column 1.*standardize=True"),
        ([1e-4, 1.0, 1.0], "standard deviations from .*column 0.*standardize=True"),
    ],
)
def test_columns_that_differ_too_much_are_named(tmp_path, columns, expected):
    values = RNG.normal(size=(200, 3)) * columns
    remarks = make(save(tmp_path, mine=values)).remarks
    assert any(re.search(expected, remark) for remark in remarks), remarks
    standardized = make(save(tmp_path, mine=values)[:-1] + ", standardize=True)").remarks
    assert not [remark for remark in standardized if "single value" not in remark]


def test_columns_far_from_zero_are_named(tmp_path):
    values = RNG.normal(size=(200, 3)) + np.array([0, 5000, 0])
    [remark] = make(save(tmp_path, mine=values)).remarks
    assert remark.startswith("column 1: a spread of less than a hundredth")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16"])
def test_bits_and_bytes_are_not_doubted(tmp_path, dtype):
    values = np.zeros((50, 4), dtype)
    values[:, 1] = 100
    assert not make(save(tmp_path, train=values, test=values)).remarks


def test_a_file_is_named_by_what_is_wrong_with_it(tmp_path):
    with pytest.raises(UserError, match="is a directory"):
        make(f"npz(path='{tmp_path}')")
    np.save(tmp_path / "one.npy", np.zeros((4, 4)))
    for name, content in {"cut.npz": b"PK\x03\x04", "empty.npz": b"", "text.npz": b"a,b"}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("one.npy", "cut.npz", "empty.npz", "text.npz"):
        with pytest.raises(UserError, match=r"is no .npz file of plain arrays \(np.savez\)"):
            make(f"npz(path='{tmp_path / name}')")


def test_home_is_where_the_tilde_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, mine=RNG.normal(size=(20, 2)))
    assert make("npz(path='~/data.npz')").splits["train"].shape == (14, 2)
