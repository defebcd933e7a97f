import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import vae_jax
from tests.compiled import compiled
from vae_jax import build_model
from vae_jax.divergences import closed_form_kl, kl_per_dimension, require_closed_form_kl
from vae_jax.errors import UserError
from vae_jax.estimators.importance import importance_sampling
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.kl_estimators.plain import plain
from vae_jax.types import Context

elbo, iwae, log_weights = map(compiled, (vae_jax.elbo, vae_jax.iwae, vae_jax.log_weights))


def terms_by_hand(params, z, x):
    """log p(x|z), log p(z), log q(z|x) of z [k, n, 2], x [n, 5], in float64 NumPy."""

    def mlp(layers, h):
        for i, layer in enumerate(layers := [layers[f"Dense_{i}"] for i in range(len(layers))]):
            h = h @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)
            h = np.tanh(h) if i < len(layers) - 1 else h
        return h

    loc, log_scale = np.split(mlp(params["encoder"], x), 2, axis=-1)
    logits = mlp(params["decoder"], z)

    def log_normal(z, m, s):
        return -0.5 * ((z - m) / s) ** 2 - np.log(s) - 0.5 * np.log(2 * np.pi)

    return (
        (x * logits - np.logaddexp(0, logits)).sum(-1),
        log_normal(z, 0, 1).sum(-1),
        log_normal(z, loc, np.exp(log_scale)).sum(-1),
    )


@pytest.fixture(scope="module")
def drawn(small, bits):
    """The draws of z that a key stands for, made again from what the docstring promises."""
    model, params = small
    keys = jax.random.split(jax.random.key(5), len(bits))

    def draw(key, x):
        q = model.encode(params, x)
        return jnp.stack([q.sample(jax.random.fold_in(key, k)) for k in range(6)])

    z = np.asarray(jax.vmap(draw, out_axes=1)(keys, bits), float)
    return keys, terms_by_hand(params, z, bits.reshape(-1, 5).astype(float))


def test_log_weights_equal_numpy(small, bits, drawn):
    keys, expected = drawn
    weights = log_weights(*small, keys, bits, 6)
    for term, by_hand in zip(weights, expected, strict=True):
        assert term.shape == (6, 12)
        np.testing.assert_allclose(term, by_hand, rtol=1e-4, atol=1e-5)


def test_objectives_equal_numpy(small, bits, drawn):
    keys, (likelihood, prior, posterior) = drawn
    log_w = likelihood + prior - posterior
    sampled = elbo(*small, keys, bits, num_samples=6, kl="sampled")
    np.testing.assert_allclose(sampled.value, log_w.mean(0), rtol=1e-4)
    np.testing.assert_allclose(sampled.surrogate, log_w.mean(), rtol=1e-4)
    tight = iwae(*small, keys, bits, num_samples=6)
    expected = scipy.special.logsumexp(log_w, axis=0) - np.log(6)
    np.testing.assert_allclose(tight.value, expected, rtol=1e-4)
    np.testing.assert_allclose(tight.surrogate, expected.mean(), rtol=1e-4)


def test_importance_equals_numpy_whatever_the_chunks(small, bits, drawn):
    keys, (likelihood, prior, posterior) = drawn
    log_w = likelihood + prior - posterior
    for rows in (12, 48, 60, 1000):  # chunks of 1, 4 (the last one short), 5 and all draws
        values = importance_sampling(
            *small, keys, bits, num_samples=6, iwae_samples=(1, 2, 4), rows=rows
        )
        expected = scipy.special.logsumexp(log_w, axis=0) - np.log(6)
        np.testing.assert_allclose(values["log_p"], expected, rtol=1e-4)
        np.testing.assert_allclose(values["kl_sampled"], (posterior - prior).mean(0), rtol=1e-3)
        np.testing.assert_allclose(values["iwae_1"], log_w.mean(0), rtol=1e-4)
        pairs = scipy.special.logsumexp(log_w.reshape(3, 2, 12), axis=1) - np.log(2)
        np.testing.assert_allclose(values["iwae_2"], pairs.mean(0), rtol=1e-4)
        first = scipy.special.logsumexp(log_w[:4], axis=0) - np.log(4)
        np.testing.assert_allclose(values["iwae_4"], first, rtol=1e-4)
        w = np.exp(log_w)
        size = w.sum(0) ** 2 / (w**2).sum(0)
        np.testing.assert_allclose(values["effective_sample_size"], size, rtol=1e-3)


