"""KL(q || p) by quadrature against exact values, and what it refuses; entropies against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro import distributions as dist

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.divergences import entropy, kl_by_quadrature, require_nested_supports
from vae_jax.errors import UserError


def normals(m, s, n, t):
    """In double precision, of the parameters as they are in float32."""
    m, s, n, t = (np.float64(np.float32(x)) for x in (m, s, n, t))
    return np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("m", [0.0, 1.0, -1e3])
@pytest.mark.parametrize("s", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("t", [1e-6, 1.0, 1e6])
def test_normals_of_all_scales(m, s, t):
    q, p = dist.Normal(jnp.float32(m), jnp.float32(s)), dist.Normal(0.0, jnp.float32(t))
    kl = kl_by_quadrature(q, p)
    truth = normals(m, s, 0.0, t)
    assert kl.error < 1e-6 * max(1, abs(truth))
    assert abs(kl.value - truth) < 1e-9 * max(1, abs(truth)) + kl.error


@pytest.mark.parametrize(("s", "t"), [(1.0, 3.0), (1e-6, 1e6), (1e6, 1e-6)])
def test_tails_without_moments(s, t):
    """Of Cauchy at one place, log((s + t)^2 / 4st) (Chyzak & Nielsen 2019)."""
    q, p = dist.StudentT(1.0, 0.0, s), dist.Cauchy(0.0, t)
    kl = kl_by_quadrature(q, p)
    truth = np.log((s + t) ** 2 / (4 * s * t))
    np.testing.assert_allclose(kl.value, truth, rtol=1e-9)
    assert kl.error < 1e-8 * truth


@pytest.mark.slow
def test_what_is_infinite_is_said_so():
    for q in (dist.Cauchy(0.0, 1.0), dist.StudentT(2.0, 0.0, 1.0)):
        assert kl_by_quadrature(q, dist.Normal(0.0, 1.0)).value == np.inf


def test_a_kink_and_narrow_peaks():
    """Folded normal mean; entropy of two modes far apart is that of one and log 2."""
    kl = kl_by_quadrature(dist.Normal(0.0, 1.0), dist.Laplace(0.0, 1e-4))
    truth = np.sqrt(2 / np.pi) * 1e4 + np.log(2e-4) - (1 + np.log(2 * np.pi)) / 2
    np.testing.assert_allclose(kl.value, truth, rtol=1e-9)
    modes = dist.Normal(jnp.array([-1.0, 1.0]), jnp.float32(1e-3))
    q = dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), modes)
    kl = kl_by_quadrature(q, dist.Normal(0.0, 1.0))
    s = np.float64(np.float32(1e-3))
    np.testing.assert_allclose(kl.value, -np.log(s) - np.log(2) + s**2 / 2, rtol=1e-9)


def test_densities_that_are_infinite_at_an_end():
    """KL(Gamma(a, 1) || Gamma(c, 1)) = (a - c) psi(a) + log Gamma(c) / Gamma(a) (Penny 2001)."""
    kl = kl_by_quadrature(dist.Gamma(0.125, 1.0), dist.Gamma(2.0, 1.0))
    truth = (0.125 - 2) * scipy.special.digamma(0.125) - scipy.special.gammaln(0.125)
    np.testing.assert_allclose(kl.value, truth, rtol=1e-9)
    assert kl.error < 1e-8


@pytest.mark.parametrize(("weight", "at", "scale"), [(0.1, 30.0, 0.001), (1e-4, 12.0, 0.01)])
def test_a_narrow_part_that_is_missed_is_said(weight, at, scale):
    parts = dist.Normal(jnp.array([0.0, at]), jnp.array([1.0, scale]))
    q = dist.MixtureSameFamily(dist.Categorical(jnp.array([1 - weight, weight])), parts)
    with pytest.raises(UserError, match=r"quadrature found 0\.99\d* of the mass of q"):
        kl_by_quadrature(q, dist.Normal(0.0, 1.0))


def test_a_far_part_that_is_not_missed():
    weight, at, scale = 0.01, 20.0, 0.1
    parts = dist.Normal(jnp.array([0.0, at]), jnp.array([1.0, scale]))
    q = dist.MixtureSameFamily(dist.Categorical(jnp.array([1 - weight, weight])), parts)
    truth = weight * (np.log(weight / scale) + (scale**2 + at**2) / 2 - 0.5)  # the far part's
    truth += (1 - weight) * np.log(1 - weight)  # and the other's, which lie apart
    np.testing.assert_allclose(kl_by_quadrature(q, dist.Normal(0.0, 1.0)).value, truth, rtol=1e-6)


@pytest.mark.slow
def test_mass_that_rounding_hides_is_missed():
    """Near 1, double precision does not hold the mass of Beta(0.05, 0.1)."""
    with pytest.raises(UserError, match=r"0\.99\d* of the mass of q"):
        kl_by_quadrature(dist.Beta(0.05, 0.1), dist.Uniform(0.0, 1.0))


def test_planes():
    L = np.array([[1.0, 0.0], [0.999, 0.01]], np.float32)
    q = dist.MultivariateNormal(jnp.ones(2), scale_tril=1e-3 * jnp.array(L))
    p = dist.Normal(jnp.zeros(2), jnp.array([1.0, 2.0])).to_event(1)
    S, T = (L.astype(float) * np.float32(1e-3)) @ (L.astype(float) * np.float32(1e-3)).T, [1, 4]
    truth = (np.diag(S) / T + 1 / np.array(T) - 1 + np.log(T)).sum() - np.linalg.slogdet(S)[1]
    kl = kl_by_quadrature(q, p)
    np.testing.assert_allclose(kl.value, truth / 2, rtol=1e-8)
    assert kl.error < 1e-6


@pytest.mark.slow
def test_independent_dimensions_are_a_sum():
    loc = jnp.arange(5.0)
    q, p = dist.Normal(loc, 1.0).to_event(1), dist.Normal(jnp.zeros(5), 1.0).to_event(1)
    np.testing.assert_allclose(kl_by_quadrature(q, p).value, 15, rtol=1e-10)
    q = dist.Beta(2.0, jnp.array([[1.0, 3.0]])).to_event(2)
    truth = -scipy.stats.beta(2, [1, 3]).entropy().sum()
    p = dist.Uniform(0.0, jnp.ones((1, 2))).to_event(2)
    np.testing.assert_allclose(kl_by_quadrature(q, p).value, truth, rtol=1e-9)


def test_counts():
    """l log(l / m) + m - l of Poisson rates; an array of masses; trials of success w and v."""
    for rate, other in ((3.0, 4.0), (1e5, 1.01e5)):
        kl = kl_by_quadrature(dist.Poisson(rate), dist.Poisson(other))
        truth = rate * np.log(rate / other) + other - rate
        assert abs(kl.value - truth) < 1e-9 * truth + kl.error
        assert kl.error < 1e-8
    w, v = 2.0**-12, 0.25
    kl = kl_by_quadrature(dist.Geometric(w), dist.Geometric(v))
    truth = np.log(w / v) + (1 - w) / w * np.log((1 - w) / (1 - v))
    np.testing.assert_allclose(kl.value, truth, rtol=1e-9)
    masses = jnp.array([0.25, 0.75, 0.0]), jnp.array([0.5, 0.25, 0.25])
    kl = kl_by_quadrature(*(dist.Categorical(w) for w in masses))
    np.testing.assert_allclose(kl.value, scipy.special.rel_entr(*masses).sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (dist.Normal(), dist.Uniform(), "infinite: q.z. reaches from -inf to inf"),
        (dist.Beta(1.0, 1.0), dist.Uniform(0.0, 0.5), "infinite"),
        (dist.Gamma(1.0), dist.Poisson(1.0), "q is a density, p is a mass"),
        (dist.Normal(), dist.Normal(jnp.zeros(2)).to_event(1), r"\(\), p's \(2,\)"),
        (dist.Binomial(4, 0.5), dist.Bernoulli(0.5), "from 0 to 4, .* from 0 to 1"),
        (
            dist.Uniform(0, jnp.array([1.0, 3.0])).to_event(1),
            dist.Uniform(0, 2 * jnp.ones(2)).to_event(1),
            "to 3",
        ),
    ],
)
def test_supports_that_do_not_fit(q, p, message):
    with pytest.raises(UserError, match=message) as caught:
        require_nested_supports(q, p)
    assert "\n" not in str(caught.value)


def test_supports_that_fit():
    for q in (dist.Gamma(1.0), dist.Uniform(), dist.LogNormal(), dist.Normal()):
        require_nested_supports(q, dist.Normal())
    require_nested_supports(dist.Bernoulli(0.5), dist.Poisson(1.0))
    low = jnp.array([0.0, 5.0])
    boxes = dist.Uniform(low, low + 1).to_event(1), dist.Uniform(low - 1, low + 2).to_event(1)
    require_nested_supports(*boxes)  # element by element


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (dist.Normal(jnp.zeros(2)), dist.Normal(), "batches of"),
        (dist.Dirichlet(jnp.ones(3)), dist.Dirichlet(jnp.ones(3)), "boxes"),
        (dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3)),) * 2 + ("1 or 2 dimensions",),
    ],
)
def test_what_quadrature_does_not_do(q, p, message):
    with pytest.raises(UserError, match=message):
        kl_by_quadrature(q, p)


S = scipy.stats
ENTROPIES = [
    (dist.Normal(1.0, 2.0), S.norm(1, 2)),
    (dist.Laplace(1.0, 2.0), S.laplace(1, 2)),
    (dist.Logistic(1.0, 2.0), S.logistic(1, 2)),
    (dist.Cauchy(1.0, 2.0), S.cauchy(1, 2)),
    (dist.HalfCauchy(2.0), S.halfcauchy(0, 2)),
    (dist.Gumbel(1.0, 2.0), S.gumbel_r(1, 2)),
    (dist.StudentT(0.5, 1.0, 2.0), S.t(0.5, 1, 2)),
    (dist.StudentT(30.0, 1.0, 2.0), S.t(30, 1, 2)),
    (dist.Uniform(1.0, 3.0), S.uniform(1, 2)),
    (dist.Beta(0.5, 3.0), S.beta(0.5, 3)),
    (dist.Gamma(0.1, 2.0), S.gamma(0.1, 0, 0.5)),
    (dist.Gamma(20.0, 2.0), S.gamma(20, 0, 0.5)),
    (dist.InverseGamma(3.0, 2.0), S.invgamma(3, 0, 2)),
    (dist.Exponential(2.0), S.expon(0, 0.5)),
    (dist.HalfNormal(2.0), S.halfnorm(0, 2)),
    (dist.LogNormal(1.0, 0.5), S.lognorm(0.5, 0, np.exp(1))),
    (dist.Weibull(2.0, 1.5), S.weibull_min(1.5, 0, 2)),
    (dist.Dirichlet(jnp.array([0.5, 2.0, 3.0])), S.dirichlet([0.5, 2, 3])),
    (dist.TruncatedNormal(1.0, 2.0, low=0.0, high=5.0), S.truncnorm(-0.5, 2, 1, 2)),
    (dist.Bernoulli(0.3), S.bernoulli(0.3)),
    (dist.Bernoulli(logits=-1.0), S.bernoulli(1 / (1 + np.e))),
    (dist.Geometric(0.3), S.geom(0.3)),
    (
        dist.MultivariateNormal(jnp.zeros(2), jnp.array([[2.0, 1.0], [1.0, 1.0]])),
        S.multivariate_normal([0, 0], [[2, 1], [1, 1]]),
    ),
]


@pytest.mark.parametrize(("q", "truth"), ENTROPIES, ids=lambda x: type(x).__name__)
def test_entropy_equals_scipy(q, truth):
    np.testing.assert_allclose(entropy(q), truth.entropy(), rtol=2e-6, atol=1e-6)


@pytest.mark.slow
def test_entropies_that_scipy_does_not_have():
    """-KL to the uniform density on (0, 1), by quadrature."""
    for q in (dist.Kumaraswamy(2.0, 3.0), ContinuousBernoulli(jnp.float32(1.5))):
        minus = kl_by_quadrature(q, dist.Uniform(0.0, 1.0)).value
        np.testing.assert_allclose(entropy(q), -minus, rtol=2e-6)


@pytest.mark.slow
def test_entropy_of_many():
    """Elements that share a scale each have theirs; logits at extremes; none where there is none."""
    one = entropy(dist.Laplace(0.0, 2.0))
    q = dist.Laplace(jnp.zeros((4, 3)), 2.0).to_event(1)
    np.testing.assert_allclose(entropy(q), np.full(4, 3 * one), rtol=1e-6)
    expanded = dist.Laplace(0.0, 2.0).expand([4, 3]).to_event(1)
    np.testing.assert_allclose(entropy(expanded), np.full(4, 3 * one), rtol=1e-6)
    vector = BernoulliLogits(jnp.array([[0.0, -200.0, 200.0]]), 1)
    np.testing.assert_allclose(entropy(vector), [np.log(2)], rtol=1e-6)
    assert entropy(dist.Poisson(1.0)) is None
    assert entropy(dist.SoftLaplace(0.0, 1.0)) is None
    gradient = jax.grad(lambda a: entropy(BernoulliLogits(a, 1)).sum())(jnp.array([-200.0, 200.0]))
    assert np.isfinite(gradient).all()
