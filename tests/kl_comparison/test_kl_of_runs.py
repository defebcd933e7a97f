"""The KL of trained models: its values against their reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import UserError, build_model, evaluate
from vae_jax.batches.keys import keys_of
from vae_jax.config.fields import resolve
from vae_jax.divergences import closed_form_kl
from vae_jax.kl_comparison.models import examples
from vae_jax.kl_comparison.models.compare import compare_run
from vae_jax.kl_comparison.models.examples import _quadrature, closed_and_sampled
from vae_jax.kl_comparison.models.statistics import _z_scores, of_values
from vae_jax.runs.parts import make_parts
from vae_jax.runs.run import Run


@pytest.fixture(scope="module")
def compared(trained):
    reference, values = closed_and_sampled(trained, "test", 1024)
    assert reference == "closed form"
    return values


def require_standard_normal(z):
    """Within four of their standard errors."""
    assert abs(z["mean"]) < 4 * z["mean_standard_error"]
    assert abs(z["std"] - 1) < 4 * z["std_standard_error"]
    assert z["largest_p_value"] > 1e-3


@pytest.mark.slow
def test_a_right_closed_form_has_standard_normal_z_scores(compared):
    statistics = of_values(compared, 1024)
    require_standard_normal(statistics["z_scores"])
    assert abs(statistics["difference"]["z"]) < 4
    assert all(abs(d["difference"]["z"]) < 4 for d in statistics["dimensions"])
    slope, error = (statistics["convergence"][name] for name in ("slope", "slope_standard_error"))
    assert abs(slope + 0.5) < 4 * error
    assert error < 0.02


def test_the_draws_are_those_of_evaluate(trained, compared):
    theirs = evaluate(trained, num_importance_samples=1024, quiet=True)["per_example"]
    np.testing.assert_allclose(compared["kl"], theirs["kl"], rtol=1e-5)
    np.testing.assert_allclose(compared["sampled"], theirs["kl_sampled"], rtol=1e-4)
    np.testing.assert_allclose(compared["dimensions"].sum(1), compared["kl"], rtol=1e-5)
    np.testing.assert_allclose(
        compared["dimensions_sampled"].sum(1), compared["sampled"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_the_batch_size_changes_nothing(trained, compared, monkeypatch):
    monkeypatch.setattr(examples, "IN_FLIGHT", 1024 * 2 * 17)
    for name, values in closed_and_sampled(trained, "test", 1024)[1].items():
        np.testing.assert_allclose(values, compared[name], rtol=2e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_closed_form_that_is_off_by_a_percent_is_caught(trained, monkeypatch):
    monkeypatch.setattr(examples, "closed_form_kl", lambda q, p: 1.01 * closed_form_kl(q, p))
    statistics = of_values(closed_and_sampled(trained, "test", 1024)[1], 1024)
    assert statistics["difference"]["z"] < -5
    assert statistics["z_scores"]["mean"] < -5 * statistics["z_scores"]["mean_standard_error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({"prior": "mixture(components=3)"}, "quadrature"),
        ({"prior": "mixture(components=3)", "latent_dim": 3}, "sampled"),
    ],
)
def test_without_a_closed_form_there_is_another_reference(changes, reference):
    parts = make_parts(resolve(quick_config(**changes)))
    start = parts.start(keys_of(0)).params
    run = Run(parts, jax.tree.map(lambda w: 2 * w, start), 0)
    method, values = closed_and_sampled(run, "test", 512)
    assert method == reference
    assert "dimensions" not in values
    statistics = of_values(values, 512)
    assert abs(statistics["difference"]["z"]) < 4
    require_standard_normal(statistics["z_scores"])


@pytest.mark.slow
def test_quadrature_gives_the_textbooks_formula(bits):
    """Two ways to one number: the trapezoidal rule on normals is good to float32."""
    model = build_model((1, 5, 1), 2, posterior="full_normal")
    x = jnp.asarray(bits[:10])
    params = model.init(jax.random.key(0), x)
    keys = jax.random.split(jax.random.key(1), 10)
    kl, error, mass = _quadrature(model, params, keys, x, 8)
    q = model.encode(params, x)
    covariance = np.asarray(q.covariance_matrix)
    trace, mean = np.trace(covariance, axis1=1, axis2=2), np.asarray(q.mean)
    expected = 0.5 * (trace + (mean**2).sum(1) - 2 - np.linalg.slogdet(covariance)[1])
    np.testing.assert_allclose(kl, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mass, 1, atol=1e-4)
    assert not error.any()


def test_impossible_wishes_are_said(trained):
    with pytest.raises(UserError, match="split"):
        closed_and_sampled(trained, "tset", 16)
    with pytest.raises(UserError, match="num_samples=1"):
        closed_and_sampled(trained, "test", 1)
    with pytest.raises(UserError, match="repetitions=8"):
        compare_run(trained.workdir, repetitions=8)


def test_the_mean_z_score_of_skewed_draws_is_as_expected():
    """Of exponentials, skewness 2: Student's statistic is -2 / (2 sqrt(K)) on average."""
    draws = np.random.default_rng(0).exponential(size=(20_000, 256))
    z = (draws.mean(1) - 1) / (draws.std(1, ddof=1) / 16)
    scores = _z_scores(z, np.full(len(z), 2.0), 256)
    assert abs(scores["mean"] - scores["mean_expected"]) < 4 * scores["mean_standard_error"]
    assert scores["mean"] < -4 * scores["mean_standard_error"]


def test_the_error_of_the_elbo_is_that_of_repetitions():
    """Independent normal terms of known variance: the noise of draws is taken off the spread."""
    rng, n, draws = np.random.default_rng(0), 20_000, 64
    truth = rng.normal(-90, 3.0, n)
    values = {
        "kl": np.full(n, 20.0),
        "kl_error": np.zeros(n),
        "rounding": np.zeros(n),
        "skewness": np.zeros(n),
        "sampled": 20 + rng.normal(0, 2 / np.sqrt(draws), n),
        "sampled_error": np.full(n, 2 / np.sqrt(draws)),
        "log_likelihood": truth + rng.normal(0, 16 / np.sqrt(draws), n),
        "ratio_variance": np.full(n, 4.0),
        "likelihood_variance": np.full(n, 256.0),
        "weight_variance": np.full(n, 260.0),
        **{f"squared_error_{k}": 4 / k * rng.chisquare(1, n) for k in (1, 4, 16, 64)},
    }
    error = of_values(values, draws)["elbo"]
    assert abs(error["examples"] / (3 / np.sqrt(n)) - 1) < 5 / np.sqrt(2 * n) * (1 + 4 / 9)
    one = error["draws"][0]
    np.testing.assert_allclose([one["kl"], one["closed_form"]], np.array([2, 16]) / np.sqrt(n))
    np.testing.assert_allclose(one["ratio"], np.sqrt(269 / 265), rtol=1e-3)
