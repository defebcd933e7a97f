"""Draws by the inverse CDF, Latin hypercubes and Sobol points."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as d
import pytest
import scipy.stats as st

from vae_jax.config import components
from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.flows.affine_autoregressive import AffineAutoregressive
from vae_jax.flows.layers import reversing
from vae_jax.kl_estimators._uniforms import (
    from_uniforms,
    num_uniforms,
    uniforms,
    with_intermediates,
)
from vae_jax.kl_estimators.quasi_monte_carlo import scrambled_sobol, sobol
from vae_jax.kl_estimators.stratified import latin_hypercubes

ENDS = 2.0**-24, 1 - 2.0**-24  # the least and the greatest there are
U = np.concatenate([[ENDS[0], 2.0**-20], np.arange(1, 32) / 32 + 2.0**-24, [ENDS[1]]])
UNIVARIATE = {
    "normal": (d.Normal(0.3, 2.0), st.norm(0.3, 2)),
    "laplace": (d.Laplace(0.3, 2.0), st.laplace(0.3, 2)),
    "logistic": (d.Logistic(0.3, 2.0), st.logistic(0.3, 2)),
    "uniform": (d.Uniform(-1.0, 3.0), st.uniform(-1, 4)),
    "cauchy": (d.Cauchy(0.3, 2.0), st.cauchy(0.3, 2)),
    "gumbel": (d.Gumbel(0.3, 2.0), st.gumbel_r(0.3, 2)),
    "exponential": (d.Exponential(0.5), st.expon(scale=2)),
    "half_normal": (d.HalfNormal(2.0), st.halfnorm(scale=2)),
    "half_cauchy": (d.HalfCauchy(2.0), st.halfcauchy(scale=2)),
    "log_normal": (d.LogNormal(0.3, 0.5), st.lognorm(0.5, scale=np.exp(0.3))),
    "student_0.5": (d.StudentT(0.5), st.t(0.5)),
    "student_1": (d.StudentT(1.0), st.t(1)),
    "student_3": (d.StudentT(3.0, 0.3, 2.0), st.t(3, 0.3, 2)),
    "student_30": (d.StudentT(30.0), st.t(30)),
}


@pytest.mark.parametrize("name", UNIVARIATE)
def test_equals_scipy(name):
    """Student's is by a cdf that float32 gives to about 1e-6, near 1/2 in its middle."""
    q, scipy_q = UNIVARIATE[name]
    assert num_uniforms(q) == 1
    draws = from_uniforms(q, jnp.asarray(U, jnp.float32)[:, None])
    tolerance = 5e-5 if "student" in name else 1e-6
    np.testing.assert_allclose(draws, scipy_q.ppf(U), rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_uniforms_are_inside_and_symmetric():
    u = uniforms(jax.random.key(0), (2**22,))
    assert (u.min() > 0) & (u.max() < 1)
    np.testing.assert_array_equal(1 - (1 - u), u)
    assert st.kstest(np.asarray(u), "uniform").pvalue > 1e-3


def iaf():
    keys = jax.random.split(jax.random.key(0), 2)
    layers = [AffineAutoregressive(AffineAutoregressive.init(k, 3, (8,))) for k in keys]
    for i, layer in enumerate(layers):
        noise = jax.random.normal(keys[i], (1000,))
        layer.params = jax.tree.map(
            lambda w, n=noise: w + 0.3 * n[: w.size].reshape(w.shape), layer.params
        )
    return d.TransformedDistribution(
        d.Normal(jnp.arange(3.0), 1).to_event(1), reversing(layers, 3)[:-1]
    )


LOWER = jnp.array([[1.0, 0, 0], [0.5, 2, 0], [-1, 0.3, 0.5]])
LOC = jnp.array([[-2.0, 0, 1], [2, 1, 0]])
MULTIVARIATE = {
    "independent": d.Laplace(jnp.arange(3.0), jnp.array([1.0, 2, 3])).to_event(1),
    "expanded": d.Normal(1, 2).expand([3]).to_event(1),
    "multivariate_normal": d.MultivariateNormal(jnp.arange(3.0), scale_tril=LOWER),
    "cholesky_normal": CholeskyNormal(jnp.arange(3.0), LOWER),
    "low_rank_normal": d.LowRankMultivariateNormal(
        jnp.arange(3.0), LOWER[:, :2], jnp.array([1.0, 2, 3])
    ),
    "normal_mixture": NormalMixture(jnp.array([0.0, 1]), LOC, jnp.exp(0.3 * LOC)),
    "mixture_of_full": d.MixtureSameFamily(
        d.Categorical(probs=jnp.array([0.2, 0.8])),
        d.MultivariateNormal(LOC, scale_tril=LOWER),
    ),
    "mixture_of_laplace": d.MixtureSameFamily(
        d.Categorical(probs=jnp.array([0.2, 0.8])), d.Laplace(LOC, 1.0).to_event(1)
    ),
    "log_normal": d.LogNormal(jnp.arange(3.0), 0.5).to_event(1),
    "iaf": iaf(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MULTIVARIATE)
def test_moments_and_density_are_those_of_q(name):
    """Means of z, z z' and log q over 2^13 Sobol points against 200,000 draws by q itself.

    And the log density through intermediates is the one without.
    """
    q = MULTIVARIATE[name]
    u = scrambled_sobol(jax.random.key(0), 13, (num_uniforms(q),))
    z, intermediates = jax.jit(lambda u: with_intermediates(q, u))(u)
    assert z.shape == (2**13, 3)
    if intermediates:
        known = jax.jit(q.log_prob)(z, intermediates)
        np.testing.assert_allclose(known, jax.jit(q.log_prob)(z), atol=2e-4)

    def statistics(z):
        log_q = np.asarray(jax.jit(q.log_prob)(z))[:, None]
        z = np.asarray(z, float)
        return np.concatenate([z, (z[:, :, None] * z[:, None, :]).reshape(-1, 9), log_q], 1)

    drawn = statistics(jax.jit(lambda key: q.sample(key, (200_000,)))(jax.random.key(1)))
    error = drawn.std(0) / np.sqrt(len(drawn))
    difference = statistics(z).mean(0) - drawn.mean(0)
    assert (np.abs(difference) < 5 * np.sqrt(2) * error).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (4, 2)])
