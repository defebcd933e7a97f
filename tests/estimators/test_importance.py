"""The diagnostics of importance weights, and what is said of single examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base import array_stats
from numpyro.distributions import Normal

from vae_jax.errors import UserError
from vae_jax.estimators._pareto import pareto_k
from vae_jax.estimators.importance import importance, importance_sampling
from vae_jax.estimators.prior_sampling import prior_sampling
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch, Model
from vae_jax.weights import log_weights


@pytest.mark.parametrize("draws", [25, 100, 500, 5000])
def test_pareto_k_is_that_of_arviz(draws):
    """Whose function takes minus the log weights."""
    rng = np.random.default_rng(0)
    normals = [scale * rng.normal(size=draws) for scale in (0.1, 1.0, 2.0, 4.0)]
    log_w = np.stack(normals + [a * rng.exponential(size=draws) for a in (0.3, 0.7, 1.2)], 1)
    expected = [array_stats.psislw(-each)[1] for each in log_w.T]
    np.testing.assert_allclose(pareto_k(jnp.asarray(log_w)), expected, atol=5e-3)


def test_pareto_k_where_there_is_no_tail():
    assert (pareto_k(jnp.zeros((100, 3))) == -1).all()
    assert jnp.isnan(pareto_k(jnp.zeros((20, 3)))).all()


def summary(sizes, shapes, num_samples=500):
    """The remark on log p(x) of examples with such diagnostics."""
    n = len(sizes)
    values = dict.fromkeys(("log_p", "log_p_error", "log_p_minus_elbo"), np.zeros(n))
    values |= {"effective_sample_size": np.array(sizes), "pareto_k": np.array(shapes)}
    return importance(num_samples=num_samples).summary(values)


def test_a_few_examples_with_few_weights_are_said():
    """Their mean is over 100, which says nothing of the quarter that has one."""
    assert summary([200.0] * 4, [0.1] * 4)["log_p"].remark == ""
    remark = summary([200.0, 200.0, 200.0, 1.2], [0.1] * 4)["log_p"].remark
    assert remark.startswith("of 25.0% of the examples fewer than 10 of 500 draws make log_p")
    remark = summary([200.0] * 4, [0.1, 0.1, 1.2, 0.65])["log_p"].remark
    assert remark.startswith("of 50.0% of the examples the weights' tail is too heavy")


def test_the_gap_is_that_of_the_best_log_p_and_says_which(small):
    facts = find_facts(*small, (1, 5, 1))
    few = dict(
        zip(
            ("log_likelihood", "kl_sampled", "log_p"),
            np.arange(3.0)[:, None] + np.zeros(5),
            strict=True,
        )
    )
    estimator = importance(num_samples=500)
    for more, best in (
        ({}, 2.0),
        ({"log_p_ais": np.full(5, 1.0)}, 2.0),  # of two lower bounds the higher
        ({"log_p_ais": np.full(5, 3.0)}, 3.0),
        ({"log_p_quadrature": np.full(5, 1.5), "log_p_quadrature_error": np.ones(5)}, 2.0),
        ({"log_p_quadrature": np.full(5, 7.0), "log_p_quadrature_error": np.zeros(5)}, 7.0),
    ):
        derived = estimator.derive(facts, few | more)
        np.testing.assert_array_equal(derived["log_p_minus_elbo"], best + 1)
    values = {**few, **more, **derived, "log_p_error": np.zeros(5)}
    values |= {"effective_sample_size": np.full(5, 99.0), "pareto_k": np.zeros(5)}
    gap = estimator.summary(values)["log_p_minus_elbo"]
    assert gap.how == "the bound's gap, log_p_quadrature - elbo, example by example"


@pytest.mark.slow
def test_draws_of_the_prior_come_to_the_integral_of_a_plane(small, bits):
    model, params = small
    estimator = prior_sampling(num_samples=20_000)
    keys = jax.random.split(jax.random.key(0), len(bits))
    found = jax.jit(lambda keys, x: estimator.of_examples(model, params, keys, Batch(x)))(
        keys, bits
    )
    exact = log_p_by_quadrature(model, params, bits, points=200)
    assert (np.abs(found["log_p_prior"] - exact) < 5 * found["log_p_prior_error"] + 1e-4).all()
    values = {name: np.asarray(v, np.float64) for name, v in found.items()}
    assert estimator.summary(values)["log_p_prior"].remark == ""
    values["prior_effective_draws"][:3] = 1.0
    assert "of 25.0% of the examples" in estimator.summary(values)["log_p_prior"].remark


@pytest.mark.slow
def test_the_error_is_that_of_the_mean_weight(small, bits):
    """std(w) / (sqrt(K) mean(w)), with K - 1: of three draws it matters."""
    keys = jax.random.split(jax.random.key(0), len(bits))
    w = np.exp(np.asarray(log_weights(*small, keys, bits, 3).log_weight, np.float64))
    expected = w.std(0, ddof=1) / np.sqrt(3) / w.mean(0)
    values = importance_sampling(*small, keys, bits, num_samples=3)
    np.testing.assert_allclose(values["log_p_error"], expected, rtol=1e-4)


def too_narrow(scale):
    """z ~ N(0, 1), x | z ~ N(z, 1), and q = N(x / 2, scale) where p(z|x) has sqrt(1/2)."""
    return Model(
        lambda key, x: {},
        lambda params, x: Normal(getattr(x, "x", x) / 2, scale).to_event(1),
        lambda params, z: Normal(z, 1.0).to_event(1),
        lambda params: Normal(jnp.zeros(1), 1.0).to_event(1),
    )


@pytest.mark.slow
def test_draws_of_the_prior_defend_against_a_narrow_q():
    x = jnp.linspace(-3, 3, 40)[:, None]
    keys = jax.random.split(jax.random.key(0), len(x))
    truth = Normal(0.0, np.sqrt(2)).log_prob(x[:, 0])

    @functools.partial(jax.jit, static_argnums=0)
    def sampled(defensive):
        options = {"num_samples": 4000, "iwae_samples": (10,), "defensive": defensive}
        return importance_sampling(too_narrow(0.1), {}, keys, x, **options)

    alone, defended = sampled(0.0), sampled(0.25)
    assert (alone["pareto_k"] > 0.7).mean() > 0.5
    assert (np.abs(alone["log_p"] - truth) > 5 * alone["log_p_error"]).any()
    assert (np.abs(defended["log_p"] - truth) < 5 * defended["log_p_error"] + 1e-4).all()
    assert np.abs(defended["log_p"] - truth).max() < 0.3 < np.abs(alone["log_p"] - truth).max()
    elbo = alone["log_likelihood"] - alone["kl_sampled"]  # of q, whose draws are the same
    bound = defended["log_likelihood"] - defended["kl_sampled"]
    np.testing.assert_allclose(bound, elbo, atol=0.1)
    np.testing.assert_allclose(defended["iwae_10"], alone["iwae_10"], atol=0.2)


def test_defended_weights_have_mean_p_of_x():
    """E (1/K) sum_k w_k = p(x) with eight draws, a quarter of them of the prior."""
    many = jnp.full((20_000, 1), 1.5)
    keys = jax.random.split(jax.random.key(0), len(many))
    options = {"num_samples": 8, "defensive": 0.25}
    sampled = jax.jit(lambda: importance_sampling(too_narrow(0.3), {}, keys, many, **options))()
    w = np.exp(np.asarray(sampled["log_p"], np.float64) - Normal(0.0, np.sqrt(2)).log_prob(1.5))
    assert abs(w.mean() - 1) < 5 * w.std() / np.sqrt(len(w))


def test_a_defence_leaves_draws_of_q():
    with pytest.raises(UserError, match="leaves draws of q"):
        importance_sampling(too_narrow(0.1), {}, jax.random.split(jax.random.key(0), 1),
                            jnp.zeros((1, 1)), num_samples=10, defensive=0.99)  # fmt: skip
    with pytest.raises(UserError, match=r"k=10 needs at least k of the 8 samples of q"):
        importance(num_samples=10, defensive=0.2, iwae_samples=(10,))


def test_the_largest_weights_are_taken_without_sorting_all():
    program = jax.jit(pareto_k).lower(jnp.zeros((5000, 10))).compile().as_text()
    assert " sort(" not in program
