"""Arrays in files that may be larger than memory: read as they are asked for, and never whole."""

import tracemalloc

import numpy as np
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError, build_model
from vae_jax.batches.devices import mesh_for
from vae_jax.batches.records import record_of
from vae_jax.batches.rows import gather
from vae_jax.batches.splits import require_shapes, require_valid
from vae_jax.batches.windows import Order, windows
from vae_jax.datasets import Lazy, _doubts, _lazy, make_dataset
from vae_jax.datasets._lazy import standardization_of

RNG = np.random.default_rng(0)
DTYPES = ["bool", "uint8", "int16", "int64", "uint64", "float16", "float64", ">f4", ">i8"]


def write(tmp_path, **arrays):
    """Saves arrays as files of a folder; returns what reads them."""
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return f"npy(path={str(tmp_path)!r})"


@pytest.fixture
def _small_pieces(monkeypatch):
    monkeypatch.setattr(_lazy, "CHUNK_BYTES", 100)


def same_data(lazy, array):
    """Whether two data sets hold the same examples, in the same order, as the same numbers."""
    assert lazy.splits.keys() == array.splits.keys()
    for name, split in lazy.splits.items():
        assert isinstance(split, Lazy)
        assert split.dtype == array.splits[name].dtype
        np.testing.assert_array_equal(gather(split, slice(None)), array.splits[name])
        np.testing.assert_array_equal(lazy.origins[name].rows, array.origins[name].rows)
        assert record_of(split) == record_of(array.splits[name])
    assert lazy.missing == array.missing
    assert [r.replace("data.npz: ", "") for r in array.remarks] == [
        r.partition(": ")[2] if "not read" in r else r for r in lazy.remarks
    ]
    return True


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_the_data_of_the_same_array_in_an_npz(tmp_path, dtype):
    values = RNG.integers(0, 2 if dtype == "bool" else 250, (70, 3, 2)).astype(dtype)
    np.save(tmp_path / "mine.npy", values)
    lazy = make(f"npy(path='{tmp_path}/mine.npy')")
    assert same_data(require_shapes(lazy), make(save(tmp_path, mine=values)))


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("options", [", standardize=True", ", scale=2.0", ", validation=0"])
def test_a_folder_is_an_npz(tmp_path, options):
    arrays = {
        "x": np.where(RNG.random((70, 3)) < 0.8, RNG.normal(5, 2, (70, 3)), np.nan),
        "observed": RNG.random((70, 3)) < 0.9,
        "y": RNG.integers(0, 3, 70),
        "age": RNG.normal(size=70),
        "n": np.arange(7),
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    lazy = make(write(folder, **arrays)[:-1] + options + ")")
    array = make(save(tmp_path, **arrays)[:-1] + options + ")")
    if "standardize" not in options:
        assert same_data(lazy, array)
    else:
        np.testing.assert_allclose(lazy.standardization, array.standardization, rtol=1e-13)
        for name, split in lazy.splits.items():
            np.testing.assert_allclose(split[:], array.splits[name], rtol=1e-5)
    for kept in ("age", "y"):
        for name, values in lazy.covariates[kept].items():
            np.testing.assert_array_equal(values, array.covariates[kept][name])
    np.testing.assert_array_equal(lazy.labels["test"], array.labels["test"])


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("unit", [1.0, 1e-100, 1e100])
def test_means_and_deviations_of_pieces_are_those_of_numpy(unit):
    values = RNG.normal(3, [1, 10, 0.01], (200, 3)) * unit
    values[:, 1] += 1e6 * unit
    values[4, 2] = np.nan
    done = standardization_of(Lazy(values.__getitem__, np.arange(200)))
    np.testing.assert_allclose(done.mean, np.nanmean(values, 0), rtol=1e-12)
    np.testing.assert_allclose(done.scale, np.nanstd(values, 0), rtol=1e-9)


def test_it_is_never_read_whole(tmp_path, monkeypatch):
    """A small part of the file is in memory at a time, from the checks to the windows of training."""
    monkeypatch.setattr(_lazy, "CHUNK_BYTES", 100_000)
    monkeypatch.setattr(_doubts, "LOOKED_AT", 10_000)
    (tmp_path / "small").mkdir()
    use(write(tmp_path / "small", x=RNG.normal(size=(300, 200))))  # what is imported is counted too
    values = RNG.normal(size=(20_000, 200))
    text, size = write(tmp_path, x=values), values.nbytes
    del values
    tracemalloc.start()
    try:
        use(text)
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


def use(text):
    """Does with a data set what training does before and with its first windows."""
    split = require_shapes(make(text[:-1] + ", standardize=True)")).splits["train"]
    record_of(split)
    mesh = mesh_for(10)
    epoch = Order(lambda epoch: np.arange(200).reshape(20, 10), 20, 1)
    assert sum(1 for _ in windows(split, mesh, 10, 5, 10**5)(epoch, 0)) == 4


def test_all_is_checked_piece_by_piece(tmp_path):
    values = RNG.normal(size=(3000, 4))
    values[2345, 2] = np.inf
    np.save(tmp_path / "x.npy", values)
    dataset = make(f"npy(path='{tmp_path}/x.npy')")
    with pytest.raises(UserError, match=r"example 2345 of 'x', element \[2\] is inf"):
        require_valid(dataset, build_model((4,), 2, likelihood="normal"))
    values[2345, 2] = 1e300
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(UserError, match=r"holds 1e\+300, which float32 cannot"):
        require_valid(
            make(f"npy(path='{tmp_path}/x.npy')"), build_model((4,), 2, likelihood="normal")
        )


def test_columns_are_doubted_as_in_memory(tmp_path):
    columns = [1.6e9 + np.arange(1000) / 50, np.full(1000, 3.0), RNG.normal(size=1000)]
    values = np.stack([*columns, 1e5 * columns[2]], axis=1)
    np.save(tmp_path / "x.npy", values)
    found = make(f"npy(path='{tmp_path}/x.npy')").remarks
    assert found == make(save(tmp_path, x=values)).remarks
    assert len(found) == 3


def test_uint8_of_a_sliver_of_their_range_need_a_scale(tmp_path):
    text = write(tmp_path, x=RNG.integers(0, 17, (50, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"holds uint8 from 0 to 16, .*: give scale=16"):
        make(text)
    assert make(text[:-1] + ", scale=16)").splits["train"].shape == (36, 8, 8)


def test_all_rows_can_be_test_in_their_order(tmp_path):
    values = RNG.normal(size=(20, 3)).astype(np.float32)
    text = write(tmp_path, x=values, y=np.arange(20))
    dataset = make(text[:-1] + ", test=1.0)")
    assert dataset.splits.keys() == {"test"}
    np.testing.assert_array_equal(dataset.splits["test"][:], values)
    np.testing.assert_array_equal(dataset.labels["test"], np.arange(20))


def objects(path):
    np.save(path, np.array([[1, "a"]], object))


WRONG = {
    "missing": (lambda p: None, r"/.*/x\.npy: there is no such file"),
    "an npz": (lambda p: np.savez(p.open("wb"), x=np.ones(3)), "holds several arrays: npz"),
    "text": (lambda p: p.write_text("a,b"), r"is no \.npy file: np\.save"),
    "cut": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00"), r"is no \.npy file"),
    "objects": (objects, "Python objects: save an array of numbers"),
    "one axis": (lambda p: np.save(p, np.ones(9)), r"a\.reshape\(-1, 1\) makes examples"),
    "dates": (lambda p: np.save(p, np.ones((9, 2), "M8[D]")), "dates: save numbers"),
    "an empty folder": (lambda p: p.mkdir(), r"holds no \.npy files"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_array_of_numbers_costs_one_line(tmp_path, what):
    create, expected = WRONG[what]
    create(tmp_path / "x.npy")
    with pytest.raises(UserError, match=expected) as error:
        make(f"npy(path='{tmp_path}/x.npy')")
    assert "\n" not in str(error.value)


def test_python_objects_beside_an_array_are_not_read(tmp_path):
    dataset = make(write(tmp_path, x=np.ones((9, 2)), y=np.full(9, None)))
    assert any("'y' is not read: it holds Python objects" in remark for remark in dataset.remarks)


def test_a_data_set_in_code_may_be_read_so_too():
    """`make_dataset` takes what is read as it is asked for in place of an array."""
    values = RNG.normal(size=(50, 3))
    lazy = make_dataset({"train": Lazy(values.__getitem__, np.arange(50))})
    np.testing.assert_array_equal(
        lazy.splits["train"][:], make_dataset({"train": values}).splits["train"]
    )
