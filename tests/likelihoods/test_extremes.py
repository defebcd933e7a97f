"""Every likelihood at the ends of its data and of its features."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from tests.likelihoods.references import (
    NAMES,
    every,
    make,
)
from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from vae_jax.flows.scales import softplus

EXTREMES = [-1e4, -100.0, 0.0, 100.0, 1e4]
SHARP = [4e-4, 1e-2, 0.3, 1.0, 30.0, 1e4]  # scales, the first a tenth of half a bin


def sensible(accepts):
    if not accepts.is_discrete:
        ends = {"OpenInterval": [1e-30, 1e-6, 1 - 2**-24], "UnitInterval": [0, 1e-30, 1]}
        return [0.5, *ends.get(repr(accepts).split("(")[0], [-1e4, -1.0, 0.0, 1e4])]
    top = getattr(accepts, "upper_bound", 100_000)
    return [0, min(1, top), top // 2, top]


@pytest.mark.slow
@every
def test_values_and_gradients_are_finite_at_extremes(text):
    likelihood, params = make(text)
    n = likelihood.num_features
    grid = list(itertools.product(EXTREMES, repeat=n)) if n < 4 else []
    f = np.array(grid or np.random.default_rng(0).choice(EXTREMES, (125, n)), np.float32)
    x = np.array(sensible(likelihood.accepts), np.float32)

    def log_p(params, f, x):
        return likelihood.distribution(params, f[None]).log_prob(x[None])

    both = jax.vmap(jax.value_and_grad(log_p, (0, 1)), (None, 0, None))
    value, gradients = jax.jit(jax.vmap(both, (None, None, 0)))(params, f, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradients)))


@pytest.mark.slow
@pytest.mark.parametrize("text", [*NAMES, "student_t(df=1.5)"])
def test_draws_at_extremes_are_in_the_support(text):
    likelihood, params = make(text)
    choice = np.random.default_rng(0).choice
    f = jnp.asarray(choice(EXTREMES, (50, 1, likelihood.num_features)), jnp.float32)
    p = likelihood.distribution(params, f)
    draws = jax.jit(lambda k: p.sample(k, (100,)))(jax.random.key(0))
    assert p.support(draws).all()
    assert likelihood.accepts(draws).all()
    assert jnp.isfinite(p.log_prob(draws)).all()
    assert jnp.isfinite(p.mean).all()


@every
def test_inputs_of_the_encoder(text):
    likelihood, _ = make(text)
    x = jnp.asarray(sensible(likelihood.accepts), jnp.float32)
    wanted = x
    if likelihood.accepts.is_discrete:
        top = getattr(likelihood.accepts, "upper_bound", None)
        wanted = np.log1p(x) if top is None else x / top
    np.testing.assert_allclose(likelihood.inputs(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -3.0, -0.6, -0.4, -1e-3, 0.0, 1e-3, 0.4, 0.6, 3.0, 1e4])
def test_continuous_bernoulli_near_and_far_from_zero(logit):
    """In float64 by `expm1`, and the uniform density at 0, mean and gradient too."""
    a, x = np.float64(np.float32(logit)), 0.3
    size = abs(a) or 1.0
    log_z = max(a, 0) + np.log(-np.expm1(-size) / size) if a else 0.0
    p = ContinuousBernoulli(jnp.float32(logit))
    np.testing.assert_allclose(p.log_prob(jnp.float32(x)), a * x - log_z, rtol=1e-6, atol=2e-7)
    mean = 0.5 + a / 12 if abs(a) < 0.01 else -1 / np.expm1(-a) - 1 / a if a > -700 else -1 / a
    np.testing.assert_allclose(p.mean, mean, rtol=3e-6)
    gradient = jax.grad(lambda a: ContinuousBernoulli(a).log_prob(jnp.float32(x)))(jnp.float32(a))
    np.testing.assert_allclose(gradient, x - mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_discretized_logistic_has_its_digits_everywhere(level):
    """Value and gradient in float32 against sigmoids in float64, one bin and its tails."""
    loc, scale = (g.ravel() for g in np.meshgrid([-9.0, -1, -0.2, 0.5, 1, 9], SHARP))

    def log_p(loc, scale):
        p = DiscretizedLogisticMixture(jnp.zeros((1,)), loc[None], scale[None], 256)
        return p.log_prob(jnp.asarray(level, loc.dtype))

    def by_sigmoids(loc, scale):
        t, h = 2 * level / 255 - 1, 1 / 255
        below = jax.nn.log_sigmoid((t + h - loc) / scale) if level < 255 else 0.0
        above = jax.nn.log_sigmoid((loc - t + h) / scale) if level > 0 else 0.0
        width = jnp.log(-jnp.expm1(-2 * h / scale)) if 0 < level < 255 else 0.0
        return below + above + width

    def both(f, kind):
        of = jax.vmap(jax.value_and_grad(f, (0, 1)))
        each = of(*(jnp.asarray(np.float32(x), kind) for x in (loc, scale)))
        return jax.tree.map(np.float64, each)

    value, slopes = both(log_p, jnp.float32)
    with jax.enable_x64(True):
        truth, expected = both(by_sigmoids, jnp.float64)
    rounding = 3e-7 / scale  # of t - m, in scales
    assert (abs(value - truth) < 2e-6 * (1 + abs(truth)) + rounding).all()
    for slope, wanted in zip(slopes, expected, strict=True):
        assert (abs(slope - wanted) < 3e-6 * abs(wanted) + (3e-6 + 2 * rounding) / scale).all()


def test_softplus_everywhere():
    """Value and gradient against `logaddexp` and the sigmoid in float64."""
    a = np.float32([-1e4, -100, -20, -1, -1e-6, 0, 1e-6, 1, 20, 100, 1e4])
    value, slope = jax.vmap(jax.value_and_grad(softplus))(a)
    wide = a.astype(np.float64)
    np.testing.assert_allclose(value, np.logaddexp(0, wide), rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(slope, scipy.special.expit(wide), rtol=1e-6, atol=1e-37)
