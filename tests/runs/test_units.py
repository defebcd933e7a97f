"""From data as it was brought to x and back, and densities in the units that were brought."""

import jax
import numpy as np
import pytest
from scipy import stats

from tests.quick_runs import quick_config
from vae_jax import UserError, evaluate, fit, load
from vae_jax.cli.main import main
from vae_jax.reporting.samples import sample

RNG = np.random.default_rng(1)
CENTRE, SIZE = np.array([60.0, 2.5e5, 1.6e9]), np.array([12.0, 6e4, 10.0])
CLINICAL = CENTRE + SIZE * (RNG.normal(size=(300, 1)) + RNG.normal(size=(300, 3)))
LINEAR = {
    "encoder": "linear",
    "decoder": "linear",
    "latent_dim": 1,
    "num_epochs": 60,
    "batch_size": 20,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A run on standardized columns, by a linear-Gaussian model."""
    folder = tmp_path_factory.mktemp("table")
    np.savez(folder / "table.npz", train=CLINICAL[:200], test=CLINICAL[200:])
    data = f"npz(path='{folder}/table.npz', standardize=True)"
    return fit(quick_config(data=data, likelihood="normal(scale=0.8)", **LINEAR), folder / "run",
               quiet=True)  # fmt: skip


@pytest.mark.slow
def test_a_density_is_also_given_in_the_units_that_were_brought(table):
    """The marginal of a linear-Gaussian model in those units, by SciPy."""
    model, params, done = table.model, table.params, table.dataset.standardization
    b, w = (
        np.asarray(model.decode(params, jax.numpy.array([z])).mean, np.float64) for z in (0.0, 1.0)
    )
    w = (w - b)[:, None]
    covariance = done.scale[:, None] * (w @ w.T + 0.8**2 * np.eye(3)) * done.scale
    shift = done.mean + done.scale * b
    expected = stats.multivariate_normal(np.zeros(3), covariance).logpdf(CLINICAL[200:] - shift)
    results = evaluate(table, num_importance_samples=2000, quiet=True)
    arrays = results["per_example"]
    difference = arrays["log_p_brought"] - arrays["log_p"]
    np.testing.assert_allclose(arrays["log_p_exact"] + difference, expected, rtol=1e-4)
    numbers = results["numbers"]
    error = 5 * numbers["log_p"]["monte_carlo_error"]
    assert error < 0.1
    assert numbers["log_p_brought"]["mean"] == pytest.approx(expected.mean(), abs=error)


def test_examples_become_the_x_of_the_run_and_are_restored(table):
    x = table.present(CLINICAL[200:])
    np.testing.assert_array_equal(x, table.dataset.splits["test"])
    np.testing.assert_allclose(table.restore(x), CLINICAL[200:], rtol=1e-6)
    np.testing.assert_allclose(table.restore(np.stack([x, x])), [CLINICAL[200:]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((9, 4)), r"what is brought has shape \[9, 4\], where \[n, 3\] is needed"),
        (np.zeros(3), r"what is brought has shape \[3\], where \[n, 3\] is needed"),
        (np.zeros((0, 3)), r"what is brought is empty"),
        (np.float64(3), "what is brought is a single number"),
        (np.full((2, 3), np.nan), r"example 0, element \[0\] is nan"),
        (np.full((2, 3), "a"), "what is brought is no array of numbers"),
        (np.full((2, 3), 1j), "what is brought is no array of numbers"),
        ([[1.0, 2.0, 3.0], [1.0]], "what is brought: its examples differ in shape"),
    ],
)
def test_what_is_no_example_of_the_run_is_refused(table, wrong, message):
    with pytest.raises(UserError, match=message):
        table.present(wrong)


def test_the_numbers_stay_those_of_the_run_for_other_data(table, tmp_path):
    np.savez(tmp_path / "new.npz", test=CLINICAL[200:] + 1000)
    other = load(table.workdir, data=f"npz(path='{tmp_path / 'new.npz'}')")
    done = table.dataset.standardization
    np.testing.assert_array_equal(other.dataset.standardization.mean, done.mean)
    expected = (CLINICAL[200:] + 1000 - done.mean) / done.scale
    np.testing.assert_allclose(other.dataset.splits["test"], expected, rtol=1e-5)
    np.testing.assert_array_equal(other.present(CLINICAL[:9]), table.present(CLINICAL[:9]))


@pytest.mark.parametrize("shape", [(9, 4), (9, 3, 1), (9, 6)])
def test_other_data_of_another_shape_is_refused(table, tmp_path, shape):
    np.savez(tmp_path / "new.npz", test=np.zeros(shape))
    with pytest.raises(UserError, match=r"shape"):
        load(table.workdir, data=f"npz(path='{tmp_path / 'new.npz'}')")


def test_new_examples_alone_are_evaluated(table, tmp_path, capsys):
    np.savez(tmp_path / "new.npz", test=CLINICAL[200:250])
    flags = [f"--workdir={table.workdir}", f"--data=npz(path='{tmp_path / 'new.npz'}')"]
    assert main(["vae-jax", "evaluate", *flags, "--num_importance_samples=5"]) == 0
    assert "log_p_brought" in capsys.readouterr().out


DATA = {
    "dynamic bits": ("digits(binarize='dynamic')", "bernoulli"),
    "static bits": ("digits(binarize='static')", "bernoulli"),
    "greys": ("digits(binarize='none')", "normal"),
    "levels": ("digits(binarize='none', values='levels')", "categorical(levels=17)"),
    "dequantized": ("digits(binarize='none', values='dequantized')", "normal"),
}


@pytest.fixture(scope="module", params=DATA)
def digits(request):
    """A run of the digits, and the levels that are stored."""
    data, likelihood = DATA[request.param]
    run = fit(quick_config(data=data, likelihood=likelihood, num_epochs=1), quiet=True)
    return request.param, run, run.dataset.splits["test"]


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">f8"])
def test_the_test_images_become_the_x_that_evaluation_sees(digits, dtype):
    _, run, stored = digits
    values = evaluate(run, estimators="tests.runs.seen", quiet=True)["per_example"]
    np.testing.assert_array_equal(run.present(stored.astype(dtype)), values["x"])


def test_other_draws_have_another_key(digits):
    kind, run, stored = digits
    one, other = run.present(stored), run.present(stored, jax.random.key(5))
    is_drawn = kind in ("dynamic bits", "dequantized")
    assert bool((one != other).any()) == is_drawn


def test_x_is_restored_where_stored_values_can_be_told(digits):
    kind, run, stored = digits
    restored = run.restore(run.present(stored))
    if "bits" in kind:
        np.testing.assert_array_equal(restored, run.present(stored))
    else:
        np.testing.assert_allclose(restored, stored, atol=1e-5)


def test_values_out_of_range_are_refused_as_before_training(digits):
    kind, run, stored = digits
    if kind != "greys":
        with pytest.raises(UserError, match=r"^example 0, element \[0, 0, 0\] is 300.0: finite"):
            run.present(np.full(stored.shape, 300.0))


@pytest.mark.slow
def test_figures_of_vectors_are_in_the_units_that_were_brought(table):
    """The third column, around 1.6e9, and the second are those that vary most when standardized."""
    figures = sample(table, num_samples=4, quiet=True).figures
    for name in ("samples", "interpolations"):
        axes = figures[name].axes[0]
        points = np.concatenate([line.get_xydata() for line in axes.lines])
        shown = [int(label[4]) - 1 for label in (axes.get_xlabel(), axes.get_ylabel())]
        low, high = (np.percentile(CLINICAL[:, shown], q, axis=0) for q in (0, 100))
        assert (points > low - (high - low)).all()
        assert (points < high + (high - low)).all()
        assert figures[name].get_label().endswith("in the units that were brought.")
    assert figures["reconstructions"].get_label().endswith("standardized.")
