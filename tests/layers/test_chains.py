"""Several stochastic layers as one distribution of z: draws, densities, the KL layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import vae_jax
from tests.compiled import compiled
from vae_jax import UserError, build_model
from vae_jax.divergences.layers import kl_by_layer
from vae_jax.kl_estimators.by_layer import by_layer
from vae_jax.kl_estimators.plain import plain

elbo, iwae = map(compiled, (vae_jax.elbo, vae_jax.iwae))
SIZES, WIDTH = (2, 3), 4
POSTERIORS = ("top_down", "bottom_up", "ladder")
LINEAR = {
    "encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.7)",
    "prior": "layered(network=linear)",
}  # fmt: skip
X = np.random.default_rng(0).normal(size=(6, WIDTH)).astype(np.float32)


def moved(params, size=0.3):
    """Parameters away from their start."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    return jax.tree.unflatten(
        tree, [w + size * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys, strict=True)]
    )


def linear_model(posterior, sizes=SIZES, **parts):
    name = {"top_down": "top_down(network=linear)", "bottom_up": "bottom_up(network=linear)"}
    text = name.get(posterior, f"{posterior}(network=linear)")
    model = build_model((WIDTH,), sizes, **{**LINEAR, "posterior": text, **parts})
    return model, constant_scales(moved(jax.jit(model.init)(jax.random.key(0), X)))


def affine(function, size):
    """W and b of an affine function of z `[size]`, in float64."""
    b = np.asarray(function(jnp.zeros(size)), np.float64)
    rows = np.asarray(function(jnp.eye(size)), np.float64)
    return (rows - b).T, b


def joint_normal(chain, sizes):
    """Mean and covariance of a chain of affine normals, the top layer first."""
    order = chain.order
    mean, cov, at = np.zeros(0), np.zeros((0, 0)), []
    for layer in order:
        size = sum(sizes[m] for m in at)

        def loc(before, layer=layer, at=tuple(at)):
            ends = np.cumsum([sizes[m] for m in at])[:-1].tolist()
            parts = jnp.split(before, ends, -1) if at else []
            d = chain.factor(chain.arguments, layer, list(parts))
            return jnp.broadcast_to(d.base_dist.loc, (*before.shape[:-1], sizes[layer]))

        w, b = (
            affine(loc, size)
            if size
            else (np.zeros((sizes[layer], 0)), np.asarray(loc(jnp.zeros(0))))
        )
        before = [jnp.zeros(sizes[m]) for m in at]
        s = np.asarray(chain.factor(chain.arguments, layer, before).base_dist.scale, np.float64)
        cross = cov @ w.T
        cov = np.block(
            [[cov, cross], [cross.T, w @ cov @ w.T + np.diag(np.broadcast_to(s, b.shape) ** 2)]]
        )
        mean = np.concatenate([mean, w @ mean + b])
        at.append(layer)
    places = np.concatenate([np.arange(sum(sizes[:m]), sum(sizes[: m + 1])) for m in at])
    back = np.argsort(places)
    return mean[back], cov[np.ix_(back, back)]


