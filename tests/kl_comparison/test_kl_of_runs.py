"""The KL of trained models: values against their reference, gradients by three estimators."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from vae_jax import UserError, build_model, default_config, evaluate, fit
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.splits import present
from vae_jax.config import components
from vae_jax.config.fields import resolve
from vae_jax.divergences import closed_form_kl
from vae_jax.kl_comparison.models import examples
from vae_jax.kl_comparison.models.compare import compare_run
from vae_jax.kl_comparison.models.examples import _quadrature, closed_and_sampled
from vae_jax.kl_comparison.models.gradients import (
    GRADIENT_ESTIMATORS,
    GradientMoments,
    GradientStudy,
    inner_products,
    parameter_groups,
)
from vae_jax.kl_comparison.models.stages import stages
from vae_jax.kl_comparison.models.statistics import _z_scores, of_gradients, of_values, ratio
from vae_jax.kl_comparison.models.tables import table
from vae_jax.reporting.pages import report
from vae_jax.runs.directory import read_results, read_splits, save_results
from vae_jax.runs.parts import make_parts
from vae_jax.runs.run import Run
from vae_jax.types import Dataset


def quick_config(**changes):
    config = default_config()
    config.encoder = config.decoder = "mlp(hidden=(16,))"
    config.latent_dim, config.num_epochs = 2, 8
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(quick_config(), tmp_path_factory.mktemp("trained"), quiet=True)


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
    found = of_values(compared, 1024)
    require_standard_normal(found["z_scores"])
    assert abs(found["difference"]["z"]) < 4
    assert all(abs(d["difference"]["z"]) < 4 for d in found["dimensions"])
    slope, error = (found["convergence"][name] for name in ("slope", "slope_standard_error"))
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


def test_a_closed_form_that_is_off_by_a_percent_is_caught(trained, monkeypatch):
    monkeypatch.setattr(examples, "closed_form_kl", lambda q, p: 1.01 * closed_form_kl(q, p))
    found = of_values(closed_and_sampled(trained, "test", 1024)[1], 1024)
    assert found["difference"]["z"] < -5
    assert found["z_scores"]["mean"] < -5 * found["z_scores"]["mean_standard_error"]


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
    found, values = closed_and_sampled(run, "test", 512)
    assert found == reference
    assert "dimensions" not in values
    said = of_values(values, 512)
    assert abs(said["difference"]["z"]) < 4
    require_standard_normal(said["z_scores"])


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
    found = _z_scores(z, np.full(len(z), 2.0), 256)
    assert abs(found["mean"] - found["mean_expected"]) < 4 * found["mean_standard_error"]
    assert found["mean"] < -4 * found["mean_standard_error"]


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
    found = of_values(values, draws)["elbo"]
    assert abs(found["examples"] / (3 / np.sqrt(n)) - 1) < 5 / np.sqrt(2 * n) * (1 + 4 / 9)
    one = found["draws"][0]
    np.testing.assert_allclose([one["kl"], one["closed_form"]], np.array([2, 16]) / np.sqrt(n))
    np.testing.assert_allclose(one["ratio"], np.sqrt(269 / 265), rtol=1e-3)


# ---- gradients


THREE = tuple(GRADIENT_ESTIMATORS.values())


def study_of(model, params, names=THREE):
    found = {name: components.build("objectives", name) for name in names}
    return GradientStudy(model, found, parameter_groups(params)), found


@pytest.fixture(scope="module")
def setting(small, bits):
    model, params = small
    keys = jax.random.split(jax.random.key(5), len(bits))
    return model, params, keys, jnp.asarray(bits)


def brute_force(model, objective, params, keys, x, repetitions):
    """`[repetitions, params]` of each part."""

    def gradient(r):
        new = jax.vmap(jax.random.fold_in, (0, None))(keys, r)
        g = jax.grad(lambda p: objective(model, p, new, x).surrogate)(params)
        return {part: ravel_pytree(g[part])[0] for part in ("encoder", "decoder")}

    return jax.device_get(jax.jit(jax.vmap(gradient))(jnp.arange(repetitions)))


def stage_of(draws, names):
    """`of_gradients` with the names of the estimators put back."""
    renamed = dict(zip(names, GRADIENT_ESTIMATORS, strict=False))
    as_named = lambda s: {renamed[n]: v for n, v in s.items()}  # noqa: E731
    draws = GradientMoments(*map(as_named, draws))
    return of_gradients(draws, draws.variance, draws.variance)


@pytest.mark.slow
def test_variance_and_signal_to_noise_equal_numpy_on_all_gradients(setting):
    study, found = study_of(*setting[:2])
    draws = study.draws(*setting[1:], 256)
    said = stage_of(draws, list(found))
    for (name, objective), estimator in zip(found.items(), GRADIENT_ESTIMATORS, strict=True):
        arrays = brute_force(setting[0], objective, *setting[1:], 256)
        for part, g in arrays.items():
            fours = g.reshape(64, 4, -1).var(1, ddof=1).sum(-1)
            np.testing.assert_allclose(draws.variance[name][part], fours, rtol=1e-3)
            halves = g.reshape(2, 128, -1).mean(1)
            numbers = said[estimator][part]
            np.testing.assert_allclose(numbers["norm"], np.sqrt(halves[0] @ halves[1]), rtol=1e-3)
            expected = np.sqrt(halves[0] @ halves[1] / fours.mean())
            np.testing.assert_allclose(numbers["signal_to_noise"], expected, rtol=1e-3)
            whole = g.var(0, ddof=1).sum()
            assert abs(numbers["variance"] - whole) < 5 * numbers["variance_error"]


def test_the_three_gradients_have_one_mean(setting):
    study, found = study_of(*setting[:2])
    said = stage_of(study.draws(*setting[1:], 4096), list(found))
    for groups in said.values():
        for group, numbers in groups.items():
            assert abs(numbers["bias_z"]) < 5, group
            assert numbers["bias_below"] < 0.1, group


def test_a_wrong_gradient_is_caught(setting):
    names = ("elbo(kl='closed_form')", "elbo(kl='sampled', beta=1.1)")
    model, params, keys, x = setting
    params = {**params, "encoder": jax.tree.map(lambda w: w / 0.3, params["encoder"])}
    study, _ = study_of(model, params, names)
    said = stage_of(study.draws(params, keys, x, 4096), names)["sampled"]
    assert said["encoder"]["bias_z"] > 5
    assert said["decoder"]["bias_z"] < 5


@pytest.mark.slow
def test_the_z_score_of_no_bias_is_standard_normal(setting):
    study, found = study_of(*setting[:2])
    z = []
    for i in range(60):
        keys = jax.random.split(jax.random.key(100 + i), len(setting[2]))
        said = stage_of(study.draws(setting[1], keys, setting[3], 256), list(found))
        z.append(said["sampled"]["encoder"]["bias_z"])
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert abs(np.std(z) - np.sqrt(31 / 29)) < 4 / np.sqrt(120)  # Student's, 31 degrees of freedom


def bits_dataset(x):
    return Dataset({"train": np.asarray(x)}, lambda key, raw: raw)


@pytest.mark.slow
def test_the_share_of_draws_against_independent_batches(setting):
    """Total variance by brute force: 600 times a batch and a draw, each independent."""
    model, params, _, x = setting
    study, found = study_of(model, params)
    within, total = study.batches(params, bits_dataset(x), jax.random.key(0), 3, 300)
    rng, objective = np.random.default_rng(1), found["elbo(kl='sampled')"]
    rows = np.stack([rng.permutation(len(x))[:3] for _ in range(600)])

    def gradient(key, x):
        keys = jax.random.split(key, 3)
        g = jax.grad(lambda p: objective(model, p, keys, x).surrogate)(params)
        return ravel_pytree(g["encoder"])[0]

    keys = jax.random.split(jax.random.key(2), 600)
    g = np.asarray(jax.jit(jax.vmap(gradient))(keys, x[rows]))
    squares = ((g - g.mean(0)) ** 2).sum(1)
    mine = total["elbo(kl='sampled')"]["encoder"]
    errors = [squares.std() / np.sqrt(600), mine.std() / np.sqrt(len(mine))]
    assert abs(mine.mean() - squares.mean()) < 5 * np.hypot(*errors)
    assert within["elbo(kl='sampled')"]["encoder"].mean() < 0.9 * mine.mean()


@pytest.mark.slow
def test_with_equal_examples_all_variance_is_of_draws(setting):
    model, params, _, x = setting
    study, found = study_of(model, params)
    same = bits_dataset(jnp.broadcast_to(x[:1], x.shape))
    within, total = study.batches(params, same, jax.random.key(0), 4, 200)
    for name in found:
        share = ratio("share", within[name]["encoder"], total[name]["encoder"])
        assert abs(share["share"] - 1) < 5 * share["share_error"]
        assert share["share_error"] < 0.1


@pytest.mark.slow
def test_the_path_derivative_is_silent_at_the_exact_posterior(linear):
    """W of orthogonal columns: p(z|x) = N(M^-1 W'(x - b), s^2 M^-1), M = W'W + s^2 diagonal."""
    model, params, x = linear
    W = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [-1.0, -0.5]])
    s, b = 0.7, np.array([0.1, -0.2, 0.3, 0.0])
    diagonal = (W**2).sum(0) + s**2
    gain, log_scale = W / diagonal, 0.5 * np.log(s**2 / diagonal)
    kernel = np.concatenate([gain, np.zeros((4, 2))], 1)
    bias = np.concatenate([-b @ gain, log_scale])
    own = {
        **params,
        "decoder": {"Dense_0": {"kernel": W.T, "bias": b}},
        "encoder": {"Dense_0": {"kernel": kernel, "bias": bias}},
        "likelihood": {"log_scale": np.log(s - 1e-3)},
    }
    own = jax.tree.map(lambda a, like: jnp.asarray(a, jnp.float32).reshape(like.shape), own, params)
    study, found = study_of(model, own)
    keys = jax.random.split(jax.random.key(0), len(x))
    said = stage_of(study.draws(own, keys, x, 64), list(found))
    assert said["path derivative"]["encoder"]["ratio"] < 1e-10
    assert said["closed form"]["encoder"]["variance"] > 0.1


def test_groups_are_parts_and_layers(small):
    groups = parameter_groups(small[1])
    assert list(groups) == [
        "all", "decoder", "decoder/Dense_0", "decoder/Dense_1",
        "encoder", "encoder/Dense_0", "encoder/Dense_1",
    ]  # fmt: skip
    ones = jax.tree.map(jnp.ones_like, small[1])
    sizes = inner_products(ones, ones, groups)
    assert sizes["all"] == ravel_pytree(small[1])[0].size
    assert sizes["encoder"] == sizes["encoder/Dense_0"] + sizes["encoder/Dense_1"]


# ---- stages and whole runs


def kept(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def test_a_checkpoint_from_half_way_is_kept_and_a_killed_run_ends_the_same(trained, tmp_path):
    """96 updates. What a kill leaves are the checkpoints up to then."""
    assert {48, 84, 96} <= set(kept(trained.workdir))
    assert len(kept(trained.workdir)) <= 4
    shutil.copytree(trained.workdir, tmp_path, dirs_exist_ok=True)
    for step in kept(tmp_path):
        if step > 48:
            shutil.rmtree(tmp_path / "checkpoints" / str(step))
    resumed = fit(quick_config(), tmp_path, quiet=True)
    same = jax.tree.map(np.array_equal, resumed.params, trained.params)
    assert all(jax.tree.leaves(same))
    assert 48 in kept(tmp_path)


@pytest.mark.slow
def test_stages_are_initialization_middle_and_end(tmp_path):
    config = quick_config(ema_decay=0.9, num_epochs=5)
    run = fit(config, tmp_path, quiet=True)
    found = stages(run)
    assert [(s.name, s.step) for s in found] == [("initialization", 0), ("middle", 24), ("end", 60)]
    x = present(
        run.dataset,
        example_keys(keys_of(0).start, jnp.arange(1000)),
        jnp.asarray(run.dataset.splits["train"][:1000]),
    )[1]
    expected = run.model.init(keys_of(0).model, x)
    np.testing.assert_allclose(
        ravel_pytree(found[0].params)[0], ravel_pytree(expected)[0], rtol=1e-6
    )
    np.testing.assert_array_equal(ravel_pytree(found[2].params)[0], ravel_pytree(run.params)[0])
    shutil.rmtree(tmp_path / "checkpoints" / "24")
    assert [s.name for s in stages(run)] in (
        ["initialization", "end"],
        ["initialization", "middle", "end"],
    )


def test_a_run_is_compared_and_reported(trained):
    workdir = trained.workdir
    results = compare_run(workdir, num_samples=16, repetitions=32, quiet=True)
    save_results(workdir, "test", evaluate(trained, num_importance_samples=8, quiet=True))
    stored = read_results(workdir)
    assert stored["compare_kl"] == json.loads(json.dumps(results))
    assert list(read_splits(workdir)) == ["test"]
    names = {path.name for path in (workdir / "figures").iterdir()}
    assert {f"compare_kl_{name}.png" for name in ("values", "error", "gradients")} <= names
    text = table(results)
    for word in ("closed form", "path derivative", "middle", "encoder", "decoder", "z-scores"):
        assert word in text
    assert "compare_kl_values" in report(workdir).read_text()
