"""Every prior, posterior, likelihood, network and objective there is keeps its contract."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp

from tests.compiled import compiled
from vae_jax import build_model, elbo, iwae
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.flows.made import init_made
from vae_jax.flows.made import made as made_network
from vae_jax.runs import checkpoints
from vae_jax.runs.state import State
from vae_jax.types import Batch

SHAPE, LATENT = (4, 6, 1), 3
BITS = (np.random.default_rng(0).uniform(size=(5, *SHAPE)) < 0.5).astype(np.float32)
FAMILIES = {
    "prior": "priors",
    "posterior": "posteriors",
    "likelihood": "likelihoods",
    "decoder": "networks",
    "encoder": "networks",
}
OF_DIFFUSION = ("denoising", "diffused", "inverted", "identity", "unet")  # tests/layers
CASES = [
    (role, name)
    for role, family in FAMILIES.items()
    for name in components.names(family)
    if name not in OF_DIFFUSION
]
NAMES = {"ids": lambda case: "-".join(case)}
SMALL = {"encoder": "mlp(hidden=(8,))", "decoder": "mlp(hidden=(8,))"}
FEW = {"layers": 2, "hidden": (8,), "channels": (4,), "blocks": 1, "components": 3}  # where there
PARTNERS = {"uniform": {"posterior": "logit_normal"}}  # a box wants a posterior that stays in it


def moved(params, key):
    """Parameters away from their start, where a flow is the identity and a mean 0."""
    flat, unflatten = ravel_pytree(params)
    return unflatten(flat + 0.1 * jax.random.normal(key, flat.shape, flat.dtype))


def few(role, name):
    """The component, small: what there is of layers and units takes long to compile."""
    known = components.options(components.find(FAMILIES[role], name))
    return str(components.Call(name, {k: v for k, v in FEW.items() if k in known}))


@functools.cache
def example_of(role, name, latent_dim=LATENT):
    """The model, parameters, five examples drawn from it and their z, by one compiled program."""
    parts = {**SMALL, **PARTNERS.get(name, {}), role: few(role, name)}
    model = build_model(SHAPE, latent_dim, **parts)

    params = model.init(jax.random.key(0), BITS)
    for part in ("prior", "posterior", "encoder"):
        params[part] = moved(params[part], jax.random.key(1))

    @jax.jit
    def draw(params):
        z = model.prior(params).sample(jax.random.key(2), (5,))
        return model.decode(params, z).sample(jax.random.key(3)), z

    return model, params, *draw(params)


def log_densities(model, params, x, z):
    """Log densities `[...]` of q, p and the prior, and of a draw z ~ q in both ways to compute it."""
    q = model.encode(params, x)
    drawn, intermediates = q.sample_with_intermediates(jax.random.key(4))
    known = q.log_prob(drawn, intermediates) if intermediates else q.log_prob(drawn)
    inside = jnp.tanh(z)  # where every posterior reaches
    return {
        "q": q.log_prob(inside),
        "p": model.decode(params, z).log_prob(x),
        "prior": model.prior(params).log_prob(z),
        "known": known,
        "again": q.log_prob(drawn),
    }


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_shapes_supports_and_leading_axes(case):
    model, params, x, z = example_of(*case)

    @jax.jit
    def everything(params, x, z):
        p, q, prior = model.decode(params, z), model.encode(params, x), model.prior(params)
        assert p.mean.shape == x.shape == (5, *SHAPE)
        assert p.mean.dtype == x.dtype == jnp.float32
        assert prior.event_shape == q.event_shape == (LATENT,)
        assert q.batch_shape == p.batch_shape == (5,)
        assert prior.batch_shape == ()
        assert q.sample(jax.random.key(0), (7,)).shape == (7, 5, LATENT)
        one_by_one = jax.vmap(functools.partial(log_densities, model), (None, 0, 0))(params, x, z)
        from_vmap = jax.vmap(model.decode, (None, 0))(params, z)
        assert from_vmap.log_prob(x).shape == (5,)
        twice = log_densities(model, params, jnp.stack([x, x]), jnp.stack([z, z]))
        return p.support(x), one_by_one, twice

    in_support, one_by_one, twice = everything(params, x, z)
    assert in_support.all()
    assert model.accepts(x).all()
    for name in ("q", "p", "prior"):
        assert twice[name].shape == (2, 5)
        for together in twice[name]:
            np.testing.assert_allclose(one_by_one[name], together, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(twice["known"], twice["again"], rtol=1e-3, atol=1e-3)
    everything(params, x + 0, z + 0)
    assert everything._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, **NAMES)
def test_gradients_equal_finite_differences(case):
    """In float64, along a random direction of all parameters and of z."""
    model, params, x, z = example_of(*case)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, z))
        x = jnp.asarray(x, jnp.float64)

        def total(params, z):
            return sum(term.sum() for term in log_densities(model, params, x, z).values())

        @jax.jit
        def slopes(wide):
            way = moved(jax.tree.map(jnp.zeros_like, wide), jax.random.key(5))

            def along(step):
                return total(*jax.tree.map(lambda a, b: a + step * b, wide, way))

            gradient = jax.grad(total, (0, 1))(*wide)
            products = jax.tree.map(lambda a, b: (a * b).sum(), gradient, way)
            return (along(1e-5) - along(-1e-5)) / 2e-5, sum(jax.tree.leaves(products))

        difference, gradient = slopes(wide)
    np.testing.assert_allclose(gradient, difference, rtol=1e-4, atol=1e-4)


@pytest.mark.slow  # each operation by itself
@pytest.mark.parametrize("case", CASES, **NAMES)
def test_jit_changes_nothing(case):
    model, params, x, z = example_of(*case)
    jitted = jax.jit(functools.partial(log_densities, model))(params, x, z)
    plain = log_densities(model, params, x, z)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3), jitted, plain)


def plane(n=400):
    """Midpoints in u, z = tan(u): they reach far and are fine at 0; points, and their areas."""
    u = (np.arange(n) + 0.5) / n * np.pi - np.pi / 2
    z, length = np.tan(u), (1 + np.tan(u) ** 2) * np.pi / n
    grid = np.stack(np.meshgrid(z, z, indexing="ij"), -1)
    return jnp.asarray(grid, jnp.float32), length[:, None] * length[None, :]


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in ("prior", "posterior")], **NAMES)
def test_densities_integrate_to_one_and_are_those_of_the_draws(case):
    """E cos(t . z) and E sin(t . z) of the density, by quadrature, and of draws, in their errors.

    Three t of two functions for each part, at 6.5 standard errors: a family-wise error below 1e-8.
    """
    model, params, x, _ = example_of(*case, latent_dim=2)
    grid, area = plane()

    @jax.jit
    def density_and_draws(params, grid):
        part = model.prior(params) if case[0] == "prior" else model.encode(params, x[0])
        return part.log_prob(grid), part.sample(jax.random.key(7), (40_000,))

    log_density, draws = density_and_draws(params, grid)
    mass = np.exp(np.asarray(log_density, np.float64)) * area
    bounded = case[1] in ("uniform", "logit_normal")  # with an edge, or steep near one
    np.testing.assert_allclose(mass.sum(), 1, atol=0.01 if bounded else 1e-3)
    for t in ([0.5, 0.0], [0.3, -0.8], [1.0, 1.5]):
        for wave in (np.cos, np.sin):
            expected = (mass * wave(np.asarray(grid) @ t)).sum() / mass.sum()
            values = wave(np.asarray(draws) @ t)
            error = values.std() / np.sqrt(len(values)) + (3e-3 if bounded else 1e-4)
            assert abs(values.mean() - expected) < 6.5 * error, (t, wave)


@pytest.mark.parametrize("name", [name for role, name in CASES if role == "posterior"])
def test_posteriors_are_finite_whatever_the_encoder_says(name):
    """Values and gradients, of the KL in closed form or layer by layer, and of the sampled one."""
    prior = "uniform" if name == "logit_normal" else "standard_normal"
    parts = {"encoder": "linear", "decoder": "linear", "posterior": few("posterior", name)}
    model = build_model((4,), 3, prior=prior, **parts)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((2, 4)))

    @functools.partial(jax.jit, static_argnums=1)
    @jax.value_and_grad
    def bound(bias, kl):
        encoder = {"Dense_0": {**params["encoder"]["Dense_0"], "bias": bias}}
        at = {**params, "encoder": encoder}
        return elbo(model, at, jax.random.key(1), jnp.zeros((2, 4)), kl=kl).surrogate

    for kl, size in itertools.product(("auto", "sampled"), (-80.0, -40.0, 40.0, 80.0)):
        value, gradient = bound(jnp.full(len(params["encoder"]["Dense_0"]["bias"]), size), kl)
        assert np.isfinite(value), (kl, size, value)
        assert np.isfinite(gradient).all(), (kl, size, gradient)


@pytest.mark.parametrize("name", [name for role, name in CASES if role == "prior"])
def test_priors_are_finite_far_away(name):
    model, params, _, _ = example_of("prior", name)
    far = 0.999 if name == "uniform" else 1e3
    log_prob = jax.jit(jax.value_and_grad(model.prior(params).log_prob))
    for sign in (-far, far):
        value, slope = log_prob(jnp.full(LATENT, sign))
        assert jnp.isfinite(value), sign
        assert jnp.isfinite(slope).all(), sign


@pytest.mark.slow
def test_parameters_survive_a_checkpoint(tmp_path):
    rng, params = np.random.default_rng(0), {}
    for role, name in CASES:
        init = build_model(SHAPE, LATENT, **{**SMALL, role: name}).init
        shapes = jax.eval_shape(init, jax.random.key(0), BITS)
        filled = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
        params[f"{role}-{name}"] = jax.tree.map(jnp.asarray, filled)
    state = State(jnp.int32(1), params, (), ())
    with checkpoints.opened(tmp_path, write=True) as manager:
        checkpoints.save(manager, 1, state, 0.0)
    with checkpoints.opened(tmp_path) as manager:
        _, restored = checkpoints.restore(manager, state, "last")
    jax.tree.map(np.testing.assert_array_equal, restored.params, params)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("standard_normal", scipy.stats.norm()),
        ("normal(loc=0.5, scale=2.0)", scipy.stats.norm(0.5, 2)),
        ("laplace(scale=0.7)", scipy.stats.laplace(0, 0.7)),
        ("logistic(loc=-1.0)", scipy.stats.logistic(-1)),
        ("student_t(df=3.0, scale=2.0)", scipy.stats.t(3, 0, 2)),
        ("uniform(low=-3.0, high=4.0)", scipy.stats.uniform(-3, 7)),
    ],
)
@pytest.mark.parametrize("learned", [True, False])
def test_priors_of_numbers_are_scipys(prior, expected, learned):
    if "(" in prior and "uniform" not in prior:
        prior = components.replace(prior, "learned", str(learned))
    model = build_model((3,), 2, prior=prior)
    params = model.init(jax.random.key(0), jnp.zeros((2, 3)))
    z = np.linspace(-2.5, 2.5, 14).reshape(7, 2)
    log_p = model.prior(params).log_prob(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(log_p, expected.logpdf(z).sum(1), rtol=1e-5)
    is_learned = learned and "learned" in prior
    assert len(jax.tree.leaves(params["prior"])) == (2 if is_learned else 0)


@pytest.mark.slow
def test_every_dimension_of_an_iaf_layer_sees_the_encoder():
    params = moved(init_made(jax.random.key(0), 4, 2, (9, 9), 3), jax.random.key(1))
    seen = jax.jacfwd(lambda context: made_network(params, jnp.ones(4), context))(jnp.ones(3))
    assert (np.abs(seen).sum(-1) > 0).all()


def test_a_narrow_masked_layer_loses_no_input():
    params = moved(init_made(jax.random.key(0), 20, 1, (5,)), jax.random.key(1))
    last = jax.grad(lambda z: made_network(params, z)[-1, 0])(jnp.ones(20))
    assert (last[:-1] != 0).all()
    assert last[-1] == 0


@compiled
def mean_of_posteriors(model, params, batch, z):
    return logsumexp(model.encode(params, batch).log_prob(z), 1) - np.log(len(batch))


@compiled
def prior_of(model, params, z):
    return model.prior(params).log_prob(z)


def test_a_vamp_is_the_mean_of_posteriors_of_examples():
    batch = jax.random.normal(jax.random.key(0), (30, 4))
    for learned, posterior in (
        (True, "diag_normal"),
        (False, "diag_normal"),
        (False, "logit_normal"),
    ):
        prior = f"vamp(components=30, learned={learned})"
        model = build_model((4,), 2, prior=prior, posterior=posterior, **SMALL)
        params = jax.jit(model.init)(jax.random.key(1), batch)
        z = jnp.tanh(jax.random.normal(jax.random.key(2), (6, 1, 2)))
        expected = mean_of_posteriors(model, params, batch, z)
        np.testing.assert_allclose(
            prior_of(model, params, z[:, 0]), expected, atol=0.03 if learned else 1e-4
        )
        gradient = jax.jit(jax.grad(lambda p, m=model, z=z: m.prior(p).log_prob(z).sum()))(params)
        inputs = gradient["prior"]["inputs" if learned else "untrained"]
        assert bool((inputs != 0).all()) == learned
        assert any((leaf != 0).any() for leaf in jax.tree.leaves(gradient["encoder"]))


@pytest.mark.slow
@pytest.mark.parametrize(("loc", "scale"), [(-20.0, 0.05), (17.0, 0.05), (30.0, 0.05)])
@pytest.mark.parametrize("gradient", ["standard", "stl", "dreg"])
def test_a_posterior_at_the_end_of_its_box_reports_a_bound(loc, scale, gradient):
    """log p(x) is at most 3 log N(0; 0, 0.5^2), whatever the model."""
    model = build_model((3,), 1, prior="uniform", posterior="logit_normal", encoder="linear",
                        likelihood="normal(scale=0.5)")  # fmt: skip
    params = model.init(jax.random.key(0), jnp.zeros((2, 3)))
    params["encoder"] = jax.tree.map(jnp.zeros_like, params["encoder"])
    layer = params["encoder"]["Dense_0"]
    layer["bias"] = jnp.array([loc, jnp.log(scale)])

    def loss(params):
        key, x = jax.random.key(1), jnp.zeros((4, 3))
        bound = iwae(model, params, key, x, num_samples=8, gradient=gradient)
        return bound.surrogate, bound.value

    slopes, value = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert (value < 3 * scipy.stats.norm(0, 0.5).logpdf(0)).all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.slow
def test_a_mixture_has_its_weights():
    model = build_model((3,), 1, prior="mixture(components=2)")
    branch = {"loc": jnp.array([[-1.0], [2.0]]), "log_scale": jnp.log(jnp.array([[0.5], [1.5]])),
           "logits": jnp.log(jnp.array([0.2, 0.8]))}  # fmt: skip
    z = np.linspace(-3, 4, 9)
    expected = 0.2 * scipy.stats.norm.pdf(z, -1, 0.5) + 0.8 * scipy.stats.norm.pdf(z, 2, 1.5)
    log_p = model.prior({"prior": branch}).log_prob(jnp.asarray(z)[:, None])
    np.testing.assert_allclose(log_p, np.log(expected), rtol=1e-5)


def test_a_model_without_conditions_refuses_one(small, bits):
    model, params = small
    batch = Batch(jnp.asarray(bits), given=jnp.ones(3))
    with pytest.raises(UserError, match=r"batch\.given"):
        model.encode(params, batch)
    with pytest.raises(UserError, match=r"batch\.given"):
        model.prior(params, jnp.ones(3))
    with pytest.raises(UserError, match=r"batch\.given"):
        model.decode(params, jnp.zeros(2), jnp.ones(3))


def test_a_batch_is_its_x_where_nothing_else_is_there(small, bits):
    model, params = small
    q, same = model.encode(params, bits), model.encode(params, Batch(jnp.asarray(bits)))
    np.testing.assert_array_equal(q.mean, same.mean)
    key = jax.random.key(0)
    values = [
        iwae(model, params, key, x, num_samples=2).value for x in (bits, Batch(jnp.asarray(bits)))
    ]
    np.testing.assert_array_equal(*values)
