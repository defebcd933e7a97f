"""Imputation: exact where p(x) is a normal, and no better or worse than it says elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.impute import KNNImputer, SimpleImputer

import vae_jax
from tests.by_hand import run_of
from vae_jax import UserError, build_model, evaluate
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.datasets import make_dataset
from vae_jax.estimators._imputing import impute
from vae_jax.estimators.imputation import _mask, _summary
from vae_jax.types import Batch

W = np.array([[1.0, 0.5, -1.0, 0.2], [0.0, 1.0, 0.5, -0.8]])  # [latent_dim, 4]
B, SCALE = np.array([0.5, 0.0, -1.0, 2.0]), 0.6
COVARIANCE = W.T @ W + SCALE**2 * np.eye(4)
RNG = np.random.default_rng(0)
X = RNG.multivariate_normal(B, COVARIANCE, 60).astype(np.float32)
SEEN = np.array([True, False, True, False])


@pytest.fixture(scope="module")
def linear_gaussian():
    """x = W'z + b + noise; q(z | x) is as wide as the prior, so that weights are bounded."""
    model = build_model(
        (4,), 2, encoder="linear", decoder="linear", likelihood=f"normal(scale={SCALE})"
    )
    params = model.init(jax.random.key(0), X)
    params["decoder"]["Dense_0"] = {
        "kernel": jnp.asarray(W, jnp.float32),
        "bias": jnp.asarray(B, jnp.float32),
    }
    params["encoder"] = jax.tree.map(jnp.zeros_like, params["encoder"])
    return model, params


def exact(x):
    """Mean and covariance of the missing elements given the others, of one normal x."""
    o, m = np.flatnonzero(SEEN), np.flatnonzero(~SEEN)
    gain = COVARIANCE[np.ix_(m, o)] @ np.linalg.inv(COVARIANCE[np.ix_(o, o)])
    return B[m] + gain @ (x[o] - B[o]), COVARIANCE[np.ix_(m, m)] - gain @ COVARIANCE[np.ix_(o, m)]


@pytest.mark.slow
def test_the_mean_and_the_draws_are_those_of_the_conditional_normal(linear_gaussian):
    model, params = linear_gaussian
    x, times = X[0], 50
    batch = Batch(jnp.where(SEEN, jnp.tile(x, (times, 1)), 0.0), None, jnp.tile(SEEN, (times, 1)))
    keys = example_keys(jax.random.key(1), jnp.arange(times))[:, 0]
    filled = impute(model, params, keys, batch, num_samples=4000, num_draws=40, rows=10**5)
    mean, covariance = exact(x)
    each = np.asarray(filled.mean, np.float64)[:, ~SEEN]
    assert (np.abs(each.mean(0) - mean) < 5 * each.std(0, ddof=1) / times**0.5 + 1e-3).all()
    draws = np.asarray(filled.draws, np.float64)[:, :, ~SEEN].reshape(-1, 2)
    error = np.sqrt(np.diag(covariance) / len(draws))
    assert (np.abs(draws.mean(0) - mean) < 5 * error).all()
    spread = np.sqrt(
        (np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / len(draws)
    )
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * spread).all()
    for array in (filled.mean, filled.draws.reshape(-1, 4)):  # what was seen stays
        np.testing.assert_array_equal(np.asarray(array)[:, SEEN], np.tile(x[SEEN], (len(array), 1)))


@pytest.mark.slow
def test_the_error_falls_as_the_root_of_the_draws(linear_gaussian):
    model, params = linear_gaussian
    batch = Batch(jnp.where(SEEN, X, 0.0), None, jnp.tile(SEEN, (len(X), 1)))
    keys = example_keys(jax.random.key(2), jnp.arange(len(X)))[:, 0]
    truth = np.array([exact(x)[0] for x in X])
    errors = []
    for K in (50, 800):
        filled = impute(model, params, keys, batch, num_samples=K, num_draws=1, rows=3000)
        errors.append(np.sqrt(((np.asarray(filled.mean)[:, ~SEEN] - truth) ** 2).mean()))
    assert 2.5 < errors[0] / errors[1] < 6.5  # 4


