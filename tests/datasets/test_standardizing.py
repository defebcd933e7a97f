"""Standardized data: numbers of the training split, kept with the run, undone where asked for."""

import jax
import numpy as np
import pytest
from scipy import stats

from tests.datasets.building import make, save
from tests.quick_runs import quick_config
from vae_jax import UserError, evaluate, fit, load
from vae_jax.brought import Standardization

RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def clinical():
    """Columns as clinics have them: ages, counts, times, one that is constant."""
    columns = [
        RNG.normal(60, 12, 300), RNG.normal(2.5e5, 6e4, 300), 1.6e9 + RNG.normal(0, 10, 300),
        np.full(300, 7.0),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def test_x_is_standardized_by_the_training_split_in_double_precision(tmp_path, clinical):
    dataset = make(
        save(tmp_path, train=clinical[:200], test=clinical[200:])[:-1] + ", standardize=True)"
    )
    train = clinical[:180]
    expected = stats.zscore(np.concatenate([train[:, :3]]), axis=0)
    np.testing.assert_allclose(dataset.splits["train"][:, :3], expected, rtol=1e-5, atol=1e-6)
    assert len(np.unique(dataset.splits["train"][:, 2])) == 180
    np.testing.assert_array_equal(dataset.splits["train"][:, 3], 0)
    test = (clinical[200:] - train.mean(0)) / np.where(train.std(0) > 0, train.std(0), 1)
    np.testing.assert_allclose(dataset.splits["test"], test, rtol=1e-5, atol=1e-6)


def test_it_is_undone_up_to_rounding(clinical):
    done = Standardization.of(clinical)
    x = done.apply(clinical)
    assert x.dtype == np.float32
    error = np.abs(done.undo(x) - clinical) / done.scale
    assert error.max() < 1e-6
    np.testing.assert_allclose(done.log_jacobian, -np.log(clinical[:, :3].std(0)).sum())


@pytest.mark.parametrize("more", ["binarize='static'", "values='levels'", "scale=2.0"])
def test_it_goes_with_reals_alone(tmp_path, clinical, more):
    text = save(tmp_path, mine=clinical)[:-1]
    with pytest.raises(UserError, match="standardize goes with"):
        make(f"{text}, standardize=True, {more})")


@pytest.fixture(scope="module")
def run(tmp_path_factory, clinical):
    folder = tmp_path_factory.mktemp("standardized")
    text = save(folder, train=clinical[:200, :3], test=clinical[200:, :3])[:-1]
    config = quick_config(data=text + ", standardize=True)", likelihood="normal", num_epochs=2)
    return fit(config, folder / "run", quiet=True)


def test_a_density_has_the_jacobian(run, clinical):
    results = evaluate(run, num_importance_samples=5, quiet=True)
    numbers, values = results["numbers"], results["per_example"]
    scale = clinical[:180, :3].std(0)
    expected = values["log_p"] - np.log(scale).sum()
    np.testing.assert_allclose(values["log_p_brought"], expected, rtol=1e-6)
    assert numbers["log_p_brought"]["mean"] == pytest.approx(expected.mean(), rel=1e-6)


def test_the_jacobian_is_that_of_a_change_of_variables(clinical):
    """The density of a normal before and after, by SciPy."""
    done, before = Standardization.of(clinical[:, :1]), stats.norm(60.0, 12.0)
    x = done.apply(clinical[:, :1])[:, 0]
    after = stats.norm((60 - done.mean[0]) / done.scale[0], 12 / done.scale[0])
    np.testing.assert_allclose(
        before.logpdf(clinical[:, 0]), after.logpdf(x) + done.log_jacobian, rtol=1e-4
    )


def test_the_numbers_stay_with_the_run(run, clinical, tmp_path):
    save(tmp_path, test=clinical[200:, :3] + 1000)
    other = load(run.workdir, data=f"npz(path='{tmp_path / 'data.npz'}')")
    kept = run.dataset.standardization
    np.testing.assert_array_equal(other.dataset.standardization.mean, kept.mean)
    expected = (clinical[200:, :3] + 1000 - kept.mean) / kept.scale
    np.testing.assert_allclose(other.dataset.splits["test"], expected, rtol=1e-5)
    assert evaluate(other, num_importance_samples=5, quiet=True)["num_examples"] == 100


def test_examples_are_presented_and_restored(run, clinical):
    x = run.present(clinical[200:, :3])
    np.testing.assert_array_equal(x, run.dataset.splits["test"])
    np.testing.assert_allclose(run.restore(x), clinical[200:, :3], rtol=1e-6)
    for wrong, message in [
        (clinical, r"shape \(300, 4\): \['n', 3\] is needed"),
        (clinical[0, :3], "single numbers"),
        (np.full((2, 3), np.nan), r"example 0, element \[0\] is nan"),
        (np.full((2, 3), "a"), "no array of numbers"),
    ]:
        with pytest.raises(UserError, match=message):
            run.present(wrong)


def test_what_is_presented_is_what_evaluation_sees(tmp_path):
    """The bits of a dynamic binarization too: the bound of the same draws is the same."""
    config = quick_config(num_epochs=1)
    run = fit(config, tmp_path, quiet=True)
    x = run.present(run.dataset.splits["test"])
    values = evaluate(run, num_importance_samples=1, quiet=True)["per_example"]
    assert set(np.unique(x)) == {0, 1}
    from vae_jax import log_weights
    from vae_jax.batches.keys import example_keys, keys_of

    keys = example_keys(keys_of(0).evaluate, jax.numpy.arange(len(x)))[:, 0]
    terms = log_weights(run.model, run.params, keys, x, 1)
    np.testing.assert_allclose(terms.log_weight[0], values["log_p"], rtol=1e-5)
    other = run.present(run.dataset.splits["test"], jax.random.key(5))
    assert (np.asarray(other) != np.asarray(x)).any()
