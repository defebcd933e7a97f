"""Every prior, posterior, likelihood, network and objective there is keeps its contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import build_model, components

SHAPE, LATENT = (4, 6, 1), 3
BATCH = (np.random.default_rng(0).uniform(size=(5, *SHAPE)) < 0.5).astype(np.float32)
PARTS = {
    "prior": components.names("priors"),
    "posterior": components.names("posteriors"),
    "likelihood": components.names("likelihoods"),
    "decoder": components.names("networks"),
    "encoder": components.names("networks"),
}
CASES = [(role, name) for role, names in PARTS.items() for name in names]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case), scope="module")
def made(request):
    role, name = request.param
    model = build_model(SHAPE, LATENT, **{role: name})
    return model, model.init(jax.random.key(0), BATCH)


def distributions(model, params, x):
    q = model.encode(params, x)
    z = jnp.zeros((*x.shape[:-3], LATENT)) + 0.3
    return {"q": (q, z), "p": (model.decode(params, z), x)}


def test_shapes(made):
    model, params = made
    for name, (distribution, value) in distributions(model, params, BATCH).items():
        assert distribution.log_prob(value).shape == (5,), name
        assert distribution.sample(jax.random.key(0)).shape == value.shape, name
    p, x = distributions(model, params, BATCH)["p"]
    assert p.mean.shape == x.shape
    assert p.support(p.sample(jax.random.key(0))).all()
    assert model.prior(params).event_shape == (LATENT,)
    assert model.prior(params).sample(jax.random.key(0), (7,)).shape == (7, LATENT)


def test_leading_axes_do_what_vmap_does(made):
    model, params = made

    def log_probs(x):
        return {n: d.log_prob(v) for n, (d, v) in distributions(model, params, x).items()}

    together, one_by_one = log_probs(BATCH), jax.vmap(log_probs)(BATCH)
    for name in together:
        np.testing.assert_allclose(together[name], one_by_one[name], rtol=1e-5)


def total(model, params):
    found = distributions(model, params, BATCH).values()
    prior = model.prior(params).log_prob(jnp.full((5, LATENT), 0.3))
    return sum(d.log_prob(v).sum() for d, v in found) + prior.sum()


def test_jit_changes_nothing_and_gradients_are_finite(made):
    model, params = made
    plain = total(model, params)
    jitted = jax.jit(lambda p: total(model, p))
    np.testing.assert_allclose(jitted(params), plain, rtol=1e-5)
    jitted(params)
    assert jitted._cache_size() == 1
    gradient = jax.grad(lambda p: total(model, p))(params)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", components.names("objectives"))
def test_objectives_report_one_bound_an_example(name, small, bits):
    model, params = small
    objective = components.build("objectives", name)
    bound = objective(model, params, jax.random.key(0), bits)
    assert bound.value.shape == (12,)
    assert bound.surrogate.shape == ()
    assert {"log_likelihood", "kl"} <= bound.terms.keys()
    keys = jax.random.split(jax.random.key(0), 12)
    per_example = objective(model, params, keys, bits)
    alone = objective(model, params, keys[3], bits[3])
    np.testing.assert_allclose(per_example.value[3], alone.value, rtol=1e-5)


@pytest.mark.parametrize("name", components.names("priors"))
def test_priors_integrate_to_one(name):
    """Midpoints in u, z = tan(u), so that the grid reaches far and is fine at 0."""
    model = build_model((3,), 2, prior=name)
    params = model.init(jax.random.key(0), jnp.zeros((2, 3)))
    n = 2000
    u = (np.arange(n) + 0.5) / n * np.pi - np.pi / 2
    z, volume = np.tan(u), (1 + np.tan(u) ** 2) * np.pi / n
    density = jnp.exp(model.prior(params).log_prob(jnp.stack(jnp.meshgrid(z, z), -1)))
    np.testing.assert_allclose((density * volume[:, None] * volume[None, :]).sum(), 1, rtol=1e-3)


def test_a_mixture_has_its_weights():
    import scipy.stats

    model = build_model((3,), 1, prior="mixture(components=2)")
    own = {"loc": jnp.array([[-1.0], [2.0]]), "log_scale": jnp.log(jnp.array([[0.5], [1.5]])),
           "logits": jnp.log(jnp.array([0.2, 0.8]))}  # fmt: skip
    z = np.linspace(-3, 4, 9)
    expected = 0.2 * scipy.stats.norm.pdf(z, -1, 0.5) + 0.8 * scipy.stats.norm.pdf(z, 2, 1.5)
    found = model.prior({"prior": own}).log_prob(jnp.asarray(z)[:, None])
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-5)


@pytest.mark.parametrize("scale", ["0.3", "'learned'", "'learned_per_element'"])
def test_normal_likelihood_equals_scipy(scale):
    import scipy.stats

    model = build_model((4,), 2, likelihood=f"normal(scale={scale})")
    x = jax.random.normal(jax.random.key(0), (9, 4))
    params = model.init(jax.random.key(1), x)
    p = model.decode(params, jnp.ones((9, 2)))
    spread = 0.3 if scale == "0.3" else float(np.std(x)) + 2e-3
    expected = scipy.stats.norm(np.asarray(p.mean), spread).logpdf(x).sum(1)
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-4)
    learned = len(jax.tree.leaves(params["likelihood"]))
    assert learned == (0 if scale == "0.3" else 1)
