import jax
import numpy as np
import pytest
from numpyro.distributions import Normal

from tests.by_hand import run_of, with_parts
from vae_jax import build_model
from vae_jax.datasets._making import make_dataset
from vae_jax.reporting.samples import _ancestral, _plane


@pytest.fixture(scope="module")
def run():
    data = (np.random.default_rng(0).uniform(size=(20, 4, 3, 1)) < 0.5).astype(np.float32)
    model = build_model((4, 3, 1), 2)
    params = model.init(jax.random.key(0), data)
    return run_of(model, make_dataset({"train": data, "test": data}), params, latent_dim=2)


@pytest.mark.slow
def test_the_latent_plane_has_z_1_along_its_second_axis(run):
    moved = Normal(np.array([5.0, -5.0]), 1.0).to_event(1)
    run = with_parts(run, model=run.model._replace(prior=lambda params: moved))
    grid = np.asarray(_plane(run, jax.random.key(0), 7))
    assert grid.shape == (7, 7, 2)
    assert (np.diff(grid[..., 0], axis=1) > 0).all()
    assert (np.diff(grid[..., 1], axis=0) > 0).all()
    assert np.ptp(grid[..., 0], axis=0).max() == 0
    assert 7 < grid[..., 0].max() < 9  # what a normal at 5 covers
    assert -9 < grid[..., 1].min() < -7


@pytest.mark.slow
def test_draws_are_bits_and_means_are_probabilities(run):
    means, draws = _ancestral(run, jax.random.key(0), 2000)
    assert set(np.unique(draws)) == {0, 1}
    assert ((means > 0) & (means < 1)).all()
    error = np.sqrt((means * (1 - means)).mean(0) / 2000)
    assert (np.abs((draws - means).mean(0)) < 5 * error).all()