def test_iwae_gradient_weights_the_draws(small, bits, drawn):
    """d/dt log mean w = sum_k w~_k d log w_k / dt, w~ = softmax over the draws (Burda et al.)."""
    model, params = small
    keys, (likelihood, prior, posterior) = drawn
    normalized = scipy.special.softmax(likelihood + prior - posterior, axis=0)

    def weighted(params):
        return (normalized * log_weights(model, params, keys, bits, 6).log_weight).sum(0).mean()

    expected = jax.jit(jax.grad(weighted))(params)

    def bound(params):
        return vae_jax.iwae(model, params, keys, bits, num_samples=6).surrogate

    gradient = jax.jit(jax.grad(bound))(params)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_beta_warmup_and_free_bits_change_the_surrogate_and_not_the_bound(small, bits):
    keys = jax.random.split(jax.random.key(1), len(bits))
    plain = vae_jax.elbo(*small, keys, bits)
    likelihood, kl = plain.terms["log_likelihood"].mean(), plain.terms["kl"].mean()
    for options, step, weight in (
        ({"beta": 3.0}, 0, 3.0),
        ({"warmup_steps": 10}, 4, 0.4),
        ({"warmup_steps": 10, "beta": 2.0}, 5, 1.0),
        ({"warmup_steps": 10}, 25, 1.0),
        ({"warmup_steps": 10}, None, 1.0),
    ):
        bound = vae_jax.elbo(*small, keys, bits, Context(step), **options)
        np.testing.assert_allclose(bound.surrogate, likelihood - weight * kl, rtol=1e-5)
        np.testing.assert_array_equal(bound.value, plain.value)
    model, params = small
    per_dimension = kl_per_dimension(model.encode(params, bits), model.prior(params)).mean(0)
    threshold = float(per_dimension.mean())  # one dimension lies below, one above
    bound = vae_jax.elbo(*small, keys, bits, free_bits=threshold)
    expected = likelihood - threshold - per_dimension.max()
    np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)
    np.testing.assert_array_equal(bound.value, plain.value)


def test_objectives_refuse_what_they_cannot_do(bits):
    model = build_model((1, 5, 1), 2, prior="mixture")
    params = model.init(jax.random.key(0), bits)
    for options, message in (
        ({"kl": "closed_form"}, "Normal-Normal"),
        ({"free_bits": 0.1}, "free_bits needs"),
        ({"num_samples": 0}, "a positive integer"),
        ({"beta": -1.0}, "a number of 0 or more"),
    ):
        with pytest.raises(UserError, match=message):
            elbo(model, params, jax.random.key(0), bits, **options)
    assert jnp.isfinite(elbo(model, params, jax.random.key(0), bits).value).all()


def all_of_x():
    return jnp.array(list(itertools.product([0.0, 1.0], repeat=5))).reshape(32, 1, 5, 1)


@pytest.mark.slow
def test_p_of_x_sums_to_one_over_all_x(small):
    log_p = log_p_by_quadrature(*small, all_of_x(), points=200, margin=2.0)
    np.testing.assert_allclose(jnp.exp(log_p).sum(), 1, rtol=1e-4)


@pytest.mark.slow
def test_bounds_grow_with_k_up_to_log_p(small):
    """ELBO <= IWAE_K <= IWAE_K' <= log p(x), log p(x) by quadrature; judged in standard errors."""
    model, params = small
    x = all_of_x()
    truth = np.asarray(log_p_by_quadrature(model, params, x, points=300, margin=2.0))
    keys = jax.random.split(jax.random.key(0), len(x))
    n = 20_000
    log_w = np.asarray(log_weights(model, params, keys, x, n).log_weight)
    previous, previous_error = -np.inf * np.ones(32), np.zeros(32)
    for k in (1, 2, 10, 100):
        groups = scipy.special.logsumexp(log_w.reshape(-1, k, 32), axis=1) - np.log(k)
        mean, error = groups.mean(0), groups.std(0) / np.sqrt(len(groups))
        assert (mean > previous - 5 * np.hypot(error, previous_error)).all()
        assert (mean < truth + 5 * error).all()
        previous, previous_error = mean, error
    elbos = log_w.mean(0)
    assert (elbos < truth - 5 * log_w.std(0) / np.sqrt(n)).any()  # the bound is not tight here
    values = importance_sampling(model, params, keys, x, num_samples=n, rows=32_000)
    assert (np.abs(values["log_p"] - truth) < 5 * values["log_p_error"] + 1e-4).all()


