import json

import jax
import numpy as np
import pytest

from tests.by_hand import run_of, with_parts
from vae_jax import UserError, build_model, default_config, evaluate, fit
from vae_jax.batches.devices import mesh_for
from vae_jax.batches.passes import exact_pass
from vae_jax.datasets._making import make_dataset
from vae_jax.evaluation.numbers import table
from vae_jax.runs.results import read_results, save_results
from vae_jax.standard_errors import known_error

OPTIONS = {"num_importance_samples": 60, "quiet": True}


@pytest.fixture(scope="module")
def run():
    """An untrained model of bits with a latent plane, 37 test examples."""
    model = build_model((2, 3, 1), 2, encoder="mlp(hidden=(8,))", decoder="mlp(hidden=(8,))")
    grey = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 1)).astype(np.uint8)
    dataset = make_dataset({"train": grey[:13], "test": grey[13:]}, scale=255.0, binarize="dynamic")
    params = model.init(jax.random.key(0), grey[:13] / 255.0)
    return run_of(model, dataset, params, 7)


def test_an_exact_pass_sees_each_example_once():
    split = np.arange(23, dtype=np.float32)
    for size in (1, 5, 23, 40):
        seen = exact_pass(lambda raw, ids: {"x": raw, "id": ids}, split, size, mesh_for(size))
        np.testing.assert_array_equal(seen["x"], split)
        np.testing.assert_array_equal(seen["id"], split)


@pytest.mark.slow
def test_the_batch_size_changes_nothing(run):
    results = [evaluate(run, batch_size=size, **OPTIONS) for size in (1, 10, 37, 100)]
    for other in results[1:]:
        for name, values in results[0]["per_example"].items():
            np.testing.assert_allclose(values, other["per_example"][name], rtol=2e-4, atol=2e-4)


def test_means_and_standard_errors_are_those_of_the_examples(run):
    results = evaluate(run, quadrature_points=200, **OPTIONS)
    assert results["num_examples"] == 37
    assert results["checkpoint_step"] == 7
    for name, number in results["numbers"].items():
        values = results["per_example"][name]
        assert values.shape == (37,)
        np.testing.assert_allclose(number["mean"], np.mean(values))
        np.testing.assert_allclose(number["standard_error"], np.std(values, ddof=1) / 37**0.5)
        assert number["n"] == 37
        assert number["unit"]
        assert number["method"]
    mean = {name: number["mean"] for name, number in results["numbers"].items()}
    assert {"iwae_1", "iwae_5", "iwae_50"} <= mean.keys()
    assert "iwae_500" not in mean
    np.testing.assert_allclose(mean["elbo"], mean["log_likelihood"] - mean["kl"], rtol=1e-5)
    np.testing.assert_allclose(mean["bits_per_dim"], -mean["log_p"] / 6 / np.log(2), rtol=1e-6)
    error = results["numbers"]["log_p"]["monte_carlo_error"]
    assert abs(mean["log_p"] - mean["log_p_quadrature"]) < 5 * error
    assert "log_p" in table(results)


def test_both_kls_agree_within_their_error(run):
    number = evaluate(run, num_importance_samples=2000, quiet=True)["numbers"][
        "kl_sampled_minus_kl"
    ]
    assert abs(number["mean"]) < 5 * number["standard_error"]


def test_a_density_has_no_bits_per_dimension():
    model = build_model((3,), 2, likelihood="normal(scale=1.0)", decoder="linear", prior="mixture")
    x = np.zeros((4, 3), np.float32)
    params = model.init(jax.random.key(0), x)
    run = run_of(model, make_dataset({"train": x, "test": x}), params)
    numbers = evaluate(run, **OPTIONS)["numbers"]
    assert "bits_per_dim" not in numbers
    assert "kl" not in numbers  # a mixture has no closed form
    np.testing.assert_allclose(
        numbers["elbo"]["mean"],
        numbers["log_likelihood"]["mean"] - numbers["kl_sampled"]["mean"],
        rtol=1e-5,
    )