def constant_scales(params):
    """The parameters with networks whose scales do not depend on the layers before."""

    def fixed(branch):
        kernel = branch["kernel"]
        return {**branch, "kernel": kernel.at[:, kernel.shape[1] // 2 :].set(0)}

    def walk(tree):
        if isinstance(tree, dict) and "kernel" in tree:
            return fixed(tree)
        if isinstance(tree, dict):
            return {name: walk(of) for name, of in tree.items()}
        return [walk(of) for of in tree] if isinstance(tree, list) else tree

    named = ("prior", "posterior", "encoder")
    return {**params, **{name: walk(params[name]) for name in named}}


@pytest.fixture(scope="module", params=["top_down", "bottom_up"])
def gaussian(request):
    """A linear-Gaussian model of two layers, and what SciPy says of it."""
    model, params = linear_model(request.param)
    mean, cov = joint_normal(model.prior(params), SIZES)
    w, b = affine(lambda z: model.decode(params, z).mean, sum(SIZES))
    noise = 0.7**2 * np.eye(WIDTH)
    return model, params, mean, cov, w, b, noise


@pytest.mark.slow
def test_log_p_is_that_of_the_normal_it_is(gaussian):
    model, params, mean, cov, w, b, noise = gaussian
    exact = stats.multivariate_normal(w @ mean + b, w @ cov @ w.T + noise).logpdf(X)
    z = model.prior(params).sample(jax.random.key(1), (200_000,))
    weights = np.exp(np.asarray(model.decode(params, z[:, None]).log_prob(X), np.float64))
    error = weights.std(0, ddof=1) / weights.mean(0) / np.sqrt(len(weights))
    np.testing.assert_array_less(np.abs(np.log(weights.mean(0)) - exact), 5 * error + 1e-4)
    assert error.max() < 0.1


@pytest.mark.slow
def test_the_gap_of_the_elbo_is_the_kl_to_the_posterior(gaussian):
    """log p(x) - ELBO = KL(q(z|x) || p(z|x)), both normal over the whole of z."""
    model, params, mean, cov, w, b, noise = gaussian
    marginal = w @ cov @ w.T + noise
    gain = cov @ w.T @ np.linalg.inv(marginal)
    posterior_cov = cov - gain @ w @ cov
    for x in X[:2]:
        posterior_mean = mean + gain @ (x - w @ mean - b)
        q_mean, q_cov = joint_normal(model.encode(params, jnp.asarray(x)), SIZES)
        inverse = np.linalg.inv(posterior_cov)
        apart = posterior_mean - q_mean
        kl = 0.5 * (
            np.trace(inverse @ q_cov) + apart @ inverse @ apart - len(apart)
            + np.linalg.slogdet(posterior_cov)[1] - np.linalg.slogdet(q_cov)[1]
        )  # fmt: skip
        exact = stats.multivariate_normal(w @ mean + b, marginal).logpdf(x)
        keys = jax.random.split(jax.random.key(2), 20_000)
        values = jax.vmap(lambda key, x=x: elbo(model, params, key, x).value)(keys)
        error = float(values.std(ddof=1)) / np.sqrt(len(values))
        assert abs(exact - kl - float(values.mean())) < 5 * error + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_kl_by_layer_is_the_sampled_one_in_expectation(posterior):
    model, params = linear_model(posterior)
    q, p = model.encode(params, X), model.prior(params)
    layered = by_layer(jax.random.key(3), q, p, 20_000)
    sampled = plain(jax.random.key(4), q, p, 20_000)
    error = np.hypot(layered.standard_error, sampled.standard_error)
    np.testing.assert_array_less(np.abs(layered.value - sampled.value), 5 * error)
    if posterior != "bottom_up":  # there the last draw alone has a closed form
        assert (layered.standard_error < sampled.standard_error).all()


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_one_layer_is_the_flat_model_bit_for_bit(posterior):
    chain = build_model((WIDTH,), (5,), **{**LINEAR, "posterior": posterior})
    flat = build_model(
        (WIDTH,), 5, **{**LINEAR, "posterior": "diag_normal", "prior": "standard_normal"}
    )
    key = jax.random.key(5)
    params = [model.init(key, X) for model in (chain, flat)]
    values = [elbo(m, p, key, X).value for m, p in zip((chain, flat), params, strict=True)]
    np.testing.assert_array_equal(*values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "posterior", ["ladder", *(pytest.param(p, marks=pytest.mark.slow) for p in POSTERIORS[:2])]
)
def test_gradients_are_finite_differences(posterior):
    model, params = linear_model(posterior, likelihood="normal")
    direction = moved(jax.tree.map(jnp.zeros_like, params), 1.0)

    def value(step):
        at = jax.tree.map(lambda w, d: w + step * d, params, direction)
        return elbo(model, at, jax.random.key(6), X, num_samples=3).surrogate

    with jax.enable_x64(True):
        params, direction = jax.tree.map(lambda w: w.astype(float), (params, direction))
        slope, size = jax.grad(value)(0.0), 1e-6
        expected = (value(size) - value(-size)) / (2 * size)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_density_of_two_layers_has_mass_one_and_the_density_of_its_draws():
    model, params = linear_model(
        "top_down", sizes=(1, 1), prior="layered(network='mlp(hidden=(8,))')"
    )
    prior = model.prior(params)
    side = jnp.linspace(-12, 12, 801)
    grid = jnp.stack(jnp.meshgrid(side, side, indexing="ij"), -1)
    density = np.exp(np.asarray(prior.log_prob(grid), np.float64))
    cell = float(side[1] - side[0]) ** 2
    assert abs(density.sum() * cell - 1) < 1e-3
    z = np.asarray(prior.sample(jax.random.key(0), (40_000,)))
    for axis in (0, 1):
        expected = (density.sum(1 - axis) * np.asarray(side)).sum() * cell
        error = z[:, axis].std() / np.sqrt(len(z))
        assert abs(z[:, axis].mean() - expected) < 5 * error + 1e-3


@pytest.mark.slow
def test_a_flat_prior_meets_a_layered_posterior_and_the_reverse():
    for parts in ({"prior": "mixture"}, {"posterior": "diag_normal"}):
        named = {**LINEAR, "posterior": "top_down", **parts}
        model = build_model((WIDTH,), SIZES, **named)
        params = jax.jit(model.init)(jax.random.key(0), X)
        sampled = elbo(model, params, jax.random.key(0), X, kl="sampled")
        np.testing.assert_array_equal(
            elbo(model, params, jax.random.key(0), X).value, sampled.value
        )
        assert np.isfinite(iwae(model, params, jax.random.key(0), X, num_samples=5).value).all()
        plainly = elbo(model, params, jax.random.key(0), X, kl="plain").value
        by_layers = elbo(model, params, jax.random.key(0), X, kl="by_layer").value
        np.testing.assert_array_equal(by_layers, plainly)
        with pytest.raises(UserError, match="with the same layers are needed"):
            kl_by_layer(model.encode(params, X), model.prior(params), jnp.zeros(sum(SIZES)))


@pytest.mark.slow
def test_the_top_may_be_any_prior(bits):
    parts = {"encoder": "mlp(hidden=(8,))", "decoder": "mlp(hidden=(8,))", "posterior": "top_down"}
    prior = "layered(top=vamp(components=7))"
    model = build_model((1, 5, 1), (2, 3), prior=prior, **parts)
    params = jax.jit(model.init)(jax.random.key(0), bits)

    @jax.jit
    def densities_of_the_top(params):
        z = model.prior(params).sample(jax.random.key(1), (9,))
        top = model.encode(params, params["prior"]["top"]["inputs"]).first
        each = top.log_prob(z[:, None, :2])
        return model.prior(params).factors(z)[0].log_prob(z[:, :2]), each

    value, each = densities_of_the_top(params)
    np.testing.assert_allclose(value, logsumexp(each, 1) - np.log(7), rtol=1e-5)
    wrong = build_model((1, 5, 1), (2, 3), prior=prior, **{**parts, "posterior": "bottom_up"})
    with pytest.raises(UserError, match="posterior=top_down"):
        wrong.prior(jax.jit(wrong.init)(jax.random.key(0), bits)).sample(jax.random.key(1))


@pytest.mark.slow
def test_the_decoder_sees_the_last_layer_or_all():
    for sees, moves in (("last", False), ("all", True)):
        prior = f"layered(network=linear, decoder_sees='{sees}')"
        model, params = linear_model("top_down", prior=prior)
        z = jnp.zeros(sum(SIZES))
        means = [model.decode(params, z.at[0].set(value)).mean for value in (0.0, 1.0)]
        assert np.array_equal(*means) != moves


@pytest.mark.slow
def test_ladder_is_the_product_of_what_x_and_the_prior_say():
    model, params = linear_model("ladder")
    q, p = model.encode(params, X[0]), model.prior(params)
    z = q.sample(jax.random.key(0))
    seen, said, product = q.arguments[1][1], p.factors(z)[1].base_dist, q.factors(z)[1].base_dist
    loc, scale = np.split(np.asarray(seen, np.float64), 2)
    grid = np.linspace(-30, 30, 200_001)
    for j in range(SIZES[1]):
        of_x = stats.norm(loc[j], np.exp(scale[j])).pdf(grid)
        density = of_x * stats.norm(said.loc[j], said.scale[j]).pdf(grid)
        mean = (density * grid).sum() / density.sum()
        np.testing.assert_allclose(product.loc[j], mean, rtol=1e-4)
        spread = np.sqrt((density * (grid - mean) ** 2).sum() / density.sum())
        np.testing.assert_allclose(product.scale[j], spread, rtol=1e-4)
    wrong, params = linear_model("ladder", prior="mixture")
    with pytest.raises(UserError, match="ladder needs a prior of normal layers"):
        wrong.encode(params, X).sample(jax.random.key(0))


@pytest.mark.slow
def test_free_bits_are_of_layers():
    model, params = linear_model("top_down")
    q, p = model.encode(params, X), model.prior(params)
    key = jax.random.key(1)
    z = q.sample(jax.random.fold_in(key, 0))
    layers = np.asarray(kl_by_layer(q, p, z).mean(0))
    floor = float(layers.max()) + 0.5
    bound = elbo(model, params, key, X, free_bits=floor)
    expected = bound.terms["log_likelihood"].mean() - 2 * floor
    np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)
