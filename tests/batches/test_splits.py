"""Splits are checked before training: their shapes, their values, the likelihood's support."""

import numpy as np
import pytest

from tests.datasets.building import make
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_shapes, require_valid, x_shape
from vae_jax.datasets._making import make_dataset


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"test": np.zeros((0, 3), np.float32)}, "the test split is empty"),
        ({"test": np.zeros((5, 4), np.float32)}, r"test examples have shape \(4,\)"),
        (
            {"test": np.full((5, 3), 1.5, np.float32)},
            r"test split, example 0, element \[0\] is 1.5",
        ),
        (
            {"train": np.array([[0, 0, 0], [0, -2, 0]], np.float32)},
            r"example 1, element \[1\] is -2",
        ),
        ({"train": np.array([[0, np.inf, 0]], np.float32)}, "is inf"),
        ({"train": np.zeros((0, 3), np.float32)}, "the train split is empty"),
    ],
)
def test_data_that_cannot_work_is_an_error_before_training(splits, expected):
    good = np.zeros((9, 3), np.float32)

    def check():
        dataset = make_dataset({"train": good, "test": good, **splits})
        require_valid(require_shapes(dataset), build_model((3,), 2))

    with pytest.raises(UserError, match=expected):
        check()


@pytest.mark.parametrize("value", [np.inf, -0.1, 255.0])
@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_what_is_binarized_must_be_a_probability(value, binarize):
    data = np.array([[0, 1, 0.5], [0, value, 1]], np.float32)
    with pytest.raises(UserError, match=r"example 1, element \[1\]"):
        require_valid(make_dataset({"train": data}, binarize=binarize), build_model((3,), 2))


def test_a_likelihood_of_real_numbers_takes_real_numbers():
    data = np.array([[-5.0, 2.0, 300.0]], np.float32)
    require_valid(make_dataset({"train": data}), build_model((3,), 2, likelihood="normal"))


@pytest.mark.parametrize(
    ("data", "likelihood"),
    [
        ("digits(binarize='none', values='dequantized')", "beta"),
        ("digits(binarize='none')", "continuous_bernoulli"),
        ("digits(binarize='none', values='levels')", "categorical(levels=17)"),
        ("digits(binarize='none', values='levels')", "binomial(total_count=16)"),
        ("patches(values='levels')", "discretized_logistic_mixture"),
        ("gene_counts", "zero_inflated_negative_binomial"),
        ("tabular", "student_t"),
    ],
)
def test_data_suits_the_likelihoods_that_are_made_for_it(data, likelihood):
    dataset = make(data)
    require_valid(dataset, build_model(x_shape(dataset), 2, likelihood=likelihood))


def test_an_example_is_named_wherever_in_a_long_split_it_is():
    data = np.zeros((2500, 3), np.float32)
    data[1700, 2] = np.inf
    model = build_model((3,), 2, likelihood="normal")
    with pytest.raises(UserError, match=r"train split, example 1700, element \[2\] is inf"):
        require_valid(make_dataset({"train": data}), model)
