"""Each element less its mean, over its standard deviation, both of the training split."""

import numpy as np
import pytest
from scipy import stats

from tests.datasets.building import make, save
from vae_jax import UserError
from vae_jax.brought import Standardization
from vae_jax.datasets import make_dataset

RNG = np.random.default_rng(1)
COLUMNS = [
    RNG.normal(60, 12, 300),
    RNG.normal(2.5e5, 6e4, 300),
    1.6e9 + RNG.normal(0, 10, 300),  # seconds, which float32 cannot tell apart
    np.full(300, 0.1),  # whose mean is not 0.1 in floating point
]
CLINICAL = np.stack(COLUMNS, axis=1)


def test_x_is_that_of_scipy_in_double_precision(tmp_path):
    text = save(tmp_path, train=CLINICAL[:200], test=CLINICAL[200:])
    dataset = make(text[:-1] + ", validation=20, standardize=True)")
    train, varied = CLINICAL[:180], [0, 1, 2]
    expected = stats.zmap(CLINICAL[:, varied], train[:, varied])
    x = np.concatenate([dataset.splits[name] for name in ("train", "validation", "test")])
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, varied], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x[:, 3], 0, atol=1e-7)
    assert dataset.standardization.scale[3] == 1


def test_one_array_is_standardized_by_the_rows_that_train(tmp_path):
    dataset = make(save(tmp_path, mine=CLINICAL, y=COLUMNS[0])[:-1] + ", standardize=True)")
    train = CLINICAL[dataset.origins["train"].rows]
    np.testing.assert_allclose(dataset.standardization.mean, train.mean(0))
    for name, x in dataset.splits.items():
        brought = CLINICAL[dataset.origins[name].rows]
        np.testing.assert_array_equal(dataset.labels[name], brought[:, 0])
        np.testing.assert_allclose(dataset.standardization.undo(x), brought, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">f8", "float16", "bool"])
@pytest.mark.parametrize("shape", [(3,), (4, 4, 1)])
def test_every_dtype_and_shape_can_be_standardized(tmp_path, dtype, shape):
    values = RNG.integers(0, 2 if dtype == "bool" else 100, (40, *shape)).astype(dtype)
    text = save(tmp_path, train=values, test=values)[:-1] + ", validation=0, standardize=True)"
    expected = stats.zscore(values.astype(np.float64), axis=0)
    np.testing.assert_allclose(make(text).splits["train"], expected, rtol=1e-5, atol=1e-6)


def test_the_numbers_of_another_split_take_the_place_of_its_own():
    numbers = Standardization(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    dataset = make_dataset({"test": np.array([[4, 10]] * 3)}, standardize=numbers)
    np.testing.assert_array_equal(dataset.splits["test"], [[1, 2]] * 3)
    assert dataset.standardization is numbers


def test_it_is_undone_up_to_rounding():
    done = Standardization.of(CLINICAL)
    draws = np.stack([done.apply(CLINICAL)] * 2)  # leading axes of draws
    error = np.abs(done.undo(draws) - CLINICAL) / done.scale
    assert error.max() < 1e-6
    np.testing.assert_array_equal(done.apply(np.stack([CLINICAL] * 2)), draws)


def test_the_jacobian_is_that_of_a_change_of_variables():
    """The density of a normal before and after, by SciPy."""
    done = Standardization.of(CLINICAL[:, :2])
    before = stats.multivariate_normal([60.0, 2.5e5], np.diag([12.0, 6e4]) ** 2)
    scale = np.array([12.0, 6e4]) / done.scale
    after = stats.multivariate_normal(done.apply([60.0, 2.5e5]), np.diag(scale**2))
    np.testing.assert_allclose(
        before.logpdf(CLINICAL[:, :2]),
        after.logpdf(done.apply(CLINICAL[:, :2])) + done.log_jacobian,
        rtol=1e-5,
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_value_that_is_not_finite_leaves_the_others_as_they_are(wrong):
    values = RNG.normal(size=(50, 2))
    spoiled = values.copy()
    spoiled[5, 1] = wrong
    done = Standardization.of(spoiled)
    np.testing.assert_allclose(done.mean[1], np.delete(values[:, 1], 5).mean())
    assert np.argwhere(~np.isfinite(done.apply(spoiled))).tolist() == [[5, 1]]


GIVEN = ["binarize='static'", "binarize='dynamic'", "values='levels'", "scale=2.0"]


@pytest.mark.parametrize("given", [*GIVEN, "values='dequantized'"])
def test_it_goes_with_reals_alone(tmp_path, given):
    text = save(tmp_path, mine=CLINICAL)[:-1]
    with pytest.raises(UserError, match=f"standardize=True goes with .*not with .*{given[:-3]}"):
        make(f"{text}, standardize=True, {given})")


def test_it_needs_a_training_split(tmp_path):
    with pytest.raises(UserError, match="standardize=True needs arrays, among them the training"):
        make(save(tmp_path, test=CLINICAL)[:-1] + ", standardize=True)")


def test_a_table_is_standardized_by_the_same_code():
    dataset = make("tabular(name='wine')")
    brought = Standardization.of(dataset.standardization.undo(dataset.splits["train"]))
    np.testing.assert_allclose(brought.mean, dataset.standardization.mean, rtol=1e-6)
    np.testing.assert_allclose(dataset.splits["train"].std(0), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_columns_of_extreme_size_are_standardized(size):
    """The same numbers come out, whatever their unit: mean and deviation are proportional to it."""
    values = np.random.default_rng(0).normal(3, 2, (50, 2))
    expected = stats.zscore(values, axis=0)
    np.testing.assert_allclose(
        Standardization.of(values * size).apply(values * size), expected, rtol=1e-5
    )


def test_a_deviation_that_float64_does_not_hold_is_refused():
    with pytest.raises(UserError, match="beyond float64"):
        Standardization.of(np.array([[5e-324], [0.0], [0.0], [0.0], [0.0], [0.0]]))