def test_another_seed_is_other_draws(run):
    one, other = (evaluate(run, seed=seed, **OPTIONS)["per_example"]["elbo"] for seed in (0, 1))
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "tets"}, "did you mean 'test'"),
        ({"num_importance_samples": 0}, "num_samples=0: an integer from 1 to"),
        ({"num_importance_samples": 2**25 + 1}, "from 1 to 33554432 is needed"),
        ({"iwae_samples": (0,)}, "an integer from 1 to"),
        ({"iwae_samples": (61,)}, "at least k"),
        ({"quadrature_points": 5}, "of the prior's mass"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_had_is_refused(run, options, expected):
    with pytest.raises(UserError, match=expected):
        evaluate(run, **{**OPTIONS, **options})


def test_results_of_several_splits_are_kept(run, tmp_path):
    for split in ("train", "test"):
        save_results(tmp_path, split, evaluate(run, split, **OPTIONS))
    results = read_results(tmp_path)
    assert results.keys() == {"train", "test"}
    assert results["train"]["num_examples"] == 13
    assert "per_example" not in results["test"]
    saved = np.load(tmp_path / "per_example" / "test.npz")["log_p"]
    np.testing.assert_allclose(saved.mean(), results["test"]["numbers"]["log_p"]["mean"])
    json.dumps(results)


def test_the_first_examples_have_the_numbers_that_they_have_among_all(run, tmp_path):
    options = {"estimators": "importance(num_samples=20)", "quiet": True}
    every, first = evaluate(run, **options), evaluate(run, num_examples=7, **options)
    assert first["num_examples"] == 7
    for name, values in first["per_example"].items():
        np.testing.assert_allclose(values, every["per_example"][name][:7], rtol=1e-4, atol=1e-5)
    for results in (every, first):
        save_results(tmp_path, "test", results)
    assert set(read_results(tmp_path)) == {"test", "first 7 of test"}
    with pytest.raises(UserError, match="num_examples=100000: "):
        evaluate(run, num_examples=100_000, **options)


def test_derived_numbers_are_made_of_the_right_ones(run):
    results = evaluate(run, **OPTIONS)
    values = results["per_example"]
    np.testing.assert_allclose(values["log_p_minus_elbo"], values["log_p"] - values["elbo"])
    difference = values["kl_sampled"] - values["kl"]
    np.testing.assert_allclose(values["kl_sampled_minus_kl"], difference)
    error = np.sqrt(np.sum(values["log_p_error"] ** 2)) / 37
    np.testing.assert_allclose(results["numbers"]["log_p"]["monte_carlo_error"], error)
    one = evaluate(run, num_importance_samples=1, quiet=True)["numbers"]["log_p"]
    assert "monte_carlo_error" not in one


@pytest.mark.slow
def test_every_example_has_draws_of_its_own(run):
    same = np.full((37, 2, 3, 1), 255, np.uint8)
    repeated = with_parts(run, dataset=run.dataset._replace(splits={"train": same, "test": same}))
    kl_sampled = evaluate(repeated, **OPTIONS)["per_example"]["kl_sampled"]
    assert len(np.unique(kl_sampled)) == 37


@pytest.mark.slow
def test_known_densities_are_reported_as_they_are():
    import scipy.stats

    config = default_config()
    config.data, config.latent_dim = "linear_gaussian(size=500, validation=0, test=90)", 2
    config.encoder = config.decoder = "linear"
    config.likelihood, config.num_epochs = "normal", 1
    run = fit(config, quiet=True)
    values = evaluate(run, **OPTIONS)["per_example"]
    x = np.asarray(run.dataset.splits["test"], float)
    np.testing.assert_allclose(values["log_p_data"], run.dataset.log_prob(x), rtol=1e-4)
    layer = run.params["decoder"]["Dense_0"]
    W, b = np.asarray(layer["kernel"], float).T, np.asarray(layer["bias"], float)
    s = 1e-3 + np.exp(float(run.params["likelihood"]["log_scale"]))
    model = scipy.stats.multivariate_normal(b, W @ W.T + s**2 * np.eye(8))
    np.testing.assert_allclose(values["log_p_exact"], model.logpdf(x), rtol=1e-3)


def test_greys_under_a_bernoulli_are_no_log_likelihoods(run):
    grey = run.dataset.splits
    honest = with_parts(run, dataset=make_dataset(grey, scale=255.0))
    results = evaluate(honest, **OPTIONS)
    assert "no log-likelihoods" in results["warning"]
    assert "no log-likelihoods" in table(results)
    assert "bits_per_dim" not in results["numbers"]
    assert "log-likelihoods" not in evaluate(run, **OPTIONS)["warning"]


@pytest.mark.parametrize("is_grey", [True, False])
def test_one_grey_pixel_is_enough(run, is_grey):
    splits = {name: np.where(np.asarray(x) > 100, 255, 0) for name, x in run.dataset.splits.items()}
    splits["test"][3].flat[2] = 100 if is_grey else 0
    one_grey = with_parts(run, dataset=make_dataset(splits, scale=255.0))
    results = evaluate(one_grey, **OPTIONS)
    assert results["in_support"] is not is_grey
    assert ("no log-likelihoods" in (results["warning"] or "")) == is_grey


def test_quadrature_is_refused_where_its_grid_is_too_coarse(run):
    with pytest.raises(UserError, match="of the prior's mass"):
        evaluate(run, quadrature_points=5, **OPTIONS)


@pytest.mark.slow
def test_every_run_is_evaluated_on_the_same_draws(run):
    """Whatever the model and the seed of its training: what pairs their differences by example.

    `log_prob` of the data set sees x itself, and a decoder that ignores z shows the same.
    """
    weights = jax.numpy.arange(1.0, 7.0)
    dataset = run.dataset._replace(log_prob=lambda x: x.reshape(len(x), -1) @ weights)
    other = build_model(
        (2, 3, 1), 5, encoder="linear", decoder="linear", prior="mixture(components=2)"
    )
    params = other.init(jax.random.key(9), dataset.splits["train"] / 255.0)
    others = run_of(other, dataset, params, 99, seed=3, batch_size=7)
    values = [
        evaluate(r, **OPTIONS)["per_example"]["log_p_data"]
        for r in (with_parts(run, dataset=dataset), others)
    ]
    np.testing.assert_array_equal(*values)
    assert len(set(values[0])) > 5


@pytest.mark.parametrize(
    ("likelihood", "kind"), [("normal", "density"), ("bernoulli", "mass"), ("laplace", "density")]
)
def test_a_density_of_bits_is_warned_of_and_each_log_likelihood_says_what_it_is(likelihood, kind):
    bits = (np.random.default_rng(0).uniform(size=(40, 2, 3, 1)) < 0.4).astype(np.float32)
    model = build_model((2, 3, 1), 2, likelihood=likelihood)
    params = model.init(jax.random.key(0), bits)
    results = evaluate(
        run_of(model, make_dataset({"train": bits, "test": bits}), params), **OPTIONS
    )
    shown = table(results)
    assert ("x takes 2 values only" in results["warning"]) == (kind == "density")
    assert ("warning: x takes 2 values only" in shown) == (kind == "density")
    likelihoods = {"elbo", "log_likelihood", "log_p", "iwae_1", "iwae_5", "iwae_50"}
    lines = [line.split() for line in shown.splitlines() if f"({kind})" in line]
    assert {line[0] for line in lines} == likelihoods
    assert results["numbers"]["log_p"]["unit"] == "nats per example"


def test_the_error_of_a_mean_of_few():
    """1, 2 and 6: their variance is 7, with two degrees of freedom."""
    np.testing.assert_allclose(known_error(np.array([1.0, 2.0, 6.0])), np.sqrt(7 / 3), rtol=1e-6)
    assert known_error(np.array([1.0])) is None
