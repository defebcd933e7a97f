import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.by_hand import run_of
from tests.estimators.linear_encoder import run_with
from vae_jax import build_model
from vae_jax.datasets import make_dataset
from vae_jax.reporting.samples import sample
from vae_jax.reporting.traversals import traverse

N = 400
X = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
SCALE = np.array([0.1, 1.0, 3.0])  # of q(z | x)


@pytest.fixture(scope="module")
def run():
    """E[z | x] = (0.5 x_1, 2 x_2, 0): x tells most of z_1, though z_2 and z_3 vary more."""
    kernel = np.zeros((2, 6))
    kernel[0, 0], kernel[1, 1] = 0.5, 2
    return run_with(X, kernel, [0, 0, 0, *np.log(SCALE)], latent_dim=3)


def test_the_latents_that_x_tells_most_of_move_and_the_others_stay(run):
    moved = traverse(run, jax.random.key(0), jnp.asarray(X), 2, 7)
    assert moved.units.tolist() == [0, 1]
    assert moved.of == 3
    decoder = run.params["decoder"]["Dense_0"]
    W, b = np.asarray(decoder["kernel"]), np.asarray(decoder["bias"])
    start = X[0] @ np.array([[0.5, 0, 0], [0, 2, 0]])
    for row, unit in enumerate(moved.units):
        z = np.tile(start, (7, 1))
        z[:, unit] = moved.values[row]
        np.testing.assert_allclose(moved.means[row], z @ W + b, rtol=1e-4, atol=1e-5)
        assert np.ptp(np.diff(moved.values[row])) < 1e-5  # even


def test_a_latent_goes_through_its_aggregated_posterior(run):
    """q(z_j) is N(0, s_j^2 + slope^2) here; its quantiles are sampled by N draws."""
    moved = traverse(run, jax.random.key(0), jnp.asarray(X), 3, 5)
    spread = np.sqrt(SCALE**2 + np.array([0.5, 2, 0]) ** 2)[moved.units]
    reach = np.abs(moved.values[:, [0, -1]]) / spread[:, None]
    assert (reach > 2.0).all()  # 2.58 in the limit
    assert (reach < 3.5).all()
    assert (moved.values[:, 0] < 0).all()


def test_of_layers_those_move_that_the_decoder_sees():
    parts = {"prior": "layered(network=linear)", "posterior": "top_down(network=linear, context=2)"}
    model = build_model(
        (2,), (3, 2), encoder="linear", decoder="linear", likelihood="normal", **parts
    )
    layered = run_of(model, make_dataset({"train": X, "test": X}), model.init(jax.random.key(0), X))
    moved = traverse(layered, jax.random.key(0), jnp.asarray(X[:50]), 10, 3)
    assert sorted(moved.units.tolist()) == [3, 4]
    assert np.isfinite(moved.means).all()


@pytest.mark.slow
def test_the_figure_names_the_latents_and_shows_the_data(run):
    figure = sample(run, num_samples=4, quiet=True)["traversals"]
    [axes] = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "$z_{1}$",
        "$z_{2}$",
        "$z_{3}$",
    ]
    assert max(len(line.get_xdata()) for line in axes.get_lines()) == N
    assert "each latent goes through the middle 99% of q(z_j)" in figure.get_label()
