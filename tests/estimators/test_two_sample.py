"""The classifier's accuracy where model and data are one, and where their overlap is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest, norm

from tests.by_hand import run_of, with_parts
from vae_jax import UserError, build_model, evaluate
from vae_jax.datasets import make_dataset
from vae_jax.estimators._classifier import classifier
from vae_jax.estimators._draws import draws
from vae_jax.estimators.exact import marginal
from vae_jax.estimators.two_sample import _judged, _summary
from vae_jax.networks.linear import linear
from vae_jax.networks.mlp import mlp
from vae_jax.types import Batch

ASKED = "two_sample(network='linear', updates=1000)"


def accuracy_and_p(program, x, samples):
    numbers = _summary({"_two_sample_right": _judged(program, x, samples)})
    return numbers["two_sample_accuracy"], numbers["two_sample_p"].mean


def test_a_classifier_of_one_distribution_is_right_half_the_time_and_p_is_no_smaller_than_chance():
    program = classifier(linear((2,), (1,)), 20)
    rng, n, times = np.random.default_rng(0), 40, 400
    pairs = [rng.normal(size=(2, n, 2)) for _ in range(times)]
    accuracies, p = np.array(
        [(a.mean, p) for a, p in (accuracy_and_p(program, *pair) for pair in pairs)]
    ).T
    assert abs(accuracies.mean() - 0.5) < 5 * np.sqrt(0.25 / (n * times))
    assert np.sqrt(0.25 / n) * 0.8 < accuracies.std() < np.sqrt(0.25 / n) * 1.2
    for level in (0.01, 0.1, 0.5, 0.9):
        share = (p <= level).mean()
        assert share <= level + 5 * np.sqrt(level * (1 - level) / times)
    assert (p <= 0.5).mean() > 0.3  # it is no test that never speaks


@pytest.mark.parametrize("d", [0.5, 2.0])
def test_normals_at_a_distance_are_told_apart_as_well_as_bayes_does(d):
    """Phi(d / 2) of N(0, I) and N(d, I), where a line is the best classifier."""
    rng = np.random.default_rng(1)
    x, samples = rng.normal(size=(2, 4000, 2))
    samples[:, 0] += d
    accuracy, p = accuracy_and_p(classifier(linear((2,), (1,)), 1000), x, samples)
    assert abs(accuracy.mean - norm.cdf(d / 2)) < 5 * accuracy.standard_error
    assert p < 1e-6
    assert accuracy.n == 4000
    assert "can be told" in accuracy.remark


@pytest.mark.slow
def test_normals_of_different_width_need_more_than_a_line():
    """1/2 + TV / 2 of N(0, 1) and N(0, 3^2), whose densities cross at +-c."""
    rng = np.random.default_rng(2)
    x, samples = rng.normal(size=(4000, 1)), 3 * rng.normal(size=(4000, 1))
    c = np.sqrt(2 * np.log(3) / (1 - 1 / 9))
    best = 0.5 + norm.cdf(c) - norm.cdf(c / 3)
    curved, p = accuracy_and_p(classifier(mlp((1,), (1,), hidden=(50,)), 1000), x, samples)
    straight, _ = accuracy_and_p(classifier(linear((1,), (1,)), 1000), x, samples)
    assert best - 0.03 < curved.mean < best + 5 * curved.standard_error
    assert p < 1e-6
    assert abs(straight.mean - 0.5) < 0.06


def test_the_error_and_p_are_binomial():
    right = np.repeat([1.0, 0.0], [33, 17])
    numbers = _summary({"_two_sample_right": right})
    expected = binomtest(33, 50, 0.5, alternative="greater").pvalue
    assert numbers["two_sample_p"].mean == pytest.approx(expected)
    error = numbers["two_sample_accuracy"].standard_error
    assert error == pytest.approx(np.sqrt(0.66 * 0.34 / 50))


@pytest.fixture(scope="module")
def true_run():
    """A linear-Gaussian model and data that it made, which are stored in an order."""
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.7)"}
    model = build_model((3,), 2, **parts)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((2, 3)))
    x = np.asarray(marginal(model, params, (3,)).sample(jax.random.key(1), (1500,)))
    x = x[np.argsort(x[:, 0])]
    return run_of(model, make_dataset({"train": x, "test": x}), params)


def test_a_model_that_is_the_truth_cannot_be_told_from_its_data(true_run):
    number = evaluate(true_run, estimators=ASKED, quiet=True)["numbers"]["two_sample_accuracy"]
    assert abs(number["mean"] - 0.5) < 5 * number["standard_error"]
    assert "finds no difference" in number["remark"]


@pytest.mark.slow
def test_a_model_that_is_off_can_and_batches_do_not_matter(true_run):
    x = true_run.dataset.splits["test"] + np.float32([0, 3, 0])
    run = with_parts(true_run, dataset=make_dataset({"train": x, "test": x}))
    first, second = (
        evaluate(run, estimators=ASKED, batch_size=size, quiet=True)["numbers"]
        for size in (100, 1500)
    )
    assert first["two_sample_p"]["mean"] < 1e-6
    assert first["two_sample_accuracy"]["mean"] == second["two_sample_accuracy"]["mean"]
    other = evaluate(run, estimators=ASKED, seed=1, quiet=True)["numbers"]["two_sample_accuracy"]
    assert other["mean"] != first["two_sample_accuracy"]["mean"]


def test_samples_are_bits_where_data_are(small, bits):
    model, params = small
    keys = jax.random.split(jax.random.key(0), 12)
    samples = draws(model, params, keys, Batch(jnp.asarray(bits)))
    assert samples.shape == bits.shape
    assert set(np.unique(samples)) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("asked", "count", "expected"),
    [(ASKED, 3, "4 examples are needed"), ("two_sample(network='conv')", 20, "image")],
)
def test_what_cannot_be_judged_is_refused(asked, count, expected, true_run):
    with pytest.raises(UserError, match=expected) as caught:
        evaluate(true_run, estimators=asked, num_examples=count, quiet=True)
    assert "\n" not in str(caught.value)
