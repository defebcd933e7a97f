"""Objectives that weight parts of the KL or the aggregated posterior: beta-TC, InfoVAE, DIP."""

import itertools

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

import vae_jax
from tests.compiled import compiled, objective_of
from vae_jax import build_model
from vae_jax.objectives.beta_tc import batch_weights
from vae_jax.objectives.info_vae import squared_mmd
from vae_jax.types import Context

elbo = compiled(vae_jax.elbo)


@pytest.mark.slow
def test_beta_tc_is_its_definition(small, bits, keys, moments, drawn):
    """Chen et al. 2018, by loops over draws, examples and dimensions."""
    mean, scale = moments
    n, size = 50, len(bits)
    density = np.array(
        [[scipy.stats.norm(mean[k], scale[k]).pdf(z) for k in range(size)] for z in drawn]
    )
    log_p = scipy.stats.norm.logpdf(drawn).sum(1)
    plain = elbo(*small, keys, bits, kl="sampled")
    likelihood = float(plain.terms["log_likelihood"].mean())
    for kind in ("stratified", "weighted"):
        information = total_correlation = rest = 0.0
        for i in range(size):
            w = np.full(size, 1 / (n * size))
            if kind == "stratified":
                w = np.full(size, 1 / (size - 1))
                w[i], w[(i + 1) % size] = 1 / n, (n - size + 1) / (n * (size - 1))
            q_z = sum(w[k] * density[i, k].prod() for k in range(size))
            each = np.prod([sum(w[k] * density[i, k, j] for k in range(size)) for j in range(2)])
            information += np.log(density[i, i].prod() / q_z) / size
            total_correlation += np.log(q_z / each) / size
            rest += (np.log(each) - log_p[i]) / size
        text = f"beta_tc(alpha=0.7, beta=4, gamma=1.3, weights='{kind}')"
        bound = objective_of(text)(*small, keys, bits, Context(num_examples=n))
        expected = likelihood - 0.7 * information - 4 * total_correlation - 1.3 * rest
        np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)
        np.testing.assert_array_equal(bound.value, elbo(*small, keys, bits).value)
        apart = objective_of(f"beta_tc(beta=1, weights='{kind}')")
        np.testing.assert_allclose(apart(*small, keys, bits).surrogate, plain.surrogate, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_stratified_weights_estimate_the_aggregate_without_bias(size):
    """Over all batches of 5 examples that have x_i in row r, the mean of W q is 1/N sum_n q_n."""
    density = np.random.default_rng(0).uniform(size=5)
    weights = batch_weights(size, 5)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(np.diag(weights), 1 / 5)
    for i, row in itertools.product(range(5), range(size)):
        others = itertools.permutations([n for n in range(5) if n != i], size - 1)
        batches = [[*rest[:row], i, *rest[row:]] for rest in others]
        np.testing.assert_allclose(
            np.mean([weights[row] @ density[b] for b in batches]), density.mean()
        )


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["gaussian", "inverse_multiquadratic"])
def test_info_vae_is_its_definition(kernel, small, bits, keys, drawn):
    prior = np.array(
        [small[0].prior(small[1]).sample(jax.random.fold_in(k, 1)) for k in keys], float
    )
    s2 = 0.7**2 * 2

    def k(a, b):
        d2 = ((a - b) ** 2).sum()
        return np.exp(-d2 / (2 * s2)) if kernel == "gaussian" else 2 * s2 / (2 * s2 + d2)

    n, mmd = len(bits), 0.0
    for i, j in itertools.product(range(n), range(n)):
        mmd -= 2 * k(drawn[i], prior[j]) / n**2
        if i != j:
            mmd += (k(drawn[i], drawn[j]) + k(prior[i], prior[j])) / (n * (n - 1))
    terms = elbo(*small, keys, bits).terms
    expected = (terms["log_likelihood"] - 0.8 * terms["kl"]).mean() - 30 * mmd
    text = f"info_vae(alpha=0.2, weight=30, kernel='{kernel}', bandwidth=0.7)"
    bound = objective_of(text)(*small, keys, bits)
    np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)


@pytest.mark.slow
def test_mmd_is_zero_in_the_mean_between_equals_only():
    a, b = jax.random.normal(jax.random.key(0), (2, 4000, 5, 2))
    same, other = jax.vmap(squared_mmd)(a, b), jax.vmap(squared_mmd)(a, b + 1)
    assert abs(same.mean()) < 5 * same.std() / 4000**0.5
    assert other.mean() > 50 * other.std() / 4000**0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2])
def test_dip_is_its_definition(kind, small, bits, keys, moments):
    mean, scale = moments
    covariance = np.cov(mean.T, bias=True) + (kind == 2) * np.diag((scale**2).mean(0))
    penalty = 3 * 2 * covariance[0, 1] ** 2 + 7 * ((np.diag(covariance) - 1) ** 2).sum()
    dip = objective_of(f"dip(kind={kind}, off_diagonal=3, diagonal=7)")
    expected = elbo(*small, keys, bits).surrogate - penalty
    np.testing.assert_allclose(dip(*small, keys, bits).surrogate, expected, rtol=1e-5)


@pytest.mark.slow
def test_dip_has_the_whole_covariance_of_a_full_normal(bits):
    model = build_model((1, 5, 1), 2, posterior="full_normal", decoder="linear")
    params = model.init(jax.random.key(0), bits)
    q = model.encode(params, bits)
    covariance = np.cov(q.loc.T, bias=True) + np.mean(
        [s @ s.T for s in np.asarray(q.scale_tril)], 0
    )
    penalty = 10 * ((covariance - np.eye(2)) ** 2).sum()
    bound = objective_of("dip")(model, params, jax.random.key(1), bits)
    expected = elbo(model, params, jax.random.key(1), bits).surrogate - penalty
    np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)
