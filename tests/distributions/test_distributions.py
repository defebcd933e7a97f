import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.test_util import check_grads

from vae_jax.distributions.bernoulli_logits import BernoulliLogits


def test_bernoulli_equals_scipy():
    logits = np.random.default_rng(0).normal(size=(3, 2, 4)) * 3
    x = (np.random.default_rng(1).uniform(size=(3, 2, 4)) < 0.5).astype(np.float32)
    expected = scipy.stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))).sum((1, 2))
    distribution = BernoulliLogits(jnp.asarray(logits, jnp.float32), 2)
    np.testing.assert_allclose(distribution.log_prob(x), expected, rtol=2e-6)
    np.testing.assert_allclose(distribution.mean, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_allclose(
        distribution.variance, distribution.mean * (1 - distribution.mean), rtol=1e-4
    )


def test_bernoulli_sums_to_one():
    logits = jnp.array([0.3, -2.0, 5.0, 0.0])
    every = jnp.array(list(itertools.product([0.0, 1.0], repeat=4)))
    total = jnp.exp(BernoulliLogits(jnp.broadcast_to(logits, (16, 4)), 1).log_prob(every)).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, -90.0, 0.0, 90.0, 1e4])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_at_extremes(logit, x):
    """log p = -softplus((1 - 2x) a); its gradient is x - sigmoid(a)."""

    def log_p(a):
        return BernoulliLogits(a[None], 1).log_prob(jnp.array([x]))

    value, gradient = jax.value_and_grad(log_p)(jnp.float32(logit))
    np.testing.assert_allclose(value, -np.logaddexp(0, (1 - 2 * x) * logit), atol=1e-6)
    sigmoid = np.exp(-np.logaddexp(0, -logit))
    np.testing.assert_allclose(gradient, x - sigmoid, atol=1e-6)


def test_bernoulli_gradient_equals_finite_differences():
    x = jnp.array([1.0, 0.0, 1.0])
    check_grads(lambda a: BernoulliLogits(a, 1).log_prob(x), (jnp.array([0.5, -1.0, 2.0]),), 1)


def test_bernoulli_samples_have_its_mean():
    distribution = BernoulliLogits(jnp.array([-1.0, 0.0, 2.0]), 1)
    draws = distribution.sample(jax.random.key(0), (100_000,))
    error = np.sqrt(distribution.variance / len(draws))
    assert (np.abs(draws.mean(0) - distribution.mean) < 5 * error).all()
