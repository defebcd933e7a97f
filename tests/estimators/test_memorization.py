"""Copies are found, truth is not taken for copies, and distances are those of brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Bernoulli, Normal
from scipy.spatial.distance import cdist
from scipy.stats import norm

from tests.by_hand import run_of
from vae_jax import UserError, evaluate
from vae_jax.datasets import make_dataset
from vae_jax.estimators import _neighbours
from vae_jax.estimators.memorization import _share_below, _summary
from vae_jax.types import Model

RNG = np.random.default_rng(0)
GREYS = RNG.beta(0.4, 0.6, size=(900, 30)).astype(np.float32)
TRAIN, TEST, OTHERS = GREYS[:300], GREYS[300:600], GREYS[600:]


@pytest.mark.slow
@pytest.mark.parametrize("binarize", ["none", "static"])
def test_distances_are_those_of_brute_force_in_any_chunks(binarize, monkeypatch):
    monkeypatch.setattr(_neighbours, "ROWS", 37)
    jax.clear_caches()
    dataset = make_dataset({"train": TRAIN, "test": TEST}, binarize=binarize)
    train, x = (TRAIN, TEST) if binarize == "none" else (TRAIN > 0.5, TEST > 0.5)
    x = np.concatenate([x, train[-2:]]).astype(np.float32)
    distances = _neighbours.nearest(dataset, x)
    np.testing.assert_allclose(distances, cdist(x, train.astype(np.float32)).min(1), rtol=1e-5)
    assert (distances[-2:] == 0).all()


def test_far_from_zero_distances_keep_their_digits():
    train = np.float32([[1e4, 1e4], [1e4 + 1, 1e4]])
    dataset = make_dataset({"train": train, "test": train})
    x = np.float32([[1e4 + 0.25, 1e4], [1e4, 1e4]])
    np.testing.assert_array_equal(_neighbours.nearest(dataset, x), [0.25, 0])


def values_of(sample, test):
    return {
        "sample_to_train": sample,
        "test_to_train": test,
        "exact_copies": (sample == 0) * 1.0,
        "exact_copies_of_test": (test == 0) * 1.0,
        "nearer_than_test": 1 - _share_below(test, sample),
        "_nearer_than_test_of_test": _share_below(sample, test),
    }


def test_the_share_has_the_mean_and_the_error_of_known_distances():
    """P(s < t) = Phi(d / 2^1/2) for s of N(0, 1) and t of N(d, 1)."""
    rng, d, n, times = np.random.default_rng(1), 0.7, 60, 1000
    numbers = [
        _summary(values_of(rng.normal(size=n), d + rng.normal(size=n)))["nearer_than_test"]
        for _ in range(times)
    ]
    means, errors = (np.array([getattr(a, f) for a in numbers]) for f in ("mean", "standard_error"))
    assert abs(means.mean() - norm.cdf(d / 2**0.5)) < 5 * means.std() / times**0.5
    assert abs(np.sqrt((errors**2).mean()) / means.std() - 1) < 0.12


def test_p_is_uniform_where_distances_are_alike_and_ties_are_counted_half():
    rng, times = np.random.default_rng(2), 1000
    pairs = rng.integers(0, 12, size=(times, 2, 80)).astype(float)
    p = np.array([_summary(values_of(*pair))["nearer_than_test_p"].mean for pair in pairs])
    for level in (0.05, 0.5, 0.95):
        assert abs((p <= level).mean() - level) < 5 * np.sqrt(level * (1 - level) / times)
    same = _summary(values_of(np.ones(9), np.ones(9)))
    assert same["nearer_than_test"].mean == 0.5
    assert same["nearer_than_test_p"].mean == 1


def run_that_makes(greys, train=TRAIN, test=TEST, sharpness=None):
    """A model whose p(x | z) is of bits of a grey that z picks; sharp ones are the greys' own."""
    probs = jnp.asarray(greys if sharpness is None else jnp.where(greys > 0.5, 1.0, 0.0))

    def decode(params, z, given=None):
        place = (len(probs) * jax.scipy.stats.norm.cdf(z[..., 0])).astype(int)
        return Bernoulli(probs[jnp.minimum(place, len(probs) - 1)]).to_event(1)

    normal = Normal(jnp.zeros(1), 1.0).to_event(1)
    model = Model(
        lambda key, x: {}, lambda params, x: normal.expand(jnp.shape(getattr(x, "x", x))[:-1]),
        decode, lambda params, given=None: normal,
    )  # fmt: skip
    binarize = "dynamic" if sharpness is None else "static"
    return run_of(model, make_dataset({"train": train, "test": test}, binarize=binarize), {})


def numbers_of(run, **options):
    return evaluate(run, estimators="memorization", quiet=True, **options)["numbers"]


def test_a_model_of_the_training_examples_is_seen_to_copy():
    numbers = numbers_of(run_that_makes(TRAIN, sharpness=1))
    assert numbers["exact_copies"]["mean"] == 1
    assert numbers["exact_copies_of_test"]["mean"] < 0.05
    assert numbers["nearer_than_test"]["mean"] > 0.97
    assert numbers["nearer_than_test_p"]["mean"] < 1e-10
    assert "the model copies" in numbers["nearer_than_test"]["remark"]
    assert "100.0% of the samples equal a training example" in numbers["nearer_than_test"]["remark"]


def test_copies_are_seen_through_the_noise_of_bits():
    """Each sample is other bits of a training grey, equal to none."""
    numbers = numbers_of(run_that_makes(TRAIN))
    assert numbers["exact_copies"]["mean"] < 0.05
    assert numbers["nearer_than_test"]["mean"] > 0.6
    assert numbers["nearer_than_test_p"]["mean"] < 1e-6


def test_other_draws_of_the_truth_are_no_copies():
    number = numbers_of(run_that_makes(OTHERS))["nearer_than_test"]
    assert abs(number["mean"] - 0.5) < 5 * number["standard_error"]
    assert number["standard_error"] < 0.03


def test_samples_that_are_off_are_said_to_be_far():
    numbers = numbers_of(run_that_makes(1 - np.sort(TRAIN)))
    assert numbers["nearer_than_test"]["mean"] < 0.3
    assert "no sign of copies" in numbers["nearer_than_test"]["remark"]


def test_it_is_refused_where_the_training_set_is_not_apart_or_not_there():
    run = run_that_makes(TRAIN)
    with pytest.raises(UserError, match="--split=test"):
        numbers_of(run, split="train")
    with pytest.raises(UserError, match="no --data"):
        numbers_of(run._replace(other_data="npz(path='new.npz')"))
