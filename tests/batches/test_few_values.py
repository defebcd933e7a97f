"""Data of few values is told from continuous data, also where that repeats some values."""

import re

import numpy as np
import pytest

from vae_jax.batches.few_values import advice, few_values
from vae_jax.config import components
from vae_jax.datasets._making import make_dataset

RNG = np.random.default_rng(0)
GREYS = RNG.integers(0, 256, (300, 6, 6, 1)).astype(np.uint8)
REALS = RNG.normal(size=(500, 4)).astype(np.float32)


def words(data, **options):
    return few_values(make_dataset({"train": data}, **options), ["train", "test"])


def table(**columns):
    """The reals, with some columns in place of theirs."""
    data = REALS.copy()
    for name, values in columns.items():
        data[:, int(name[1:])] = values
    return data


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (GREYS > 99, {}, "x takes 2 values only"),
        (GREYS, {"scale": 255.0}, "x takes 256 values only"),
        (GREYS % 17, {"scale": 16.0}, "x takes 17 values only"),
        (GREYS % 17, {"scale": 16.0, "binarize": "dynamic"}, "x takes 2 values only"),
        (GREYS[:100].reshape(100, -1), {"scale": 255.0}, "x takes 256 values only"),  # as vectors
        (RNG.poisson(3.0, (500, 4)), {}, "values only"),
        (table(c1=RNG.integers(0, 2, 500)), {}, "x takes few values in column 1 (counted from 0)"),
        (table(c0=0.7 * RNG.poisson(4, 500) - 2.1, c3=1.0), {}, "in columns 0, 3 (counted from 0)"),
    ],
)
def test_few_values_are_noticed(data, options, expected):
    assert expected in words(data, **options)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (REALS, {}),
        (REALS[:3], {}),
        (REALS[:2, :1], {}),
        (REALS.astype(np.float16), {}),
        (REALS.round(3), {}),
        (np.maximum(REALS, 0), {}),  # clipped below: half of it is 0
        (np.clip(REALS, -0.5, 0.5), {}),
        (np.where(RNG.uniform(size=REALS.shape) < 0.6, 0.25, REALS), {}),  # one value in the middle
        (GREYS, {"scale": 255.0, "values": "dequantized"}),
        (GREYS // 255, {"scale": 255.0, "values": "dequantized"}),  # nearly all black
        (GREYS % 17, {"scale": 16.0, "values": "dequantized"}),
    ],
)
def test_continuous_data_is_left_in_peace(data, options):
    assert words(data, **options) == ""


def test_both_splits_are_looked_at():
    """Three images of greys are too few to tell, those that the model was trained on are not."""
    dataset = make_dataset({"train": GREYS, "test": GREYS[:3]}, scale=255.0)
    assert few_values(dataset, ["test"]) == ""
    assert few_values(dataset, ["test", "train"]) == "x takes 256 values only"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("npz(path='x.npz')", "values='dequantized'"),
        ("csv(path='x.csv')", "standardize=False"),
        ("parquet(path='x')", "standardize=False"),
        ("gene_counts", "a likelihood of"),
    ],
)
def test_advice_names_arguments_that_the_data_set_has(data, expected):
    takes = components.options(components.find("datasets", components.parse(data).name))
    named = re.findall(r"(\w+)=", advice(data))
    assert expected in advice(data)
    assert set(named) <= takes.keys()