@pytest.mark.slow
def test_importance_error_falls_as_one_over_root_k(small, bits):
    keys = jax.random.split(jax.random.key(0), len(bits))
    few, many = (
        importance_sampling(*small, keys, bits, num_samples=k, rows=12_000)["log_p_error"].mean()
        for k in (1_000, 16_000)
    )
    assert 3.4 < few / many < 4.6


def test_closed_form_kl_equals_sampled_and_quadrature(small, bits):
    model, params = small
    q, p = model.encode(params, bits), model.prior(params)
    closed = closed_form_kl(q, p)
    sampled = plain(jax.random.key(0), q, p, 100_000)
    assert (np.abs(closed - sampled.value) <= 5 * sampled.standard_error + 1e-7).all()
    z = np.linspace(-15, 15, 200_001)
    log_q = scipy.stats.norm(*map(float, (q.base_dist.loc[0, 0], q.base_dist.scale[0, 0]))).logpdf(
        z
    )
    log_p = scipy.stats.norm.logpdf(z)
    integral = (np.exp(log_q) * (log_q - log_p)).sum() * (z[1] - z[0])
    np.testing.assert_allclose(kl_per_dimension(q, p)[0, 0], integral, atol=2e-6)
    np.testing.assert_array_equal(require_closed_form_kl(q, p), closed)


def test_draws_do_not_depend_on_how_many_there_are(small, bits):
    keys = jax.random.split(jax.random.key(0), len(bits))
    many = log_weights(*small, keys, bits, 7).log_weight
    np.testing.assert_allclose(log_weights(*small, keys, bits, 3).log_weight, many[:3], rtol=1e-5)
    np.testing.assert_allclose(log_weights(*small, keys, bits, 1).log_weight, many[:1], rtol=1e-5)
    last = log_weights(*small, keys, bits, 2, first=5).log_weight
    np.testing.assert_allclose(last, many[5:], rtol=1e-5)


def test_quadrature_is_for_planes(bits):
    model = build_model((1, 5, 1), 3)
    with pytest.raises(UserError, match="not 3"):
        log_p_by_quadrature(model, model.init(jax.random.key(0), bits), bits)


def test_terms_are_those_of_the_draws(small, bits, drawn):
    keys, (likelihood, prior, posterior) = drawn
    values = importance_sampling(*small, keys, bits, num_samples=6)
    np.testing.assert_allclose(values["log_likelihood"], likelihood.mean(0), rtol=1e-4)
    tight = iwae(*small, keys, bits, num_samples=6)
    np.testing.assert_allclose(tight.terms["kl"], (posterior - prior).mean(0), rtol=1e-3)
    np.testing.assert_allclose(tight.terms["log_likelihood"], likelihood.mean(0), rtol=1e-4)
    weighted = elbo(*small, keys, bits, num_samples=6, kl="sampled", beta=3.0)
    np.testing.assert_allclose(weighted.terms["kl"], (posterior - prior).mean(0), rtol=1e-3)


def test_the_error_of_a_sampled_kl_is_the_spread_of_repetitions(small, bits):
    model, params = small
    q, p = model.encode(params, bits[:1]), model.prior(params)
    keys = jax.random.split(jax.random.key(0), 400)
    estimates = jax.lax.map(lambda key: plain(key, q, p, 50), keys)
    ratio = np.sqrt((estimates.standard_error**2).mean(0)) / estimates.value.std(0, ddof=1)
    assert (np.abs(ratio - 1) < 5 / np.sqrt(2 * 400)).all()


def test_an_old_key_is_a_key(small, bits):
    new, old = (make(3) for make in (jax.random.key, jax.random.PRNGKey))
    np.testing.assert_array_equal(elbo(*small, new, bits).value, elbo(*small, old, bits).value)
    np.testing.assert_array_equal(iwae(*small, new, bits).value, iwae(*small, old, bits).value)
