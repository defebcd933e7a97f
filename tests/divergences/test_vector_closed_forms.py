"""KL(q || p) of vectors, and what holds for all pairs: infinity, bijections, a user's own pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from numpyro import distributions as dist
from numpyro.distributions import kl_divergence

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.divergences import closed_form_kl, kl_by_quadrature, require_closed_form_kl
from vae_jax.errors import UserError


def normals(rng, dimensions=3):
    """One of every kind, with its mean and covariance in NumPy."""
    m, s = rng.normal(size=dimensions), np.exp(rng.normal(size=dimensions))
    A, W = rng.normal(size=(dimensions, dimensions)), rng.normal(size=(dimensions, 2))
    L = np.linalg.cholesky(A @ A.T + np.eye(dimensions) / 10)
    yield dist.Normal(m, s).to_event(1), m, np.diag(s**2)
    yield dist.Normal(m[0], s[0]).expand([dimensions]).to_event(1), *same_everywhere(m, s)
    yield dist.MultivariateNormal(m, covariance_matrix=L @ L.T), m, L @ L.T
    yield CholeskyNormal(m, L), m, L @ L.T
    yield dist.LowRankMultivariateNormal(m, W, s), m, W @ W.T + np.diag(s)


def same_everywhere(m, s):
    return np.full_like(m, m[0]), s[0] ** 2 * np.eye(len(m))


def gaussian_kl(m, S, n, T):
    """tr(T^-1 S) / 2 + (n - m)' T^-1 (n - m) / 2 - D / 2 + log(|T| / |S|) / 2."""
    distance = (n - m) @ np.linalg.solve(T, n - m)
    log_det = np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
    return (np.trace(np.linalg.solve(T, S)) + distance - len(m) + log_det) / 2


@pytest.mark.slow
def test_normals_of_every_kind():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        for _ in range(4):
            for q, *q_moments in normals(rng):
                for p, *p_moments in normals(rng):
                    kl, truth = kl_divergence(q, p), gaussian_kl(*q_moments, *p_moments)
                    np.testing.assert_allclose(kl, truth, rtol=1e-10, err_msg=f"{q} {p}")


@pytest.mark.parametrize(
    "q",
    [
        dist.LogNormal(jnp.zeros(2), jnp.ones(2)).to_event(1),
        dist.TruncatedNormal(jnp.zeros(2), jnp.ones(2), low=-1.0).to_event(1),
        dist.HalfNormal(jnp.ones(2)).to_event(1),
    ],
    ids=lambda q: type(q.base_dist).__name__,
)
def test_what_is_made_of_normals_is_no_normal(q):
    p = dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2))
    assert closed_form_kl(q, p) is None


def test_other_numbers_of_categories_are_summed():
    q, p = dist.Categorical(jnp.array([0.5, 0.5])), dist.Categorical(jnp.array([0.2, 0.3, 0.5]))
    assert closed_form_kl(q, p) is None
    truth = 0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.3)
    np.testing.assert_allclose(kl_by_quadrature(q, p).value, truth, rtol=1e-6)


@pytest.mark.slow
def test_normals_broadcast_their_batches():
    rng = np.random.default_rng(1)
    m, L = rng.normal(size=(5, 1, 3)), np.tril(rng.uniform(0.5, 2, size=(2, 3, 3)))
    W, d = rng.normal(size=(5, 1, 3, 1)), rng.uniform(1, 2, size=(2, 3))
    with jax.enable_x64(True):
        kinds = [
            dist.Normal(m, 2.0).to_event(1),
            dist.MultivariateNormal(m, scale_tril=L),
            dist.LowRankMultivariateNormal(m, W, d),
        ]
        for q in kinds:
            for p in kinds:
                kl = kl_divergence(q, p)
                assert kl.shape == np.broadcast_shapes(q.batch_shape, p.batch_shape)
                one = gaussian_kl(*moments(q, 4, 1), *moments(p, 4, 1))
                np.testing.assert_allclose(
                    np.broadcast_to(kl, (5, 2))[4, 1], one, rtol=1e-9, atol=1e-12
                )


def moments(d, i, j):
    """Mean and covariance at one place of the batch [5, 2]."""
    if isinstance(d, dist.LowRankMultivariateNormal):
        covariance = d.cov_factor @ np.swapaxes(d.cov_factor, -1, -2) + d.cov_diag[
            ..., None
        ] * np.eye(3)
    else:
        diagonal = isinstance(d, dist.Independent)
        covariance = d.variance[..., None] * np.eye(3) if diagonal else d.covariance_matrix
    mean = np.broadcast_to(d.mean, (5, 2, 3))
    return mean[i, j], np.broadcast_to(covariance, (5, 2, 3, 3))[i, j]


@pytest.mark.slow
def test_dirichlet():
    """Penny 2001, with SciPy's functions."""
    a, c = np.random.default_rng(0).gamma(2, 2, size=(2, 30, 4)) + 0.1
    A, C = a.sum(-1), c.sum(-1)
    lgamma, psi = scipy.special.gammaln, scipy.special.digamma
    truth = lgamma(A) - lgamma(C) - (lgamma(a) - lgamma(c)).sum(-1)
    truth += ((a - c) * (psi(a) - psi(A)[:, None])).sum(-1)
    with jax.enable_x64(True):
        kl = kl_divergence(dist.Dirichlet(a), dist.Dirichlet(c))
    np.testing.assert_allclose(kl, truth, rtol=1e-9)


def test_bernoulli_vectors():
    a, b = 2 * np.random.default_rng(0).normal(size=(2, 7, 3, 4)).astype(np.float32)
    truth = (scipy.special.rel_entr(*(bernoulli_masses(x) for x in (a, b)))).sum((1, 2, 3))
    ours, theirs = ([BernoulliLogits(x, 2), dist.BernoulliLogits(x).to_event(2)] for x in (a, b))
    for q in ours:
        for p in theirs:
            np.testing.assert_allclose(kl_divergence(q, p), truth, rtol=2e-6)


