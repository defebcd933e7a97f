"""Every likelihood against its reference: densities, masses, means, draws and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from tests.likelihoods.references import NAMES, ROWS, VARIANTS, every, features, make, reference


def density(text):
    """p(x) of one element and the features it is made of, and the reference."""
    likelihood, params = make(text)
    f = features(text, likelihood)
    return (
        likelihood.distribution(params, jnp.asarray(f)[:, None, :]),
        reference(text, f),
        likelihood,
    )


def points(text, expected):
    """Where a reference is compared: all levels, or quantiles `[n, R]`."""
    if isinstance(expected, np.ndarray):
        return np.arange(len(expected), dtype=np.float32)[:, None]
    low, high = (0, 1) if text.startswith(("beta", "continuous")) else (-20, 20)
    return np.float32(np.linspace(low, high, 41)[1:-1, None])


def log_reference(expected, x):
    return expected if isinstance(expected, np.ndarray) else expected.logpdf(np.float64(x))


@every
def test_equals_its_reference(text):
    p, expected, likelihood = density(text)
    x, values = points(text, expected), log_reference(expected, points(text, expected))
    log_p = np.asarray(p.log_prob(jnp.asarray(x)[..., None]))
    seen = values > -80  # float64 differences of distribution functions lose the rest
    np.testing.assert_allclose(log_p[seen], values[seen], rtol=3e-5, atol=3e-5)
    assert p.support.is_discrete == isinstance(expected, np.ndarray)
    assert likelihood.accepts.is_discrete == (p.support.is_discrete and text != "bernoulli")
    assert p.event_shape == (1,)
    assert p.batch_shape == (ROWS,)


@every
def test_sums_or_integrates_to_one(text):
    p, expected, _ = density(text)
    if isinstance(expected, np.ndarray):
        x, volume = points(text, expected), 1.0
    elif text.startswith(("beta", "continuous")):
        x, volume = (np.arange(40_000)[:, None] + 0.5) / 40_000, 1 / 40_000
    else:
        u = ((np.arange(40_000)[:, None] + 0.5) / 40_000 - 0.5) * np.pi
        x, volume = np.tan(u), (1 + np.tan(u) ** 2) * np.pi / 40_000
    mass = np.exp(np.float64(p.log_prob(jnp.asarray(x, jnp.float32)[..., None])))
    np.testing.assert_allclose((mass * volume).sum(0), 1, rtol=1e-4)


@every
def test_mean(text):
    p, expected, _ = density(text)
    if isinstance(expected, np.ndarray):
        mean = (np.exp(expected) * np.arange(len(expected))[:, None]).sum(0)
    else:
        mean = expected.mean()
    np.testing.assert_allclose(p.mean[:, 0], mean, rtol=2e-5, atol=1e-5)


SAMPLED = [*NAMES, *(t for t in VARIANTS if "learned" not in t)]
FALSE_ALARM = 1e-6 / (len(SAMPLED) * ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("text", SAMPLED)
def test_draws(text):
    p, expected, likelihood = density(text)
    draws = np.asarray(jax.jit(lambda k: p.sample(k, (10_000,)))(jax.random.key(0)))[..., 0]
    assert draws.dtype == np.float32
    assert p.support(jnp.asarray(draws)[..., None]).all()
    assert likelihood.accepts(draws).all()
    for row in range(ROWS):
        assert p_value(draws, expected, row) > FALSE_ALARM


def p_value(draws, expected, row):
    """Kolmogorov and Smirnov's for densities, chi-square for masses, rare levels pooled."""
    if not isinstance(expected, np.ndarray):
        u = expected.cdf(np.float64(draws))[:, row]
        return scipy.stats.kstest(u, "uniform").pvalue
    wanted = np.exp(expected[:, row]) * len(draws)
    counts = np.bincount(draws[:, row].astype(int), minlength=len(expected))
    common = wanted > 10
    pooled = [np.append(a[common], a[~common].sum()) for a in (counts, wanted)]
    full = pooled[1] > 1e-3
    assert pooled[0][~full].sum() == 0
    chi_square = ((pooled[0] - pooled[1])[full] ** 2 / pooled[1][full]).sum()
    return scipy.stats.chi2.sf(chi_square, max(1, full.sum() - 1))


@pytest.mark.slow
@every
def test_gradient_equals_finite_differences(text):
    likelihood, params = make(text)
    f = features(text, likelihood)
    expected = reference(text, f)
    x = np.float32(0.7 if not isinstance(expected, np.ndarray) else 3 if len(expected) > 3 else 1)

    def log_p(f):
        return likelihood.distribution(params, f[None]).log_prob(x[None])

    gradient = jax.vmap(jax.grad(log_p))(f)
    wanted, step = np.zeros(f.shape), 1e-5
    for i in range(min(f.shape[1], 20)):
        ends = [reference(text, f + sign * step * np.eye(f.shape[1])[i]) for sign in (1, -1)]
        high, low = (e[int(x)] if isinstance(e, np.ndarray) else e.logpdf(x) for e in ends)
        wanted[:, i] = (high - low) / (2 * step)
    np.testing.assert_allclose(gradient[:, :20], wanted[:, :20], rtol=1e-4, atol=2e-5)
