"""Transforms against their Jacobians and inverses; mixtures and normals against other programs."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats

from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.flows.affine_autoregressive import AffineAutoregressive
from vae_jax.flows.affine_coupling import AffineCoupling
from vae_jax.flows.householder import Householder
from vae_jax.flows.made import init_made, made
from vae_jax.flows.planar import Planar

D = 5
KEYS = jax.random.split(jax.random.key(0), 6)


def noisy(params):
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(KEYS[0], len(leaves))
    noise = [0.7 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, [a + b for a, b in zip(leaves, noise, strict=True)])


def coupling(dimensions=D):
    network = AffineCoupling.make_network(dimensions, (7,))
    return AffineCoupling(network, noisy(AffineCoupling.init(network, KEYS[1], dimensions)))


def autoregressive(dimensions=D):
    context = jax.random.normal(KEYS[2], (3,))
    return AffineAutoregressive(
        noisy(AffineAutoregressive.init(KEYS[1], dimensions, (8, 6), 3)), context
    )


def planar(u_along_w):
    """With w . u far below -1 the layer could not be inverted but for the correction of u."""
    w = jax.random.normal(KEYS[1], (D,))
    return Planar(jax.random.normal(KEYS[2], (D,)) + u_along_w * w, w, jnp.float32(0.3))


TRANSFORMS = {
    "coupling": coupling(),
    "coupling of one": coupling(1),
    "autoregressive": autoregressive(),
    "autoregressive of one": autoregressive(1),
    "householder": Householder(jax.random.normal(KEYS[1], (D,))),
    "planar": planar(0.5),
    "planar, corrected": planar(-3.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_jacobian_and_inverse(name):
    transform = TRANSFORMS[name]
    size = 1 if name.endswith("one") else D
    x = 1.5 * jax.random.normal(KEYS[3], (4, size))

    @jax.jit
    def everything(x):
        y, known = transform.call_with_intermediates(x)
        one_pass = transform.log_abs_det_jacobian(x, y, known)
        apart = transform.log_abs_det_jacobian(x, y)
        back = jax.vmap(jax.jacfwd(transform.inv))(y)
        return y, transform.inv(y), one_pass, apart, jax.vmap(jax.jacfwd(transform))(x), back

    y, x_again, one_pass, apart, jacobian, back = everything(x)
    assert not np.allclose(y, x, atol=0.05)
    np.testing.assert_allclose(x_again, x, rtol=1e-3, atol=1e-3)
    expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
    np.testing.assert_allclose(one_pass, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(apart, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(back @ jacobian, np.tile(np.eye(size), (4, 1, 1)), atol=5e-3)


@pytest.mark.slow
def test_a_masked_network_looks_back_only():
    params = noisy(init_made(KEYS[1], D, 2, (11, 9)))
    jacobian = jax.jacfwd(lambda z: made(params, z))(jax.random.normal(KEYS[2], (D,)))
    for j in range(D):
        assert (jacobian[j, :, j:] == 0).all()
        assert (jacobian[j, :, :j] != 0).all()


def test_a_transform_passes_through_jit_and_vmap_as_a_tree():
    x = jax.random.normal(KEYS[3], (4, D))
    transform = jax.jit(lambda t: t)(TRANSFORMS["autoregressive"])
    np.testing.assert_allclose(transform(x), TRANSFORMS["autoregressive"](x), rtol=1e-5)
    many = jax.vmap(lambda t, x: t(x), in_axes=(None, 0))(transform, x)
    np.testing.assert_allclose(many, transform(x), rtol=1e-5)


@pytest.mark.slow
def test_a_normal_mixture_is_numpyros_value_gradient_and_curvature():
    logits, loc = jax.random.normal(KEYS[0], (6,)), 2 * jax.random.normal(KEYS[1], (6, 3))
    scale, z = jnp.exp(jax.random.normal(KEYS[2], (6, 3))), jax.random.normal(KEYS[3], (9, 3))

    def ours(logits, loc, scale, z):
        return NormalMixture(logits, loc, scale).log_prob(z)

    def theirs(logits, loc, scale, z):
        normals = dist.Normal(loc, scale).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), normals).log_prob(z)

    arguments = (logits, loc, scale, z)
    np.testing.assert_allclose(ours(*arguments), theirs(*arguments), rtol=1e-5)
    for derivative in (jax.grad, lambda f, of: jax.hessian(f, of)):
        derivatives, expected = (
            jax.jit(derivative(lambda *a, f=f: f(*a).sum(), (1, 2, 3)))(*arguments)
            for f in (ours, theirs)
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3),
            derivatives,
            expected,
        )


@pytest.mark.slow
def test_a_normal_mixture_stays_exact_far_from_zero():
    """Where the square expanded into products would lose its digits."""
    loc, scale = jnp.full((1, 3), 1e3), jnp.full((1, 3), 1e-2)
    z = loc[0] + jnp.array([0.0, 0.0625, -0.0625])
    expected = scipy.stats.norm.logpdf(np.asarray(z, np.float64), 1e3, 1e-2).sum()
    log_p = NormalMixture(jnp.zeros(1), loc, scale).log_prob(z)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_cholesky_normal_is_scipys():
    factor = jnp.tril(jax.random.normal(KEYS[0], (D, D)), -1) + jnp.diag(jnp.arange(1.0, D + 1))
    loc = jax.random.normal(KEYS[1], (D,))
    ours = CholeskyNormal(loc, factor)
    z, known = ours.sample_with_intermediates(KEYS[2], (8,))
    covariance = np.asarray(factor, np.float64) @ np.asarray(factor, np.float64).T
    expected = scipy.stats.multivariate_normal(loc, covariance).logpdf(z)
    np.testing.assert_allclose(ours.log_prob(z), expected, rtol=1e-4)
    np.testing.assert_allclose(ours.log_prob(z, known), expected, rtol=1e-4)
    draws = ours.sample(KEYS[3], (50_000,))
    error = 6 * np.sqrt(2 / 50_000) * np.outer(*2 * [np.sqrt(np.diag(covariance))])
    assert (np.abs(np.cov(draws.T) - covariance) < error).all()