@pytest.mark.slow
def test_the_chunks_of_draws_change_nothing(linear_gaussian):
    model, params = linear_gaussian
    batch = Batch(jnp.where(SEEN, X[:3], 0.0), None, jnp.tile(SEEN, (3, 1)))
    keys = example_keys(jax.random.key(3), jnp.arange(3))[:, 0]
    by_rows = [
        impute(model, params, keys, batch, num_samples=10, num_draws=2, rows=r) for r in (1, 9, 99)
    ]
    for other in by_rows[1:]:
        for a, b in zip(by_rows[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def run_on(linear_gaussian, x, train=X):
    model, params = linear_gaussian
    data = make_dataset({"train": train, "test": x})
    missing = any(np.isnan(split).any() for split in (x, train))
    usable = (lambda raw: ~np.isinf(raw)) if missing else np.isfinite
    return run_of(model, data._replace(missing=missing, usable=usable), params)


@pytest.mark.slow
def test_the_estimator_hides_what_was_seen_and_compares_with_scikit_learn(linear_gaussian):
    test = X[:40].copy()
    test[::3, 1] = np.nan
    run = run_on(linear_gaussian, test)
    estimator = "imputation(hidden=0.4, num_samples=20, neighbours=3, train_examples=30)"
    numbers = evaluate(run, estimators=estimator, seed=5, quiet=True)["numbers"]
    keys = example_keys(keys_of(5).evaluate, jnp.arange(40))[:, 0]
    hide = np.stack([_mask(0.4, "random", (4,), key) for key in keys]) & ~np.isnan(test)
    gaps = np.where(hide, np.nan, test)
    order = np.random.default_rng(0).permutation(len(X))
    ways = {
        "means": SimpleImputer().fit(X).transform(gaps),
        "knn": KNNImputer(n_neighbors=3).fit(X[order[:30]]).transform(gaps),
    }
    for way, filled in ways.items():
        expected = np.sqrt(((filled - test)[hide] ** 2).mean())
        assert numbers[f"imputation_rmse_{way}"]["mean"] == pytest.approx(expected, rel=1e-4)
    left = Batch(jnp.nan_to_num(gaps), None, jnp.asarray(~np.isnan(gaps)))
    filled = impute(run.model, run.params, keys, left, num_samples=20, num_draws=1, rows=99)
    expected = np.sqrt(((np.asarray(filled.mean) - test)[hide] ** 2).mean())
    assert numbers["imputation_rmse"]["mean"] == pytest.approx(expected, rel=1e-3)
    assert not any("errors" in name for name in numbers)  # these are no bits
    assert "imputation: the error is" in numbers["imputation_rmse"]["remark"]


def test_errors_of_ratios_are_those_of_many_repetitions():
    rng, times, n = np.random.default_rng(0), 500, 50
    told = []
    for _ in range(times):
        count = rng.integers(1, 6, n).astype(float)
        squares = np.array([(rng.normal(size=int(c)) ** 2).sum() for c in count])
        more = {f"_imputation_rmse{way}": squares for way in ("_means", "_knn")}
        values = {
            "_imputation_count": count,
            "_imputation_rmse": squares,
            "imputation_sample_size": count,
        }
        told.append(_summary(values | more)["imputation_rmse"])
    means, errors = (np.array([getattr(t, f) for t in told]) for f in ("mean", "standard_error"))
    assert abs(means.mean() - 1) < 0.02  # up to a bias of 1 / n
    assert abs(np.sqrt((errors**2).mean()) / means.std() - 1) < 0.15


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        ("lower_half", [[0, 0], [1, 1], [1, 1]]),
        ("left_half", [[1, 0]] * 3),
        ("right_half", [[0, 1]] * 3),
    ],
)
def test_a_pattern_hides_a_half(pattern, hidden):
    mask = _mask(0.5, pattern, (3, 2, 1), jax.random.key(0))
    np.testing.assert_array_equal(mask[..., 0], np.array(hidden, bool))


@pytest.mark.slow
def test_of_bits_there_are_wrong_ones_and_nats(small, bits):
    model, params = small
    data = make_dataset({"train": bits, "test": bits})
    run = run_of(model, data, params)
    numbers = evaluate(run, estimators="imputation(num_samples=30)", quiet=True)["numbers"]
    assert {"imputation_errors", "imputation_errors_knn", "imputation_nats_means"} <= numbers.keys()
    assert "imputation_nats_knn" not in numbers
    keys = example_keys(keys_of(0).evaluate, jnp.arange(len(bits)))[:, 0]
    hide = np.stack([_mask(0.5, "random", (1, 5, 1), key) for key in keys])
    mean = bits.mean(0)  # no mean over what is missing: the training set is whole
    p = np.clip(np.broadcast_to(mean, bits.shape), 1e-6, 1 - 1e-6)
    nats = -np.where(bits > 0.5, np.log(p), np.log(1 - p))[hide].mean()
    assert numbers["imputation_nats_means"]["mean"] == pytest.approx(nats, rel=1e-4)
    wrong = ((np.broadcast_to(mean, bits.shape) > 0.5) != (bits > 0.5))[hide].mean()
    assert numbers["imputation_errors_means"]["mean"] == pytest.approx(wrong)


@pytest.mark.slow
def test_arrays_of_imputations_keep_what_was_observed(linear_gaussian):
    gaps = np.where(RNG.uniform(size=X.shape) < 0.3, np.nan, X)
    run = run_on(linear_gaussian, gaps)
    filled = vae_jax.imputations(run, num_samples=30, num_draws=3)
    assert filled["x_draws"].shape == (60, 3, 4)
    seen = ~np.isnan(gaps)
    np.testing.assert_array_equal(filled["x_mean"][seen], gaps[seen])
    for m in range(3):
        np.testing.assert_array_equal(filled["x_draws"][:, m][seen], gaps[seen])
    assert np.isfinite(filled["x_draws"]).all()
    assert (np.ptp(filled["x_draws"], axis=1)[~seen] > 0).all()
    brought = vae_jax.imputations(run, run.present(gaps), num_samples=30, num_draws=3, batch_size=7)
    for name, array in filled.items():
        np.testing.assert_allclose(brought[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_half_of_a_vector_has_no_left_and_right(linear_gaussian):
    run = run_on(linear_gaussian, X)
    with pytest.raises(UserError, match=r"pattern='left_half' is of images: x has shape \[4\]"):
        evaluate(run, estimators="imputation(pattern='left_half')", quiet=True)
    with pytest.raises(UserError, match="--split=test"):
        evaluate(run, "train", estimators="imputation", quiet=True)