def bernoulli_masses(a):
    return np.stack([scipy.special.expit(-a), scipy.special.expit(a)], -1).astype(np.float64)


def test_independents_sum_and_broadcast():
    """Elements that share a scale count as often as there are elements."""
    q = dist.Laplace(jnp.zeros((4, 3)), 2.0).to_event(1)
    p = dist.Normal(jnp.ones(3), 1.0).to_event(1)
    one = kl_divergence(dist.Laplace(0.0, 2.0), dist.Normal(1.0, 1.0))
    np.testing.assert_allclose(kl_divergence(q, p), np.full(4, 3 * one), rtol=1e-6)


def test_infinite_where_supports_do_not_nest():
    unit = dist.Uniform(0.0, 1.0)
    for q in (dist.Uniform(-0.1, 0.5), dist.Uniform(0.5, 1.1)):
        assert kl_divergence(q, unit) == jnp.inf
    assert kl_divergence(dist.Beta(2.0, 2.0), dist.Uniform(0.1, 1.0)) == jnp.inf
    assert kl_divergence(dist.Cauchy(0.0, 1.0), dist.Normal(0.0, 1.0)) == jnp.inf
    assert kl_divergence(dist.StudentT(2.0, 0.0, 1.0), dist.Normal(0.0, 1.0)) == jnp.inf
    some, all_ = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.2, 0.3, 0.5])
    assert kl_divergence(dist.Categorical(all_), dist.Categorical(some)) == jnp.inf
    truth = scipy.special.rel_entr(some, all_).sum()
    np.testing.assert_allclose(kl_divergence(dist.Categorical(some), dist.Categorical(all_)), truth)
    assert kl_divergence(dist.Bernoulli(0.5), dist.Bernoulli(1.0)) == jnp.inf
    assert kl_divergence(dist.Bernoulli(0.0), dist.Bernoulli(1.0)) == jnp.inf
    np.testing.assert_allclose(
        kl_divergence(dist.Bernoulli(1.0), dist.Bernoulli(0.25)), np.log(4), rtol=1e-6
    )


def test_invariance_under_a_bijection():
    q, p = dist.Normal(jnp.zeros(2), 1.0), dist.Normal(jnp.ones(2), 2.0)
    truth = kl_divergence(q, p)
    shift = dist.transforms.AffineTransform(1.0, jnp.array([2.0, 3.0]))
    for bijection in ([dist.transforms.ExpTransform()], [shift], [shift, shift]):
        pushed = [dist.TransformedDistribution(d, bijection) for d in (q, p)]
        np.testing.assert_array_equal(kl_divergence(*pushed), truth)


def test_only_what_is_provably_the_same_bijection_cancels():
    def push(d, *bijections):
        return dist.TransformedDistribution(d, [*bijections])

    q, p = dist.Normal(0.0, 1.0), dist.Normal(1.0, 2.0)
    scale, exp = dist.transforms.AffineTransform, dist.transforms.ExpTransform()
    assert closed_form_kl(push(q, scale(0.0, 1.0)), push(p, scale(0.0, 2.0))) is None
    assert closed_form_kl(push(q, exp), push(p, exp, exp)) is None
    assert closed_form_kl(dist.FoldedDistribution(q), dist.FoldedDistribution(p)) is None
    seen = []

    @jax.jit
    def traced(s, t):
        seen.append(closed_form_kl(push(q, scale(0.0, s)), push(p, scale(0.0, t))))
        seen.append(closed_form_kl(push(q, scale(0.0, s)), push(p, scale(0.0, s))))
        return seen[1]

    np.testing.assert_allclose(traced(2.0, 2.0), kl_divergence(q, p))
    assert seen[0] is None


def test_a_pair_of_the_users_own():
    """As the package's docstring has it."""
    before = {**kl_divergence.funcs}

    @kl_divergence.register(dist.HalfNormal, dist.HalfNormal)
    def half_normals(q, p):
        return kl_divergence(dist.Normal(0.0, q.scale), dist.Normal(0.0, p.scale))

    try:
        q, p = (dist.HalfNormal(s * jnp.ones(3)).to_event(1) for s in (1.0, 2.0))
        np.testing.assert_allclose(closed_form_kl(q, p), 3 * (np.log(2) - 3 / 8), rtol=1e-6)
    finally:
        for pair in {*kl_divergence.funcs} - {*before}:
            del kl_divergence.funcs[pair]
        kl_divergence.reorder()
        kl_divergence._cache.clear()


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (dist.Normal(), dist.Gumbel(), "Normal-Laplace, Normal-Normal"),
        (dist.Logistic(0, 1), dist.Logistic(0, 2), "at these parameters; .* Logistic-Normal"),
        (dist.StudentT(3.0), dist.StudentT(3.0), "StudentT-Cauchy"),
        (dist.Kumaraswamy(2.0, 3.0), dist.Beta(2.0, 4.0), "Kumaraswamy-Uniform"),
    ],
)
def test_without_a_closed_form(q, p, message):
    assert closed_form_kl(q, p) is None
    with pytest.raises(UserError, match=message) as caught:
        require_closed_form_kl(q, p)
    assert len(str(caught.value)) < 400


def test_fixed_parameters_stay_known_under_jit():
    @jax.jit
    def traced(x):
        return kl_divergence(dist.StudentT(1.0, x, x), dist.Cauchy(x, 2 * x))

    np.testing.assert_allclose(traced(1.0), np.log(9 / 8), rtol=1e-6)
