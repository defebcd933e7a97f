"""Columns that single precision, or a network, makes nothing of are named before training."""

import re

import numpy as np
import pytest

from tests.datasets.building import make
from vae_jax.datasets import make_dataset

RNG = np.random.default_rng(0)


def remarks(values, **options):
    return list(make_dataset({"train": values}, **options).remarks)


TIMES = 1.6e9 + np.arange(-10, 10, 0.02)  # 1,000 values, one in float32


@pytest.mark.parametrize(
    "column",
    [TIMES, TIMES.astype(np.longdouble), TIMES * 1000, 1e-50 * np.arange(1000)],
    ids=["seconds", "longdouble", "milliseconds", "below float32"],
)
def test_columns_that_float32_cannot_tell_apart_are_named(column):
    other = RNG.normal(size=1000)
    [remark] = remarks(np.stack([other, column, other], axis=1))
    assert remark.startswith("float32 cannot tell the values of column 1 apart: standardize=True")


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint32"])
def test_integers_that_float32_cannot_tell_apart_are_named(dtype):
    large = (1_600_000_000 + np.arange(1000)).astype(dtype)
    small = np.arange(1000).astype(dtype)
    found = remarks(np.stack([small, large], axis=1))
    assert any("cannot tell the values of column 1 apart" in remark for remark in found)
    assert not remarks(np.stack([small, small], axis=1))


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ([1.0, 0.0, 1.0], "^column 1: the same value in every training example$"),
        ([0.0, 0.0, 1.0], "^columns 0, 1: the same value"),
        ([1.0, 1e5, 1.0], "^columns 0, 2: values vary less .* as column 1; standardize=True"),
        ([1e-4, 1.0, 1.0], "^column 0: values vary less .* as column 1; standardize=True"),
    ],
)
def test_columns_of_very_different_size_are_named(scales, expected):
    values = RNG.normal(size=(200, 3)) * scales
    [remark] = remarks(values)
    assert re.search(expected, remark)
    assert not [r for r in remarks(values, standardize=True) if "same value" not in r]


def test_columns_far_from_0_are_named():
    values = RNG.normal(size=(200, 3)) + np.array([0, 5000, 0])
    [remark] = remarks(values)
    assert remark.startswith("column 1: values vary by less than a hundredth of their size")
    assert not remarks(values, standardize=True)


def test_of_many_columns_some_are_named_and_the_others_counted():
    values = np.where(np.arange(30) < 25, 1.0, RNG.normal(size=(200, 30)))
    [remark] = remarks(values)
    assert remark.startswith("columns 0, 1, 2, 3, 4 and 20 more: the same value")


def test_a_column_that_varies_late_is_not_called_constant():
    values = RNG.normal(size=(300, 30_000)).astype(np.float32)
    values[:, 7], values[-1, 7] = 1, 2
    assert not remarks(values)


def test_a_column_that_is_seldom_not_0_is_as_large_as_the_others():
    values = RNG.normal(size=(40_000, 3))
    values[:, 1], values[5, 1] = 0, 1
    assert not remarks(values)


def test_counts_are_told_of_likelihoods_of_counts():
    values = RNG.poisson([1.0, 1e6], (200, 2)).astype(np.float64)
    assert all("; counts take a likelihood of counts instead" in r for r in remarks(values))
    assert remarks(values)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint16"])
def test_bits_bytes_and_narrow_integers_are_not_doubted(dtype):
    values = np.zeros((50, 4), dtype)
    values[:, 1] = 100
    assert not remarks(values)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_images_are_not_doubted(shape):
    values = RNG.normal(size=(50, *shape))
    values[:, 0] = 1e9
    assert not remarks(values)


DRAWN = ["coin", "gene_counts", "linear_gaussian", "gaussian_mixture", "two_moons", "pinwheel"]


@pytest.mark.parametrize("name", [*DRAWN, "digits", "tabular(name='wine')", "patches(train=99)"])
def test_the_data_sets_of_the_package_are_not_doubted(name):
    assert not make(name).remarks
