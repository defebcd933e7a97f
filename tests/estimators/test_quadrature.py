"""The grid knows where it is too coarse, against models whose log p(x) is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import StudentT

from vae_jax import build_model
from vae_jax.estimators.exact import marginal
from vae_jax.estimators.quadrature import quadrature
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch


@pytest.mark.parametrize(("scale", "sure"), [(0.5, True), (0.03, False), (0.003, False)])
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_posteriors_narrower_than_the_grid_are_said(latent_dim, scale, sure):
    """Eight numbers, 100 points: the estimate is right, or the remark says how far off it may be."""
    likelihood = f"normal(scale={scale})"
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": likelihood}
    model = build_model((8,), latent_dim, **parts)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((2, 8)))
    exact = marginal(model, params, (8,))
    x = exact.sample(jax.random.key(1), (50,))
    estimator = quadrature(points=100)
    estimator.require(find_facts(model, params, (8,)))
    keys = jax.random.split(jax.random.key(2), len(x))
    found = jax.jit(lambda x: estimator.of_examples(model, params, keys, Batch(x)))(x)
    values = {name: np.asarray(v, np.float64) for name, v in found.items()}
    off = np.abs(values["log_p_quadrature"] - np.asarray(exact.log_prob(x)))
    remark = estimator.summary(values)["log_p_quadrature"].remark
    if sure:
        assert remark == ""
        assert off.max() < 2e-3
    else:
        assert "more are needed" in remark
        assert off.max() > 0.05
    assert (off[values["log_p_quadrature_error"] < 0.01] < 5e-3).all()


def test_a_grid_that_does_not_hold_the_prior_of_an_example_is_said():
    """Given real numbers: half of the examples have a prior with the tails of Cauchy's."""
    model = build_model((2,), 1, likelihood="normal", given_shape=(1,))
    y = jnp.array([[-1.0], [1.0], [-2.0], [2.0]])
    batch = Batch(jnp.zeros((4, 2)), y)
    params = model.init(jax.random.key(0), batch)

    def prior(params, given):
        return StudentT(jnp.where(given > 0, 1.0, 50.0), 0.0, 1.0).to_event(1)

    model, estimator = model._replace(prior=prior), quadrature(points=100)
    keys = jax.random.split(jax.random.key(2), 4)
    found = jax.jit(lambda batch: estimator.of_examples(model, params, keys, batch))(batch)
    values = {name: np.asarray(v, np.float64) for name, v in found.items()}
    mass = values["_log_p_quadrature_mass"]
    np.testing.assert_allclose(mass[y[:, 0] < 0], 1, atol=1e-4)
    assert (np.abs(mass[y[:, 0] > 0] - 1) > 0.01).all()
    assert "for 50.0% of the examples" in estimator.summary(values)["log_p_quadrature"].remark
