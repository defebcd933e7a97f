"""Three estimators of the KL's gradient, by the moments of their draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from vae_jax.config import components
from vae_jax.kl_comparison.models.gradients import (
    GRADIENT_ESTIMATORS,
    GradientMoments,
    GradientStudy,
    inner_products,
    parameter_groups,
)
from vae_jax.kl_comparison.models.statistics import of_gradients, ratio
from vae_jax.types import Dataset

THREE = tuple(GRADIENT_ESTIMATORS.values())


def study_of(model, params, names=THREE):
    objectives = {name: components.build("objectives", name) for name in names}
    return GradientStudy(model, objectives, parameter_groups(params)), objectives


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

    def as_named(moments):
        return {renamed[n]: v for n, v in moments.items()}

    draws = GradientMoments(*map(as_named, draws))
    return of_gradients(draws, draws.variance, draws.variance)


@pytest.mark.slow
def test_variance_and_signal_to_noise_equal_numpy_on_all_gradients(setting):
    study, objectives = study_of(*setting[:2])
    draws = study.draws(*setting[1:], 256)
    moments = stage_of(draws, list(objectives))
    for (name, objective), estimator in zip(objectives.items(), GRADIENT_ESTIMATORS, strict=True):
        arrays = brute_force(setting[0], objective, *setting[1:], 256)
        for part, g in arrays.items():
            fours = g.reshape(64, 4, -1).var(1, ddof=1).sum(-1)
            np.testing.assert_allclose(draws.variance[name][part], fours, rtol=1e-3)
            halves = g.reshape(2, 128, -1).mean(1)
            numbers = moments[estimator][part]
            np.testing.assert_allclose(numbers["norm"], np.sqrt(halves[0] @ halves[1]), rtol=1e-3)
            expected = np.sqrt(halves[0] @ halves[1] / fours.mean())
            np.testing.assert_allclose(numbers["signal_to_noise"], expected, rtol=1e-3)
            whole = g.var(0, ddof=1).sum()
            assert abs(numbers["variance"] - whole) < 5 * numbers["variance_error"]


@pytest.mark.slow
def test_the_three_gradients_have_one_mean(setting):
    study, objectives = study_of(*setting[:2])
    moments = stage_of(study.draws(*setting[1:], 4096), list(objectives))
    for groups in moments.values():
        for group, numbers in groups.items():
            assert abs(numbers["bias_z"]) < 5, group
            assert numbers["bias_below"] < 0.1, group


def test_a_wrong_gradient_is_caught(setting):
    names = ("elbo(kl='closed_form')", "elbo(kl='sampled', beta=1.1)")
    model, params, keys, x = setting
    params = {**params, "encoder": jax.tree.map(lambda w: w / 0.3, params["encoder"])}
    study, _ = study_of(model, params, names)
    sampled = stage_of(study.draws(params, keys, x, 4096), names)["sampled"]
    assert sampled["encoder"]["bias_z"] > 5
    assert sampled["decoder"]["bias_z"] < 5


@pytest.mark.slow
def test_the_z_score_of_no_bias_is_standard_normal(setting):
    study, objectives = study_of(*setting[:2])
    z = []
    for i in range(60):
        keys = jax.random.split(jax.random.key(100 + i), len(setting[2]))
        moments = stage_of(study.draws(setting[1], keys, setting[3], 256), list(objectives))
        z.append(moments["sampled"]["encoder"]["bias_z"])
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert abs(np.std(z) - np.sqrt(31 / 29)) < 4 / np.sqrt(120)  # Student's, 31 degrees of freedom


def bits_dataset(x):
    return Dataset({"train": np.asarray(x)}, lambda key, raw: raw)


@pytest.mark.slow
def test_the_share_of_draws_against_independent_batches(setting):
    """Total variance by brute force: 600 times a batch and a draw, each independent."""
    model, params, _, x = setting
    study, objectives = study_of(model, params)
    within, total = study.batches(params, bits_dataset(x), jax.random.key(0), 3, 300)
    rng, objective = np.random.default_rng(1), objectives["elbo(kl='sampled')"]
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
    study, objectives = study_of(model, params)
    same = bits_dataset(jnp.broadcast_to(x[:1], x.shape))
    within, total = study.batches(params, same, jax.random.key(0), 4, 200)
    for name in objectives:
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
    exact = {
        **params,
        "decoder": {"Dense_0": {"kernel": W.T, "bias": b}},
        "encoder": {"Dense_0": {"kernel": kernel, "bias": bias}},
        "likelihood": {"log_scale": np.log(s - 1e-3)},
    }
    exact = jax.tree.map(
        lambda a, like: jnp.asarray(a, jnp.float32).reshape(like.shape), exact, params
    )
    study, objectives = study_of(model, exact)
    keys = jax.random.split(jax.random.key(0), len(x))
    moments = stage_of(study.draws(exact, keys, x, 64), list(objectives))
    assert moments["path derivative"]["encoder"]["ratio"] < 1e-10
    assert moments["closed form"]["encoder"]["variance"] > 0.1


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
