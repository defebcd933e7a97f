"""Arrays as people bring them: every dtype and shape is read, or refused in one line by name."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError, build_model, elbo
from vae_jax.batches.splits import gather, require_shapes, require_valid, x_shape
from vae_jax.datasets import make_dataset
from vae_jax.types import Dataset

READ = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "longdouble", "bfloat16"),
    *(">i2", ">u2", ">i4", ">i8", ">u4", ">u8", ">f2", ">f4", ">f8", "<f8", "<i4"),
]
RNG = np.random.default_rng(0)


def dtype_of(name):
    return ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)


def values_of(dtype):
    return RNG.integers(0, 2 if dtype == "bool" else 100, (30, 4)).astype(dtype_of(dtype))


def x_of(dataset, split="train"):
    """x on the device, as training makes it of the stored array."""
    raw = jax.device_put(gather(dataset.splits[split], slice(None)))
    return np.asarray(jax.vmap(lambda one: dataset.preprocess(jax.random.key(0), one))(raw))


@pytest.mark.parametrize("dtype", READ)
def test_every_dtype_of_numbers_is_read(dtype):
    values = values_of(dtype)
    dataset = require_shapes(make_dataset({"train": values, "test": values[:9]}))
    np.testing.assert_array_equal(x_of(dataset), values.astype(np.float64))
    require_valid(dataset, build_model((4,), 2, likelihood="normal"))


@pytest.mark.parametrize("dtype", [name for name in READ if name != "bfloat16"])
def test_every_dtype_is_read_from_a_file(tmp_path, dtype):
    values = values_of(dtype)
    scale = ", scale=1.0" if dtype == "uint8" else ""
    dataset = make(save(tmp_path, train=values, test=values[:9])[:-1] + scale + ", validation=0)")
    np.testing.assert_array_equal(x_of(dataset), values.astype(np.float64))
    assert dataset.splits["train"].dtype.isnative
    assert dataset.splits["train"].dtype.itemsize <= 4


@pytest.mark.parametrize("kind", [np.asarray, list, tuple, jnp.asarray])
@pytest.mark.parametrize("dtype", ["int64", ">f8", ">i4", "float64", "bool"])
def test_splits_of_a_data_set_from_outside_are_read_too(kind, dtype):
    values = values_of(dtype)
    if kind is jnp.asarray:
        values = values.astype(values.dtype.newbyteorder("="))
    splits = {"train": kind(values), "test": kind(values[:9])}
    dataset = require_shapes(Dataset(splits, lambda key, raw: raw.astype(jnp.float32)))
    np.testing.assert_array_equal(x_of(dataset), values.astype(np.float64))


class Decoded:
    """A split that is decoded example by example."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, i):
        return self.array[i]


@pytest.mark.parametrize("dtype", ["int64", ">f4", "complex64", "U3", "object"])
def test_examples_that_are_decoded_to_what_no_device_holds_are_refused(dtype):
    split = Decoded(np.zeros((9, 2)).astype(dtype))
    with pytest.raises(UserError, match=r"data: the train split.*(which no device|no array)"):
        require_shapes(Dataset({"train": split}, lambda key, raw: raw))


@pytest.mark.parametrize("value", [2**31, -(2**40), 2**53, -(2**31), 2**32])
def test_integers_beyond_32_bits_do_not_wrap(value):
    dataset = make_dataset({"train": np.array([[value, 1]] * 9, np.int64)})
    np.testing.assert_array_equal(x_of(dataset)[0], [value, 1])


