import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.by_hand import run_of
from tests.estimators.linear_encoder import run_with
from vae_jax import build_model
from vae_jax.datasets import make_dataset
from vae_jax.reporting.latent_space import latents_of
from vae_jax.reporting.traversals import traversals, traverse
from vae_jax.reporting.views import view_of

N = 400
X = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
SCALE = np.array([1.0, 0.1, 0.5])  # of q(z | x)
SLOPES = np.array([0.0, 0.5, 2.0])  # of E[z | x], in x_1, x_1 and x_2


def seen(run, most=N):
    view = view_of(run, jax.random.key(0), most)
    return view, latents_of(view, 0)


@pytest.fixture(scope="module")
def run():
    """q(z | x) = N((0, 0.5 x_1, 2 x_2), diag(1, 0.1, 0.5)^2): z_1 is the prior, whatever x is."""
    kernel = np.zeros((2, 6))
    kernel[0, 1], kernel[1, 2] = SLOPES[1:]
    return run_with(X, kernel, [0, 0, 0, *np.log(SCALE)], latent_dim=3)


def test_latents_are_sorted_by_their_kl_and_the_others_stay(run):
    """KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1) / 2 - ln s; 1.9 for z_2, 2.3 for z_3, 0 for z_1."""
    view, z = seen(run)
    square = SLOPES**2 * np.array([0, (X[:, 0] ** 2).mean(), (X[:, 1] ** 2).mean()])
    kl = (square + SCALE**2 - 1) / 2 - np.log(SCALE)
    np.testing.assert_allclose(z.use, kl, rtol=1e-4, atol=1e-6)
    assert z.is_collapsed.tolist() == [True, False, False]
    moved = traverse(view, z, 2, 7)
    assert moved.units.tolist() == [2, 1]
    decoder = run.params["decoder"]["Dense_0"]
    W, b = np.asarray(decoder["kernel"]), np.asarray(decoder["bias"])
    start = SLOPES * X[0, [0, 0, 1]]
    for row, unit in enumerate(moved.units):
        at = np.tile(start, (7, 1))
        at[:, unit] = moved.values[row]
        np.testing.assert_allclose(moved.means[row], at @ W + b, rtol=1e-4, atol=1e-5)
        assert np.ptp(np.diff(moved.values[row])) < 1e-5  # even


def test_a_latent_goes_through_its_aggregated_posterior(run):
    """q(z_j) is N(0, s_j^2 + slope^2) here; its quantiles are sampled by N draws."""
    view, z = seen(run)
    moved = traverse(view, z, 3, 5)
    spread = np.sqrt(SCALE**2 + SLOPES**2)[moved.units]
    reach = np.abs(moved.values[:, [0, -1]]) / spread[:, None]
    assert (reach > 2.0).all()  # 2.58 in the limit
    assert (reach < 3.5).all()
    assert (moved.values[:, 0] < 0).all()


@pytest.mark.slow
def test_of_layers_those_move_that_the_decoder_sees():
    parts = {"prior": "layered(network=linear)", "posterior": "top_down(network=linear, context=2)"}
    model = build_model(
        (2,), (3, 2), encoder="linear", decoder="linear", likelihood="normal", **parts
    )
    layered = run_of(model, make_dataset({"train": X, "test": X}), model.init(jax.random.key(0), X))
    view, z = seen(layered, 50)
    moved = traverse(view, z, 10, 3)
    assert sorted(moved.units.tolist()) == [3, 4]
    assert np.isfinite(moved.means).all()


def test_the_figure_names_the_latents_says_which_are_collapsed_and_shows_the_data(run):
    figure = traversals(*seen(run))
    [axes] = figure.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.split()[0] for text in texts] == ["$z_{3}$", "$z_{2}$", "$z_{1}$"]
    assert texts[2].endswith("collapsed")
    assert max(len(line.get_xdata()) for line in axes.get_lines()) == N
    caption = figure.get_label()
    assert "as each latent goes through the middle 99% of q(z_j)" in caption
    assert "sorted by their KL in nats; collapsed: z_1" in caption


def test_under_a_condition_the_example_keeps_its_own():
    data = make_dataset({"train": X, "test": X}, labels={"train": X[:, 0] > 0, "test": X[:, 0] > 0})
    from vae_jax.batches.conditions import conditioned

    model = build_model(
        (2,), 2, encoder="linear", decoder="linear", likelihood="normal", given_shape=(2,)
    )
    params = model.init(jax.random.key(0), X)
    run = run_of(model, conditioned(data, "labels"), params)
    view, z = seen(run, 50)
    moved = traverse(view, z, 2, 3)
    at = np.tile(z.mean[0], (3, 1))
    at[:, moved.units[0]] = moved.values[0]
    given = jnp.tile(view.batch.given[0], (3, 1))
    expected = model.decode(params, jnp.asarray(at), given).mean
    np.testing.assert_allclose(moved.means[0], expected, rtol=1e-4, atol=1e-6)
