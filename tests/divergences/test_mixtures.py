"""Closed-form approximations and bounds of KL between mixtures of normals."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as d
import pytest
import scipy.optimize
import scipy.special
import scipy.stats as st

from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.divergences import closed_form_kl
from vae_jax.divergences.mixtures import mixture_approximations
from vae_jax.divergences.whitening import log_det, whitening
from vae_jax.errors import UserError

GRID = np.linspace(-40, 40, 20_001)
INEXACT_FOR_ONE = {"product", "durrieu_lower", "durrieu_upper"}
approximations = jax.jit(mixture_approximations)


def random_mixtures(seed, batch, components, dimensions):
    """A batch of mixtures of full normals; weights, means and factors in float64 besides."""
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(components), batch)
    loc = 2 * rng.normal(size=(batch, components, dimensions))
    factor = 0.4 * np.tril(rng.normal(size=(*loc.shape, dimensions)), -1)
    factor = factor + np.exp(0.4 * rng.normal(size=loc.shape))[..., None] * np.eye(dimensions)
    normals = d.MultivariateNormal(
        jnp.asarray(loc, jnp.float32), scale_tril=jnp.asarray(factor, jnp.float32)
    )
    mixing = d.Categorical(probs=jnp.asarray(weight, jnp.float32))
    return d.MixtureSameFamily(mixing, normals), (weight, loc, factor)


def log_density(weight, loc, factor):
    """Of one-dimensional mixtures on the grid, by SciPy, `[batch, points]`."""
    each = st.norm.logpdf(GRID, loc, factor[..., 0])  # [batch, components, points]
    return scipy.special.logsumexp(np.log(weight)[..., None] + each, axis=1)


def assert_on_the_right_side(bounds, kl, error):
    for name, bound in bounds.items():
        if name.endswith("upper"):
            assert (bound > kl - error).all(), name
        if name.endswith("lower"):
            assert (bound < kl + error).all(), name
    assert (bounds["variational_upper"] <= bounds["convexity_upper"] + 1e-4).all()


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(1, 3), (4, 2)])
def test_bounds_hold_in_one_dimension(a, b):
    """A hundred random settings each; 1e-4 relative for float32, the quadrature is exact."""
    (q, of_q), (p, of_p) = random_mixtures(a, 100, a, 1), random_mixtures(10 + b, 100, b, 1)
    log_q, log_p = log_density(*of_q), log_density(*of_p)
    kl = (np.exp(log_q) * (log_q - log_p)).sum(-1) * (GRID[1] - GRID[0])
    bounds = approximations(q, p)
    assert_on_the_right_side(bounds, kl, 1e-4 * (1 + kl))


@pytest.mark.slow
def test_every_formula_by_quadrature():
    """With K, t, B and H of normals from sums over the grid, and log densities from SciPy."""
    (q, of_q), (p, of_p) = random_mixtures(5, 1, 3, 1), random_mixtures(6, 1, 2, 1)
    w, v = of_q[0][0], of_p[0][0]
    log_f, log_g = (st.norm.logpdf(GRID, m[0], s[0, ..., 0]) for _, m, s in (of_q, of_p))
    f, g, step = np.exp(log_f), np.exp(log_g), GRID[1] - GRID[0]
    entropy = -(f * log_f).sum(1) * step

    def kl(log_b):
        return step * (f * log_f).sum(1)[:, None] - step * f @ log_b.T

    a_ff, a_fg, b_ff = step * f @ f.T, step * f @ g.T, step * np.sqrt(f) @ np.sqrt(f).T
    e_ff, e_fg = np.exp(-kl(log_f)), np.exp(-kl(log_g))
    mean, sd = zip(*(matched(*each) for each in ((w, f), (v, g))), strict=True)
    log_gaussian = [st.norm.logpdf(GRID, m, s) for m, s in zip(mean, sd, strict=True)]
    m, s = of_q[1][0, :, 0], of_q[2][0, :, 0, 0]
    ratio = np.interp([m - s, m + s], GRID, np.log(w @ f) - np.log(v @ g))
    expected = {
        "gaussian": (np.exp(log_gaussian[0]) * np.subtract(*log_gaussian)).sum() * step,
        "minimum": kl(log_g).min(),
        "unscented": ratio.mean(0) @ w,
        "product": w @ np.log(a_ff @ w / (a_fg @ v)),
        "variational": w @ np.log(e_ff @ w / (e_fg @ v)),
        "convexity_upper": w @ kl(log_g) @ v,
        "durrieu_lower": w @ (np.log(e_ff @ w / (a_fg @ v)) - entropy),
        "durrieu_upper": w @ (np.log(a_ff @ w / (e_fg @ v)) + entropy),
        "pairwise_upper": w @ np.log(b_ff @ w / (e_fg @ v)),
    }
    values = approximations(q, p)
    assert set(values) == {*expected, "variational_upper"}
    for name, value in expected.items():
        np.testing.assert_allclose(values[name][0], value, rtol=2e-5, atol=2e-5, err_msg=name)


def matched(weight, densities):
    """Mean and standard deviation of a mixture on the grid."""
    mass = weight @ densities * (GRID[1] - GRID[0])
    mean = mass @ GRID
    return mean, np.sqrt(mass @ (GRID - mean) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize(("dimensions", "a", "b"), [(2, 3, 2), (5, 2, 4)])
def test_bounds_hold_in_several_dimensions(dimensions, a, b):
    """Twenty random settings each, against 20,000 draws in NumPy, in their standard errors."""
    (q, of_q), (p, of_p) = (random_mixtures(s, 20, c, dimensions) for s, c in ((0, a), (1, b)))
    log_ratio = np.stack([sampled_log_ratio(of_q, of_p, i) for i in range(20)])
    kl, error = log_ratio.mean(1), log_ratio.std(1) / np.sqrt(20_000)
    assert_on_the_right_side(approximations(q, p), kl, 5 * error)


def sampled_log_ratio(of_q, of_p, i):
    weight, loc, factor = (x[i] for x in of_q)
    rng = np.random.default_rng(i)
    c = rng.choice(len(weight), 20_000, p=weight)
    z = loc[c] + np.einsum("kij,kj->ki", factor[c], rng.normal(size=(20_000, loc.shape[1])))
    log_q, log_p = (
        scipy.special.logsumexp(
            [np.log(w) + st.multivariate_normal(m, f @ f.T).logpdf(z) for w, m, f in zip(*(x[i] for x in each), strict=True)], axis=0
        )
        for each in (of_q, of_p)
    )  # fmt: skip
    return log_q - log_p


def normals(dimensions):
    """Two of each kind, in a batch of 4."""
    (q, _), (p, _) = (random_mixtures(s, 4, 1, dimensions) for s in (0, 1))
    for each in (q, p):
        full = each.component_distribution
        loc, factor = full.loc[:, 0], full.scale_tril[:, 0]
        diagonal = jnp.diagonal(factor, axis1=-2, axis2=-1)
        yield d.MultivariateNormal(loc, scale_tril=factor), d.Normal(loc, diagonal).to_event(1)


@pytest.mark.slow
def test_of_single_normals_they_are_the_kl():
    for pair in zip(*normals(3), strict=True):
        expected = closed_form_kl(*pair)
        for name, value in approximations(*pair).items():
            if name not in INEXACT_FOR_ONE:
                np.testing.assert_allclose(value, expected, rtol=2e-4, err_msg=name)
            else:
                assert (np.abs(value - expected) > 1e-3).all(), name


@pytest.mark.slow
def test_all_ways_to_write_a_mixture_agree():
    """Diagonal or full, a normal or a mixture of one, `[]` or `[1]`, expanded, low rank."""
    loc, scale = jnp.array([[0.0, 1], [2, -1]]), jnp.array([[1.0, 0.5], [0.7, 2]])
    logits, cov = jnp.array([0.0, 1]), scale[..., None] ** 2 * jnp.eye(2)
    mixing = d.Categorical(logits=logits)
    p = d.Normal(0.5, 1.5).expand([2]).to_event(1)
    expected = approximations(NormalMixture(logits, loc, scale), p)
    low_rank = d.LowRankMultivariateNormal(loc, jnp.zeros((2, 2, 1)), scale**2)
    one = d.MultivariateNormal(jnp.full(2, 0.5), 1.5**2 * jnp.eye(2))
    alone = NormalMixture(jnp.zeros(1), jnp.full((1, 2), 0.5), jnp.full((1, 2), 1.5))
    for q, p in (
        (d.MixtureSameFamily(mixing, d.MultivariateNormal(loc, cov)), one),
        (d.MixtureSameFamily(mixing, low_rank), alone),
    ):
        for name, value in approximations(q, p).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    flat = approximations(d.MixtureSameFamily(mixing, d.Normal(loc[0], 1)), d.Normal(0, 2))
    event = approximations(
        NormalMixture(logits, loc[0][:, None], jnp.ones((2, 1))),
        d.Normal(0, 2).expand([1]).to_event(1),
    )
    for name in flat:
        np.testing.assert_allclose(flat[name], event[name], rtol=1e-5, err_msg=name)


def test_whitening_is_the_inverse_cholesky_factor():
    rng = np.random.default_rng(0)
    factor = np.tril(rng.normal(size=(5, 6, 6)), -1) + np.eye(6)
    whitened = whitening(jnp.asarray(factor @ factor.swapaxes(1, 2), jnp.float32))
    np.testing.assert_allclose(whitened, np.linalg.inv(factor), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(log_det(whitened), 0, atol=1e-3)


@pytest.mark.slow
def test_variational_upper_is_the_least_that_scipy_finds():
    (q, (w, _, _)), (p, (v, _, _)) = random_mixtures(3, 1, 3, 2), random_mixtures(4, 1, 2, 2)
    parts = [m.component_distribution for m in (q, p)]
    kl = [[float(closed_form_kl(*(d.MultivariateNormal(m.loc[0, i], scale_tril=m.scale_tril[0, i]) for m, i in zip(parts, ab, strict=True)))) for ab in ((a, 0), (a, 1))] for a in range(3)]  # fmt: skip

    def bound(free):
        x = w[0][:, None] * scipy.special.softmax(free[:6].reshape(3, 2), 1)
        y = v[0] * scipy.special.softmax(free[6:].reshape(3, 2), 0)
        return (x * (np.array(kl) + np.log(x / y))).sum()

    least = scipy.optimize.minimize(bound, np.zeros(12), tol=1e-10).fun
    assert least < bound(np.zeros(12)) - 0.01
    bound = approximations(q, p)["variational_upper"][0]
    np.testing.assert_allclose(bound, least, rtol=1e-4)


@pytest.mark.slow
def test_gradients_are_finite_differences():
    """The iterated bound's too, though its iterations are not differentiated."""
    logits, loc = jnp.array([0.3, -0.2]), jnp.array([[0.0, 1.0], [2.0, -1.0]])
    p = NormalMixture(jnp.zeros(2), loc + 1, jnp.full((2, 2), 1.5))

    def total(shift):
        bounds = mixture_approximations(NormalMixture(logits, loc * shift, jnp.ones((2, 2))), p)
        return jnp.stack([bounds[name] for name in sorted(bounds)])

    h = 1e-2
    jacobian = jax.jit(jax.jacrev(total))(jnp.float32(1.0))
    difference = (jax.jit(total)(1 + h) - jax.jit(total)(1 - h)) / (2 * h)
    np.testing.assert_allclose(jacobian, difference, atol=5e-3)


@pytest.mark.slow
def test_weights_of_zero_are_no_trouble():
    loc = jnp.array([[0.0], [3.0]])
    q = NormalMixture(jnp.array([0.0, -1e4]), loc, jnp.ones((2, 1)))
    for bounds in (
        mixture_approximations(q, q),
        mixture_approximations(q, d.Normal(loc[0], 1).to_event(1)),
    ):
        for name in set(bounds) - INEXACT_FOR_ONE - {"minimum"}:
            np.testing.assert_allclose(bounds[name], 0, atol=1e-5, err_msg=name)


def test_others_are_refused():
    normal = d.Normal(0, 1)
    for other in (
        d.Laplace(0, 1),
        d.MixtureSameFamily(d.Categorical(logits=jnp.zeros(2)), d.Laplace(jnp.zeros(2), 1)),
    ):
        with pytest.raises(UserError, match="Laplace is no normal"):
            mixture_approximations(normal, other)