REFUSED = {
    "complex": (np.zeros((9, 2), complex), "complex128, complex numbers: save real and imaginary"),
    "text": (np.full((9, 2), "a"), "<U1, text: save numbers"),
    "bytes": (np.full((9, 2), b"a"), "bytes: save numbers"),
    "dates": (np.zeros((9, 2), "datetime64[D]"), "datetime64[D], dates: save numbers"),
    "durations": (np.zeros((9, 2), "timedelta64[s]"), "timedelta64[s], durations: save numbers"),
    "records": (np.zeros((9, 2), [("a", "f4")]), "records or raw bytes: save an array of numbers"),
    "raw bytes": (np.zeros((9, 2), "V2"), "records or raw bytes"),
    "objects": (np.full((9, 2), None), "Python objects: save an array of numbers"),
    "beyond float32": (np.full((9, 2), 1e300), "holds 1e+300, which float32 cannot"),
    "below float32": (np.full((9, 2), 1e-300), "holds 1e-300, which float32 cannot: use a smaller"),
    "single numbers": (np.zeros(9), "has shape (9,), without an axis of elements: a.reshape(-1, 1"),
    "one number": (np.array(3.0), "is a single number: one row an example is needed"),
    "no columns": (np.zeros((9, 0)), "is empty: it has shape (9, 0)"),
    "no rows": (np.zeros((0, 2)), "is empty: it has shape (0, 2)"),
    "no pixels": (np.zeros((9, 4, 0, 1)), "is empty: it has shape (9, 4, 0, 1)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_arrays_are_refused_by_name(tmp_path, what):
    array, expected = REFUSED[what]
    good = np.zeros((9, 2), np.float32)
    files = ({"train": array, "test": good}, {"train": good, "test": array}, {"mine": array})
    for names, arrays in zip(("train", "test", "mine"), files, strict=True):
        with pytest.raises(UserError) as error:
            make(save(tmp_path, **arrays))
        assert expected in str(error.value)
        where = "split" if "float32" in what else f"data.npz: {names!r}"
        assert where in str(error.value)
        assert "\n" not in str(error.value)
    for dataset in (make_dataset, lambda splits: Dataset(splits, lambda key, raw: raw)):
        with pytest.raises(UserError, match="the train split") as error:
            require_shapes(dataset({"train": array}))
        assert expected in str(error.value)


def test_masked_values_are_refused():
    masked = np.ma.masked_less(np.arange(8.0).reshape(4, 2), 1)
    with pytest.raises(UserError, match="the train split has masked values"):
        make_dataset({"train": masked})


@pytest.mark.parametrize("shape", [(2,), (4, 3), (4, 3, 1), (4, 3, 3), (2, 2, 2, 2)])
@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed"])
def test_every_shape_of_examples_is_read(tmp_path, shape, order):
    values = RNG.normal(size=(30, *shape)).astype(np.float32)
    kept = {"C": values, "F": np.asfortranarray(values), "strided": np.repeat(values, 2, 0)[::2],
            "reversed": np.ascontiguousarray(values[:, ::-1])[:, ::-1]}[order]  # fmt: skip
    text = save(tmp_path, train=kept, test=values)[:-1] + ", validation=0)"
    for dataset in (make(text), make_dataset({"train": kept, "test": values})):
        np.testing.assert_array_equal(x_of(dataset), values)
        assert dataset.splits["train"].flags.c_contiguous
        assert x_shape(dataset) == shape
    model = build_model(shape, 2, likelihood="normal")
    require_valid(dataset, model)
    x = jnp.asarray(values)
    params = model.init(jax.random.key(0), x)
    assert np.isfinite(elbo(model, params, jax.random.key(0), x).value).all()


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("other", [(9, 3), (9, 4, 1), (9, 8)])
def test_splits_of_different_shapes_are_refused(tmp_path, other, standardize):
    text = save(tmp_path, train=RNG.normal(size=(9, 4)), test=np.zeros(other))
    with pytest.raises(UserError, match=r"shape \(.*\(4,\)"):
        require_shapes(make(f"{text[:-1]}, standardize={standardize})"))


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows_to_be_split_are_refused(tmp_path, rows):
    with pytest.raises(UserError, match=f"data.npz: 'mine': test=0.2 of {rows} example"):
        make(save(tmp_path, mine=np.ones((rows, 4))))


def test_splits_of_one_example_are_read(tmp_path):
    dataset = make(save(tmp_path, train=np.ones((1, 4)), test=np.ones((1, 4))))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 1, "test": 1}


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_are_noticed(channels):
    first = np.zeros((20, channels, 28, 28), np.float32)
    [remark] = make_dataset({"train": first}).remarks
    assert f"shape [20, {channels}, 28, 28] looks like channels first" in remark
    assert "np.moveaxis(a, 1, -1)" in remark
    assert not make_dataset({"train": np.moveaxis(first, 1, -1)}).remarks


@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 3), (28, 28, 3), (1, 28, 28, 3), (8, 8, 8)])
def test_other_shapes_are_not_taken_for_channels_first(shape):
    assert not make_dataset({"train": np.zeros((20, *shape), np.float32)}).remarks