def test_batch_axes(shape):
    """Every element of a batch gets its own uniforms and its own parameters."""
    loc = jax.random.normal(jax.random.key(0), (*shape, 3))
    mixture = d.MixtureSameFamily(d.Categorical(logits=jnp.zeros((*shape, 3))), d.Normal(loc, 0.1))
    vectors = d.MixtureSameFamily(
        d.Categorical(logits=jnp.zeros((*shape, 2))),
        d.Normal(jnp.stack([loc, loc + 3], -2), 0.1).to_event(1),
    )
    expanded = CholeskyNormal(jnp.zeros(3), jnp.eye(3)).expand(shape)
    for q in (d.Normal(loc, 1.0).to_event(1), mixture, vectors, expanded):
        u = uniforms(jax.random.key(1), (50, *q.batch_shape, num_uniforms(q)))
        z, intermediates = with_intermediates(q, u)
        assert z.shape == (50, *shape, *q.event_shape)
        assert (q.log_prob(z, intermediates) if intermediates else q.log_prob(z)).shape == (
            50,
            *shape,
        )
    u = uniforms(jax.random.key(1), (50, *shape, 2))
    c = np.floor(3 * np.asarray(u[..., 0])).astype(int)
    expected = np.take_along_axis(np.broadcast_to(loc, (50, *shape, 3)), c[..., None], -1)[..., 0]
    expected = expected + 0.1 * st.norm.ppf(u[..., 1])
    draws = jax.jit(lambda u: from_uniforms(mixture, u))(u)
    np.testing.assert_allclose(draws, expected, atol=1e-5)


def test_a_flow_is_not_inverted(monkeypatch):
    q = iaf()
    monkeypatch.setattr(AffineAutoregressive, "_inverse", lambda *_: pytest.fail("inverted"))
    for name in set(components.names("kl_estimators")) - {"partly_analytic"}:
        estimator = components.find("kl_estimators", name)
        p = d.Normal(jnp.zeros(3), 3).to_event(1)
        jax.eval_shape(lambda key, e=estimator, p=p: e(key, q, p, 256), jax.random.key(0))
    with pytest.raises(pytest.fail.Exception, match="inverted"):
        jax.eval_shape(q.log_prob, jnp.zeros(3))


def test_users_may_register_a_type():
    class Triangular(d.Normal):  # its own draws are of no interest here
        pass

    from_uniforms.register(Triangular, lambda q, u: jnp.sqrt(u[..., 0]))
    q = Triangular(0.0, jnp.ones(2)).to_event(1)
    np.testing.assert_allclose(from_uniforms(q, jnp.array([[0.25, 0.81]])), [[0.5, 0.9]])


def test_latin_hypercubes_fill_every_cell_once():
    u = np.asarray(latin_hypercubes(jax.random.key(0), (3, 16, 2, 5)))
    cells = np.sort(np.floor(16 * u), axis=1)
    np.testing.assert_array_equal(cells, np.broadcast_to(np.arange(16)[:, None, None], u.shape))
    orders = np.argsort(u, axis=1).transpose(0, 2, 3, 1).reshape(-1, 16)
    assert len(np.unique(orders, axis=0)) == 30  # a permutation for each


@pytest.mark.parametrize("bits", [0, 1, 4, 7])
def test_scrambled_sobol_points_are_a_net(bits):
    """In the first two dimensions every elementary box of volume 2^-bits holds one point (Sobol')."""
    n = 2**bits
    for points in (sobol(3, bits) / 2.0**32, *np.moveaxis(scrambled(bits), 1, 0)):
        for i in range(bits + 1):
            boxes = np.floor(points[:, :2] * [2**i, n / 2**i])
            assert len(np.unique(boxes, axis=0)) == n
        for j in range(3):
            assert len(np.unique(np.floor(n * points[:, j]))) == n


def scrambled(bits, count=5):
    return np.asarray(scrambled_sobol(jax.random.key(0), bits, (count, 3)), float)


def test_every_scrambled_point_is_uniform_and_no_two_are_alike():
    u = scrambled(3, 20_000)
    assert 0 < u.min() < u.max() < 1
    for point in u:
        for coordinate in point.T:
            assert st.kstest(coordinate, "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(u[2, :, 0], u[2, :, 1])[0, 1]) < 5 / np.sqrt(20_000)
