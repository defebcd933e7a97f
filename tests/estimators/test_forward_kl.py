"""KL(p || p_theta) against the closed form between normals, and between coins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import MultivariateNormal

from tests.by_hand import run_of, with_parts
from vae_jax import UserError, build_model, evaluate
from vae_jax.datasets import make_dataset
from vae_jax.datasets.coin import coin
from vae_jax.estimators.exact import marginal
from vae_jax.reporting.densities import densities, estimator_of

LINEAR = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.6)"}


def normal_run(d, latents, count=400):
    """A linear-Gaussian model, and data of another normal; the run and KL(p || p_theta)."""
    model = build_model((d,), latents, **LINEAR)
    params = jax.jit(model.init)(jax.random.key(3), jnp.zeros((2, d)))
    params["encoder"] = jax.tree.map(lambda w: 0.3 * w, params["encoder"])  # wide: bounded weights
    q = marginal(model, params, (d,))
    root = np.random.default_rng(0).normal(size=(d, d)) * 0.3 + 0.8 * np.eye(d)
    p = MultivariateNormal(jnp.full(d, 0.3), jnp.asarray(root @ root.T, jnp.float32))
    x = np.asarray(p.sample(jax.random.key(1), (count,)))
    dataset = make_dataset({"train": x, "test": x}, log_prob=p.log_prob)
    precision = np.linalg.inv(np.asarray(q.covariance_matrix, float))
    off = np.asarray(p.mean - q.mean, float)
    ratio = precision @ np.asarray(p.covariance_matrix, float)
    kl = 0.5 * (np.trace(ratio) - d + off @ precision @ off - np.linalg.slogdet(ratio)[1])
    return run_of(model, dataset, params), kl


def numbers_of(run, text="forward_kl", **options):
    return evaluate(run, estimators=text, quiet=True, **options)["numbers"]


@pytest.mark.slow
@pytest.mark.parametrize(("d", "latents"), [(1, 1), (2, 1), (2, 2)])
def test_the_sum_over_x_is_the_closed_form(d, latents):
    run, kl = normal_run(d, latents)
    text = "forward_kl(points=2500, log_p='quadrature(points=100, margin=2.0)')"
    numbers = numbers_of(run, text)
    assert abs(numbers["forward_kl"]["mean"] - kl) < 1e-3
    assert "remark" not in numbers["forward_kl"]
    sampled = numbers["forward_kl_sampled"]
    assert abs(sampled["mean"] - kl) < 5 * sampled["standard_error"]


@pytest.mark.slow
def test_by_importance_sampling_it_is_within_its_error():
    """q(z | x) = N(0, 1) is the prior, with which weights are bounded."""
    run, kl = normal_run(2, 3)
    run.params["encoder"] = jax.tree.map(jnp.zeros_like, run.params["encoder"])
    number = numbers_of(run, "forward_kl(points=400)")["forward_kl"]
    assert 0 < number["monte_carlo_error"] < 0.02
    assert abs(number["mean"] - kl) < 5 * number["monte_carlo_error"] + 1e-3
    assert "remark" not in number


@pytest.mark.slow
def test_weights_that_are_too_heavy_are_said():
    """q(z | x) is far from p(z | x), and narrower."""
    run, kl = normal_run(2, 3)
    encoder = run.params["encoder"]
    encoder["Dense_0"]["bias"] = jnp.repeat(jnp.array([1.5, -1.5]), 3)
    number = numbers_of(run, "forward_kl(points=400)")["forward_kl"]
    assert "the weights' tail is too heavy: KL is too high" in number["remark"]
    assert number["mean"] > kl


@pytest.mark.slow
def test_more_elements_are_sampled_and_say_so():
    run, kl = normal_run(4, 2)
    numbers = numbers_of(run, "forward_kl(log_p='exact')")
    assert numbers["forward_kl"]["mean"] == numbers["forward_kl_sampled"]["mean"]
    assert "more than 2 elements" in numbers["forward_kl"]["method"]
    assert abs(numbers["forward_kl"]["mean"] - kl) < 5 * numbers["forward_kl"]["standard_error"]


@pytest.mark.slow
def test_it_is_the_sum_over_two_sides_of_a_coin():
    """p_theta(1) = sigmoid(b) where z does not matter."""
    model = build_model((1,), 1, encoder="linear", decoder="linear", likelihood="bernoulli")
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((2, 1)))
    params["decoder"] = jax.tree.map(jnp.zeros_like, params["decoder"])
    params["decoder"]["Dense_0"]["bias"] = jnp.full(1, 0.8)
    run = run_of(model, coin(heads=0.3, size=400, test=100, validation=0), params)
    q = 1 / (1 + np.exp(-0.8))
    kl = 0.3 * np.log(0.3 / q) + 0.7 * np.log(0.7 / (1 - q))
    number = numbers_of(run)["forward_kl"]
    assert number["mean"] == pytest.approx(kl, abs=1e-5)
    assert "remark" not in number


@pytest.mark.parametrize(
    ("options", "count", "expected"),
    [
        ("points=9", None, "half the points of x give"),
        ("points=400, margin=0.0", 3, "of the data's mass, not 1"),
        ("points=400, log_p='quadrature(points=9)'", None, "the quadrature over z give"),
    ],
)
def test_a_sum_that_cannot_be_trusted_says_so(options, count, expected):
    run, _ = normal_run(2, 1)
    number = numbers_of(run, f"forward_kl({options})", num_examples=count)["forward_kl"]
    assert expected in number["remark"]
    assert "\n" not in number["remark"]


def test_it_is_refused_where_there_is_no_density():
    run, _ = normal_run(2, 1)
    with pytest.raises(UserError, match="gives log p"):
        numbers_of(run, "forward_kl(log_p='surgery')")
    bare = with_parts(run, dataset=run.dataset._replace(log_prob=None))
    with pytest.raises(UserError, match="density of the data is not known"):
        numbers_of(bare)


@pytest.mark.parametrize("d", [1, 2])
def test_the_figure_has_both_densities_on_one_scale(d):
    run, _ = normal_run(d, 1, count=1000)
    x = run.dataset.splits["test"]
    figure = densities(run, run.model, estimator_of(run, run.model), x, x)
    shown = figure.axes[:d]
    if d == 1:
        curves = [line.get_data() for line in shown[0].lines[:2]]
        masses = [np.trapezoid(heights, places) for places, heights in curves]
    else:
        meshes = [axes.collections[0] for axes in shown]
        corners = np.asarray(meshes[0].get_coordinates())
        area = np.prod(corners[1, 1] - corners[0, 0])
        masses = [mesh.get_array().sum() * area for mesh in meshes]
        assert meshes[0].get_clim() == meshes[1].get_clim()
    np.testing.assert_allclose(masses, 1, atol=0.03)


@pytest.mark.slow
def test_there_is_no_figure_of_more_elements():
    wide = normal_run(4, 2)[0]
    assert estimator_of(wide, wide.model) is None