@pytest.mark.parametrize("options", ["", ", binarize='dynamic'", ", values='dequantized'"])
@pytest.mark.parametrize(
    ("top", "advice"), [(0, "give scale=1 "), (1, "give scale=1 "), (16, "give scale=16 ")]
)
def test_a_sliver_of_uint8_costs_a_line_that_says_the_scale(tmp_path, options, top, advice):
    values = np.full((40, 5), top, np.uint8)
    values[::2] = 0
    text = save(tmp_path, mine=values)[:-1] + options
    with pytest.raises(UserError, match=f"holds uint8 from 0 to {top}, .*: {advice}"):
        make(text + ")")
    for scale in (max(top, 1), 255):
        assert make(f"{text}, scale={scale})").splits["train"].max() == top


@pytest.mark.parametrize("options", ["", ", values='levels'", ", binarize='static'"])
def test_uint8_that_use_their_range_need_no_scale(tmp_path, options):
    values = RNG.integers(0, 200, (40, 5)).astype(np.uint8)
    assert len(make(save(tmp_path, mine=values)[:-1] + options + ")").splits["train"]) == 29


def test_bits_of_any_dtype_give_one_x(tmp_path):
    bits = RNG.integers(0, 2, (40, 5))
    as_bool = x_of(make(save(tmp_path, mine=bits.astype(bool))))
    as_uint8 = x_of(make(save(tmp_path, mine=bits.astype(np.uint8))[:-1] + ", scale=1)"))
    np.testing.assert_array_equal(as_bool, as_uint8)


def test_bytes_beside_other_dtypes_need_a_scale(tmp_path):
    bytewise = RNG.integers(0, 256, (40, 5)).astype(np.uint8)
    text = save(tmp_path, train=bytewise, test=bytewise / 255)
    with pytest.raises(UserError, match=r"train uint8.*test float64: give scale"):
        make(text)


@pytest.mark.parametrize("options", ["binarize='dynamic'", "values='levels'"])
@pytest.mark.parametrize(("top", "scale"), [(255, 255), (200, 255), (16, 16)])
def test_a_value_out_of_range_names_the_scale_that_would_do(tmp_path, options, top, scale):
    values = np.full((40, 5), top, np.int32)
    text = save(tmp_path, mine=values)[:-1] + f", {options}"
    likelihood = "categorical(levels=256)" if "levels" in options else "bernoulli"
    model = build_model((5,), 2, likelihood=likelihood)
    with pytest.raises(UserError, match=f"is {top}: .*; scale={scale} takes values up to that$"):
        require_valid(make(text + ")"), model)
    require_valid(make(f"{text}, scale={scale})"), model)


@pytest.mark.parametrize("wrong", [0.5, -1.0, np.inf])
def test_a_value_that_no_scale_mends_names_none(tmp_path, wrong):
    values = RNG.integers(0, 2, (40, 5)).astype(np.float32)
    values[:] = wrong
    dataset = make(save(tmp_path, mine=values)[:-1] + ", values='levels')")
    with pytest.raises(UserError, match=r"integers if they are levels$"):
        require_valid(dataset, build_model((5,), 2, likelihood="categorical(levels=2)"))
