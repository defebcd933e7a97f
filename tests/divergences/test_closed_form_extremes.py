"""Closed forms in float32: scales of 1e-6 to 1e6, q next to p; against double precision or algebra."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from numpyro import distributions as dist

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.divergences import require_closed_form_kl as kl_divergence

SCALES = np.array([1e-6, 1e-3, 1.0, 1.3, 1e3, 1e6])
# type, pairs of parameters; the same in double precision is what test_closed_forms.py tests
LOC_SCALE = [np.array([*itertools.product([-1e3, 0.0, 0.5], SCALES)]).T] * 2
SHAPES = np.array([*itertools.product([0.01, 0.5, 3.0, 7.0, 9.0, 1e3, 1e6], [1e-6, 1.0, 1e6])]).T
LOGITS = np.array([[-1e4, -90.0, -20.0, -1.0, 0.0, 1e-3, 1.0, 20.0, 90.0, 1e4]])
EXTREMES = [
    (dist.Normal, dist.Normal, *LOC_SCALE),
    (dist.Laplace, dist.Laplace, *LOC_SCALE),
    (dist.Normal, dist.Laplace, *LOC_SCALE),
    (dist.Cauchy, dist.Cauchy, *LOC_SCALE),
    (dist.Laplace, dist.Normal, *LOC_SCALE),
    (dist.Logistic, dist.Normal, *LOC_SCALE),
    (dist.Gamma, dist.Gamma, SHAPES, SHAPES),
    (dist.Exponential, dist.Gamma, SCALES[None], SHAPES),
    (dist.Poisson, dist.Poisson, SCALES[None], SCALES[None]),
    (dist.BernoulliLogits, dist.BernoulliLogits, LOGITS, LOGITS),
    (dist.BernoulliProbs, dist.BernoulliProbs, *[np.array([[1e-6, 0.01, 0.3, 0.5, 0.999]])] * 2),
]


def name(row):
    return f"{row[0].__name__}-{row[1].__name__}"


def grid(theta, phi):
    """All combinations of q's and p's parameters, as float32 has them."""
    columns = [*itertools.product(theta.T, phi.T)]
    both = np.array([np.concatenate(pair) for pair in columns], np.float32).T
    return both[: len(theta)], both[len(theta) :]


@pytest.mark.slow
@pytest.mark.parametrize("row", EXTREMES, ids=name)
def test_float32_has_what_double_precision_has(row):
    q, p, *values = row
    theta, phi = grid(*values)

    def total(theta, phi):
        return kl_divergence(q(*theta), p(*phi))

    kl = np.asarray(total(jnp.asarray(theta), jnp.asarray(phi)))
    with jax.enable_x64(True):
        truth = np.asarray(total(*(jnp.asarray(x, jnp.float64) for x in (theta, phi))))
    held = truth < 1e37
    np.testing.assert_allclose(kl[held], truth[held], rtol=2e-5, atol=1e-30)
    assert (kl >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("row", EXTREMES, ids=name)
def test_gradients_are_finite(row):
    q, p, *values = row
    theta, phi = grid(*values)

    def total(theta, phi):
        return kl_divergence(q(*theta), p(*phi))

    kl = total(jnp.asarray(theta), jnp.asarray(phi))
    gradients = jax.grad(lambda *x: total(*x).sum(), (0, 1))(jnp.asarray(theta), jnp.asarray(phi))
    moderate = np.asarray(kl) < 1e20  # the gradient may be larger by 1e12 and more
    for gradient in gradients:
        assert np.isfinite(np.asarray(gradient)[:, moderate]).all()


NEAR = [1e-2, 1e-3, 1e-4]


@pytest.mark.parametrize("d", NEAR)
@pytest.mark.parametrize(
    ("make", "information"),
    [  # KL is d^2 / 2 times the Fisher information, up to a part of size d
        (lambda x: dist.Normal(0.0, x), 2.0),
        (lambda x: dist.Normal(x, 1.0), 1.0),
        (lambda x: dist.Laplace(0.0, x), 1.0),
        (lambda x: dist.Laplace(x, 1.0), 1.0),
        (lambda x: dist.Logistic(x, 1.0), 1 / 3),
        (lambda x: dist.Cauchy(x, 1.0), 1 / 2),
        (lambda x: dist.Cauchy(0.0, x), 1 / 2),
        (lambda x: dist.Poisson(x), 1.0),
        (lambda x: dist.Exponential(x), 1.0),
        (lambda x: dist.Gamma(x, 1.0), scipy.special.polygamma(1, 1)),
        (lambda x: dist.Beta(x, 1.0), 1.0),
        (lambda x: dist.BernoulliLogits(x), 0.19661193324148185),
        (lambda x: dist.BernoulliProbs(x / 2), 1.0),
        (lambda x: dist.CategoricalProbs(jnp.stack([x / 2, 1 - x / 2])), 1.0),
        (lambda x: dist.CategoricalLogits(jnp.stack([x, 0.0, 0.0])), np.e * 2 / (np.e + 2) ** 2),
        (lambda x: dist.MultivariateNormal(jnp.zeros(2), scale_tril=x * jnp.eye(2)), 4.0),
    ],
    ids=lambda x: "",
)
def test_q_next_to_p(make, information, d):
    """As small as (1e-4)^2, where the formulas as they are usually written leave no digit."""
    if make(jnp.float32(1.0)).__class__.__name__ == "Laplace" and d > 1e-3:
        return  # not smooth: its remainder is larger
    step = float(np.float32(1 + d) - np.float32(1))
    kl = kl_divergence(make(jnp.float32(1.0)), make(jnp.float32(1 + d)))
    np.testing.assert_allclose(kl, information * step**2 / 2, rtol=3 * d + 2e-3)


def test_concentrations_that_are_large():
    """Large Dirichlets are normal: compared with double precision, where 1e-9 of digits are left."""
    a = np.array([[1e6, 1e6], [1e6, 2e6], [1e5, 1e6]], np.float32)
    c = np.array([[1.1e6, 1.1e6], [1.001e6, 2e6], [2e5, 1e6]], np.float32)
    kl = kl_divergence(dist.Dirichlet(a), dist.Dirichlet(c))
    a, c = a.astype(np.float64), c.astype(np.float64)
    A, C, lgamma, psi = a.sum(-1), c.sum(-1), scipy.special.gammaln, scipy.special.digamma
    truth = lgamma(A) - lgamma(C) - (lgamma(a) - lgamma(c)).sum(-1)
    truth += ((a - c) * (psi(a) - psi(A)[:, None])).sum(-1)
    np.testing.assert_allclose(kl, truth, rtol=2e-5)


@pytest.mark.slow
def test_normals_that_nearly_lie_in_a_plane():
    """Against double precision, of factors whose covariance float32 could not factorize."""
    W = np.array([[1.0, 2.0], [3.0, 1.0], [2.0, -1.0]], np.float32)
    loc, d = np.zeros(3, np.float32), np.full(3, 1e-8, np.float32)

    def kls(kind):
        W_, loc_, d_ = (jnp.asarray(x, kind) for x in (W, loc, d))
        q = dist.LowRankMultivariateNormal(loc_, W_, d_)
        p = dist.Normal(loc_ + 1, jnp.ones(3, kind)).to_event(1)
        return kl_divergence(q, p), kl_divergence(
            q, dist.LowRankMultivariateNormal(loc_, W_, 2 * d_)
        )

    kl = kls(jnp.float32)
    with jax.enable_x64(True):
        truth = kls(jnp.float64)
    np.testing.assert_allclose(kl, truth, rtol=1e-4)


def low_rank_kl(kind, W, d, loc, scale, *, whole):
    """KL to independent normals, value and gradients; `whole`: by a matrix of all dimensions."""
    p = dist.Normal(jnp.zeros(len(loc), kind), jnp.asarray(scale, kind)).to_event(1)

    def total(W, d, loc):
        S = W @ W.T + jnp.diag(d)
        q = dist.MultivariateNormal(loc, S) if whole else dist.LowRankMultivariateNormal(loc, W, d)
        return kl_divergence(q, p)

    return jax.value_and_grad(total, (0, 1, 2))(*(jnp.asarray(x, kind) for x in (W, d, loc)))


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("columns", ["apart", "nearly the same"])
@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_has_what_the_whole_covariance_has(rank, columns, size):
    """Value and gradient in float32 against the Cholesky factor of all dimensions in float64."""
    rng = np.random.default_rng(rank)
    W = (
        rng.normal(size=(20, rank))
        if columns == "apart"
        else 1 + 1e-3 * rng.normal(size=(20, rank))
    )
    d, loc, scale = np.exp(rng.normal(size=20)), rng.normal(size=20), np.exp(rng.normal(size=20))
    theta = [np.float32(x) for x in (size * W, d, loc, scale)]
    kl, slopes = low_rank_kl(jnp.float32, *theta, whole=False)
    with jax.enable_x64(True):
        truth, expected = low_rank_kl(jnp.float64, *theta, whole=True)
    np.testing.assert_allclose(kl, truth, rtol=2e-6)
    for slope, wanted in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=2e-5, atol=2e-6 * np.abs(wanted).max())


def test_low_rank_next_to_independent():
    """A weak W between two dimensions: about (w_1 w_2)^2 / 2, with no digit lost beside 1."""
    for w in (1e-1, 1e-2, 1e-3):
        W, scale = jnp.array([[w], [w]]), jnp.sqrt(jnp.ones(2) + w**2)
        q = dist.LowRankMultivariateNormal(jnp.zeros(2), W, jnp.ones(2))
        kl = kl_divergence(q, dist.Normal(jnp.zeros(2), scale).to_event(1))
        truth = -np.log1p(-((w**2 / (1 + w**2)) ** 2)) / 2
        np.testing.assert_allclose(kl, truth, atol=1e-6 * w**2)


def test_low_rank_has_no_matrix_of_all_dimensions():
    q = dist.LowRankMultivariateNormal(jnp.zeros(50), jnp.ones((50, 2)), jnp.ones(50))
    p = dist.Normal(jnp.zeros(50), jnp.ones(50)).to_event(1)
    program = jax.jit(jax.grad(lambda W: kl_divergence(type(q)(q.loc, W, q.cov_diag), p)))
    text = program.lower(q.cov_factor).compile().as_text()
    assert "[50,50]" not in text
    assert "custom-call" not in text  # LAPACK


@pytest.mark.slow
def test_gradients_where_q_is_p():
    """They are 0, through every branch."""
    for make, x in (
        (lambda x: dist.Normal(x[0], x[1]), [0.0, 1.0]),
        (lambda x: dist.Laplace(x[0], x[1]), [0.0, 1.0]),
        (lambda x: dist.Gamma(x[0], x[1]), [2.0, 1.0]),
        (lambda x: dist.Beta(x[0], x[1]), [2.0, 1.0]),
        (lambda x: BernoulliLogits(x, 1), [0.0, 100.0]),
        (lambda x: dist.CategoricalLogits(x), [0.0, 100.0]),
        (lambda x: dist.LowRankMultivariateNormal(x, x[:, None], jnp.ones(2)), [1.0, 2.0]),
    ):
        x = jnp.array(x)
        slope = jax.grad(lambda x: kl_divergence(make(x), make(jax.lax.stop_gradient(x))).sum())(x)  # noqa: B023
        np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("weibull", "gamma"),
    [
        ((1, 1000), (1e6, 1e6)),
        ((5, 100), (1e4, 2e3)),
        ((2, 0.5), (0.7, 0.2)),
        ((1, 3), (1e-2, 1e-3)),
    ],
)
def test_weibull_against_gamma(weibull, gamma):
    """The published formula, in double precision."""
    (scale, k), (a, b) = weibull, gamma
    kl = kl_divergence(dist.Weibull(*map(float, weibull)), dist.Gamma(a, b))
    mean = scale * scipy.special.gamma(1 + 1 / k)
    truth = np.log(k) - np.euler_gamma * (1 - a / k) - 1 + scipy.special.gammaln(a)
    truth += b * mean - a * np.log(b * scale)
    np.testing.assert_allclose(kl, truth, rtol=2e-5)


@pytest.mark.parametrize(
    ("a", "b", "c"), [(2, 3, 2), (1.001, 1.002, 1), (1e3, 50, 900), (5, 0.3, 1)]
)
def test_kumaraswamy_against_a_beta(a, b, c):
    kl = kl_divergence(dist.Kumaraswamy(float(a), float(b)), dist.Beta(float(c), np.ones(())))
    harmonic = scipy.special.digamma(b + 1) + np.euler_gamma
    truth = np.log(a * b / c) - (1 - c / a) * harmonic - (b - 1) / b
    np.testing.assert_allclose(kl, truth, rtol=2e-3 if a < 1.1 else 2e-5)
