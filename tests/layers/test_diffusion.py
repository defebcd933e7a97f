"""A diffusion as a chain of layers, against formulas, SciPy, and the same chain by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from vae_jax import UserError, build_model, elbo, log_weights
from vae_jax.distributions.chain import Chain
from vae_jax.distributions.diffusion import Denoising, Diffusion, noised, scales
from vae_jax.divergences.layers import kl_by_layer, kl_of_layer
from vae_jax.estimators.exact import exact_posterior, marginal
from vae_jax.kl_estimators.by_layer import by_layer
from vae_jax.kl_estimators.one_layer import _stratified, one_layer
from vae_jax.posteriors._schedules import SCHEDULES, falling
from vae_jax.types import Model

V, ENDS = 0.7, (-13.3, 5.0)


def gamma_of(steps, schedule="linear"):
    return falling(SCHEDULES[schedule], {}, steps, ENDS)


def best_guess(arguments, layer, z):
    """E[x | z_t] for x ~ N(0, v)."""
    alpha, sigma = scales(arguments[layer][..., None])
    return V * alpha * z / (V * alpha**2 + sigma**2)


def exact_model(steps):
    """The diffusion of N(0, v) with the best denoiser there is; x has one dimension."""
    gamma = gamma_of(steps)
    alpha, sigma = scales(gamma[-1])

    def decode(params, z, given=None):
        return Normal(z[..., -1:] / alpha, sigma / alpha).to_event(1)

    def encode(params, batch):
        return Diffusion(getattr(batch, "x", batch), gamma)

    def prior(params, given=None):
        return Denoising(best_guess, gamma, gamma, 1)

    return Model(lambda key, batch: {}, encode, decode, prior, x_shape=(1,), visible=1)


def diffusion_term(gamma):
    """1/2 sum_t (SNR_t-1 - SNR_t) v / (1 + v SNR_t), in float64."""
    snr = np.exp(-np.asarray(gamma, np.float64))
    return 0.5 * np.sum((snr[1:] - snr[:-1]) * V / (1 + V * snr[:-1]))


@pytest.mark.slow
def test_the_terms_tend_to_the_integral_whatever_the_schedule():
    limit = 0.5 * np.log((1 + V * np.exp(13.3)) / (1 + V * np.exp(-5)))
    assert limit == pytest.approx(6.46931, abs=1e-5)
    for schedule in ("linear", "cosine"):
        terms = [diffusion_term(gamma_of(T, schedule)) for T in (2000, 4000, 8000)]
        assert terms[0] > terms[1] > terms[2] > limit
    assert diffusion_term(gamma_of(1000)) == pytest.approx(6.5243, abs=2e-3)
    assert diffusion_term(gamma_of(8000)) == pytest.approx(limit, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 64])
def test_the_kl_by_layer_is_the_formula(steps):
    """In expectation over x ~ N(0, v) and the draws, within 5 standard errors."""
    gamma, n = gamma_of(steps), 40_000
    x = V**0.5 * jax.random.normal(jax.random.key(0), (n, 1))
    q, p = Diffusion(x, gamma), Denoising(best_guess, gamma, gamma, 1)
    terms = np.asarray(kl_by_layer(q, p, q.sample(jax.random.key(1))), np.float64)
    assert terms.shape == (n, steps + 1)
    below = terms[:, 1:].sum(1)
    error = below.std() / n**0.5
    assert abs(below.mean() - diffusion_term(gamma)) < 5 * error
    alpha, sigma = np.exp(-5.0) / (1 + np.exp(-5.0)), 1 / (1 + np.exp(-5.0))  # squares
    top = 0.5 * (sigma + alpha * np.asarray(x[:, 0]) ** 2 - 1 - np.log(sigma))
    np.testing.assert_allclose(terms[:, 0], top, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_the_bound_lags_behind_the_model_it_is_of():
    """T = 64: -log p(x) is 1.24570 nats, exactly, and the bound 2.17797, both means over N(0, v)."""
    model = exact_model(64)
    density = marginal(model, {}, (1,))
    variance = float(density.covariance_matrix[0, 0])
    nll = 0.5 * (np.log(2 * np.pi * variance) + V / variance)
    assert nll == pytest.approx(1.24570, abs=2e-4)
    x = V**0.5 * jax.random.normal(jax.random.key(0), (50_000, 1))
    of_x = functools.partial(elbo, model, {}, jax.random.key(1), kl="one_layer", num_samples=4)
    values = np.asarray(jax.jit(of_x)(x).value, np.float64)
    error = values.std() / len(x) ** 0.5
    assert abs(-values.mean() - 2.17797) < 5 * error
    assert error < 0.05


@pytest.mark.slow
def test_the_joint_log_weight_has_the_mean_of_the_kls_and_a_huge_spread():
    model, n = exact_model(4), 50_000
    x = V**0.5 * jax.random.normal(jax.random.key(0), (n, 1))
    weights = log_weights(model, {}, jax.random.key(1), x)
    ratio = np.asarray(weights.log_posterior - weights.log_prior, np.float64)[0]
    q, p = model.encode({}, x), model.prior({})
    kls = np.asarray(by_layer(jax.random.key(2), q, p, 1).value, np.float64)
    error = np.hypot(ratio.std(), kls.std()) / n**0.5
    assert abs(ratio.mean() - kls.mean()) < 5 * error
    assert 80 < ratio.std() < 120


def test_the_marginals_are_those_of_the_draws():
    gamma = gamma_of(3)
    q = Diffusion(jnp.array([0.5, -1.0]), gamma)
    layers = np.asarray(q.stacked(q.sample(jax.random.key(0), (100_000,))), np.float64)
    for layer, z in enumerate(layers):
        expected = q.marginal(layer).base_dist
        sigma = float(expected.scale[0]) if expected.scale.ndim else float(expected.scale)
        np.testing.assert_array_less(np.abs(z.mean(0) - expected.loc), 5 * sigma / 100_000**0.5)
        np.testing.assert_allclose(z.std(0), sigma, rtol=5 / (2 * 100_000) ** 0.5)


@pytest.mark.slow
def test_a_markov_chain_is_the_chain_of_its_factors():
    """The same draws and densities as one layer after another by hand."""
    gamma = gamma_of(5)
    x = jax.random.normal(jax.random.key(0), (3, 2))
    for chain in (Diffusion(x, gamma), Denoising(best_guess, gamma, gamma, 2)):

        def factor(arguments, layer, above, chain=chain):
            return chain.conditional(layer, above)

        by_hand = Chain(factor, None, chain.sizes, chain.batch_shape)
        draws = [one.sample(jax.random.key(1), (4,)) for one in (chain, by_hand)]
        np.testing.assert_allclose(*draws, rtol=1e-5, atol=1e-5)
        densities = [one.log_prob(draws[0]) for one in (chain, by_hand)]
        np.testing.assert_allclose(*densities, rtol=1e-4, atol=1e-3)


def test_with_one_step_it_is_a_vae_of_parts_by_hand():
    """p(z_1) p(z_0 | z_1) p(x | z_0) and q(z_1 | x) q(z_0 | z_1, x), normals written out."""
    model, x = exact_model(1), jnp.array([[0.3], [-1.1]])
    (a1, s1), (a0, s0) = (np.array(scales(g), np.float64) for g in gamma_of(1))
    z = np.random.default_rng(0).normal(size=(2, 2))
    z1, z0 = z[:, :1], z[:, 1:]
    # z_1 = r z_0 + e, e ~ N(0, s1^2 - r^2 s0^2), so q(z_0 | z_1, x) is by Bayes' rule:
    r = a1 / a0
    noise = s1**2 - r**2 * s0**2

    def below(x):
        precision = 1 / s0**2 + r**2 / noise
        return (a0 * x / s0**2 + r * z1 / noise) / precision, precision**-0.5

    guess = V * a1 * z1 / (V * a1**2 + s1**2)
    log_p = normal(z1, 0, 1) + normal(z0, *below(guess))
    log_q = normal(z1, a1 * np.asarray(x), s1) + normal(z0, *below(np.asarray(x)))
    np.testing.assert_allclose(model.prior({}).log_prob(jnp.asarray(z)), log_p[:, 0], rtol=2e-3)
    np.testing.assert_allclose(model.encode({}, x).log_prob(jnp.asarray(z)), log_q[:, 0], rtol=2e-3)
    likelihood = model.decode({}, jnp.asarray(z)).log_prob(x)
    np.testing.assert_allclose(likelihood, normal(np.asarray(x), z0 / a0, s0 / a0)[:, 0], rtol=2e-3)


def normal(value, loc, scale):
    return -0.5 * ((value - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


@pytest.mark.slow
def test_the_exact_posterior_of_a_chain_explains_its_log_p():
    """log p(x) = log p(x, z) - log p(z | x) at any z."""
    model, x = exact_model(2), jnp.array([0.4])
    posterior = exact_posterior(model, {}, x)
    z = posterior.sample(jax.random.key(0), (5,))
    joint = model.prior({}).log_prob(z) + model.decode({}, z).log_prob(x)
    gap = joint - posterior.log_prob(z)
    np.testing.assert_allclose(gap, marginal(model, {}, (1,)).log_prob(x), atol=0.05)


def built(steps=6, **parts):
    prior = "denoising(network=mlp(hidden=(16,)), time_frequencies=2)"
    named = {"encoder": "identity", "decoder": "identity", "prior": prior, "likelihood": "inverted",
             "posterior": f"diffused(steps={steps})"}  # fmt: skip
    return build_model((3,), **{**named, **parts})


def trained_a_bit(model, x):
    params = model.init(jax.random.key(0), x)
    params["prior"]["gain"] = params["prior"]["gain"] + 0.5
    return params


X = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "predicts"), [("linear", "noise"), ("cosine", "data"), ("learned", "velocity")]
)
def test_one_layer_is_unbiased_for_all_of_them(schedule, predicts):
    prior = f"denoising(network=mlp(hidden=(16,)), predicts='{predicts}')"
    model = built(posterior=f"diffused(steps=6, schedule='{schedule}')", prior=prior)
    params = trained_a_bit(model, X)

    @jax.jit
    def kls(key):
        q, p = model.encode(params, jnp.asarray(X)), model.prior(params)
        return jnp.stack([e(key, q, p, 4).value.mean() for e in (one_layer, by_layer)])

    values = np.asarray(jax.lax.map(kls, jax.random.split(jax.random.key(2), 1000)), np.float64)
    error = np.hypot(*values.std(0)) / 1000**0.5
    assert abs(np.diff(values.mean(0))[0]) < 5 * error


@pytest.mark.slow
def test_stratified_layers_lower_the_variance():
    """In 50 dimensions, where the noise of a draw is small beside the differences of layers."""
    gamma, x = gamma_of(50), V**0.5 * jax.random.normal(jax.random.key(0), (64, 50))
    p = Denoising(best_guess, gamma, gamma, 50)

    @jax.jit
    def both(key):
        def alone(key, x):
            return one_layer(key, Diffusion(x, gamma), p, 1).value

        together = one_layer(key, Diffusion(x, gamma), p, 1).value
        return jnp.stack([together.mean(), jax.vmap(alone)(jax.random.split(key, 64), x).mean()])

    values = jax.lax.map(both, jax.random.split(jax.random.key(3), 500))
    together, alone = np.asarray(values, np.float64).std(0)
    assert together < 0.7 * alone  # the spread of a ratio of two deviations of 500 is 4%


@pytest.mark.slow
def test_the_simple_weighting_changes_the_gradient_and_not_the_value():
    """Its gradient is that of sum over layers of |e - e^|^2 / T."""
    model = built(steps=4)
    params = trained_a_bit(model, X)

    @functools.partial(jax.jit, static_argnums=0)
    def bound(weighting):
        kl = f"one_layer(weighting='{weighting}')"
        return elbo(model, params, jax.random.key(0), X, kl=kl, num_samples=8)

    bounds = [bound("elbo"), bound("simple")]
    np.testing.assert_allclose(bounds[0].value, bounds[1].value, rtol=1e-6)
    np.testing.assert_allclose(bounds[0].surrogate, bounds[1].surrogate, rtol=1e-6)
    gamma = model.encode(params, X).gamma
    layer, z = jax.random.randint(jax.random.key(4), (64,), 1, 4), jnp.asarray(X) * 0.3

    def squared_error(prior):
        """|e - e^|^2 / T with z_t = alpha x + sigma e."""
        chain = model.prior({**params, "prior": prior})
        alpha, sigma = scales(gamma[layer - 1][:, None])
        guess = chain.denoise(chain.arguments, layer - 1, z)
        return ((alpha * (X - guess) / sigma) ** 2).sum(-1).mean() / 4

    def weighted_kl(prior):
        q, p = model.encode(params, jnp.asarray(X)), model.prior({**params, "prior": prior})
        return (q.simple_weight(layer) * kl_of_layer(q, p, layer, z)).mean()

    np.testing.assert_allclose(
        *(jax.jit(f)(params["prior"]) for f in (squared_error, weighted_kl)), rtol=1e-3
    )

    @functools.partial(jax.jit, static_argnums=1)
    def total(prior, weighting):
        q, p = model.encode(params, jnp.asarray(X)), model.prior({**params, "prior": prior})
        return one_layer(jax.random.key(5), q, p, 1, weighting=weighting).value.sum()

    def by_hand(prior):
        """The same draws, each weighted, at T = 4 layers."""
        q, p = model.encode(params, jnp.asarray(X)), model.prior({**params, "prior": prior})
        layer_key, z_key = jax.random.split(jax.random.key(5))
        layers = 1 + _stratified(layer_key, (1, 64), 4)
        above = q.marginal(layers - 1).sample(z_key)
        return (4 * q.simple_weight(layers) * kl_of_layer(q, p, layers, above)).sum()

    plain, simple, wanted = (
        jax.grad(f)(params["prior"])["gain"]
        for f in (lambda p: total(p, "elbo"), lambda p: total(p, "simple"), by_hand)
    )
    np.testing.assert_allclose(simple, wanted, rtol=1e-4)
    assert float(jnp.abs(plain - simple).max()) > 0.1 * float(jnp.abs(plain).max())


@pytest.mark.parametrize("schedule", ["linear", "cosine", "learned"])
def test_noise_only_grows(schedule):
    model = built(posterior=f"diffused(steps=100, schedule='{schedule}')")
    gamma = model.encode(model.init(jax.random.key(0), X), jnp.asarray(X)).gamma
    np.testing.assert_allclose(gamma[jnp.array([0, -1])], [5.0, -13.3], rtol=1e-3)
    assert (jnp.diff(gamma) < 0).all()


@pytest.mark.slow
def test_a_learned_schedule_learns():
    model = built(posterior="diffused(steps=6, schedule='learned')")
    params = trained_a_bit(model, X)
    value = jax.jit(lambda p: elbo(model, p, jax.random.key(0), X, kl="one_layer").surrogate)
    gradient = jax.grad(value)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(gradient(params)["posterior"]))


@pytest.mark.slow
def test_levels_are_a_mass_by_bayes_rule():
    model = built(likelihood="inverted(levels=5)", posterior="diffused(steps=4, gamma_min=-2.0)")
    x = jnp.asarray(np.random.default_rng(0).integers(0, 5, (7, 3)), jnp.float32)
    params = model.init(jax.random.key(0), x)
    z = jax.random.normal(jax.random.key(1), (7, 3))
    alpha, sigma = (float(s) for s in scales(jnp.asarray(-2.0)))
    spread = np.linspace(-1, 1, 5)
    density = np.exp(normal(np.asarray(z)[..., None], alpha * spread, sigma))
    mass = density / density.sum(-1, keepdims=True)
    expected = np.log(np.take_along_axis(mass, np.asarray(x, int)[..., None], -1)).sum((1, 2))
    np.testing.assert_allclose(model.decode(params, z).log_prob(x), expected, rtol=1e-4)
    seen = model.encode(params, x).marginal(-1).base_dist.loc
    np.testing.assert_allclose(seen, alpha * (2 * x / 4 - 1), rtol=1e-5)


def test_every_step_of_the_path_is_the_models_own_with_all_its_noise():
    """eta = 1 and no layer left out: the law of the last layer is that of ancestral draws."""
    gamma, n = gamma_of(8), 100_000
    p = Denoising(best_guess, gamma, gamma, 1)
    path = p.path(jax.random.key(0), (n,), eta=1.0)
    assert path.shape == (9, n, 1)
    ancestral = p.stacked(p.sample(jax.random.key(1), (n,)))
    np.testing.assert_allclose(path.std(1), ancestral.std(1), rtol=5 * 2**0.5 / (2 * n) ** 0.5)


@pytest.mark.slow
def test_the_path_without_noise_is_the_flow_of_the_marginals():
    """eta = 0 and the best denoiser of N(0, v): z_0 has the variance v in the limit of steps."""
    gamma = gamma_of(1000)
    p = Denoising(best_guess, gamma, gamma, 1)
    for steps in (0, len(p.sizes)):
        with pytest.raises(UserError, match=f"steps={steps}: "):
            p.path(jax.random.key(0), (2,), steps=steps)
    for steps, most in ((1000, 0.01), (100, 0.1)):
        path = p.path(jax.random.key(0), (2,), steps=steps)
        assert path.shape == (steps + 1, 2, 1)
        grown = float((path[-1] / path[0])[0, 0])
        # dz/dgamma of the probability flow: z_t^2 is as the variance v alpha^2 + sigma^2
        (a, s), (a0, s0) = (np.array(scales(g)) for g in (gamma[0], gamma[-1]))
        expected = np.sqrt((V * a0**2 + s0**2) / (V * a**2 + s**2))
        assert grown == pytest.approx(expected, rel=most)


@pytest.mark.slow
def test_gradients_of_one_layer_are_finite_differences():
    model = built(steps=3)
    params = trained_a_bit(model, X)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        x = jnp.asarray(X[:8], jnp.float64)

        @jax.jit
        def value(params):
            return elbo(model, params, jax.random.key(1), x, kl="one_layer").surrogate

        def nudged(step):
            rng = np.random.default_rng(0)
            return jax.tree.map(lambda a: a + step * rng.normal(size=a.shape), wide)

        rng = np.random.default_rng(0)
        slopes = jax.grad(value)(wide)
        along = sum(float((g * rng.normal(size=g.shape)).sum()) for g in jax.tree.leaves(slopes))
        difference = (value(nudged(1e-5)) - value(nudged(-1e-5))) / 2e-5
    np.testing.assert_allclose(along, difference, rtol=1e-4)


@pytest.mark.slow
def test_a_learned_encoder_makes_latent_diffusion():
    model = build_model(
        (6,), encoder="mlp(hidden=(8,))", decoder="mlp(hidden=(8,))", likelihood="bernoulli",
        posterior="diffused(steps=10, size=2)", prior="denoising(network=mlp(hidden=(8,)))",
    )  # fmt: skip
    x = (X[:, :1] > 0) * np.ones(6, np.float32)
    params = model.init(jax.random.key(0), x)
    keys = jax.random.split(jax.random.key(1), len(x))

    def loss(params):
        return -elbo(model, params, keys, x, kl="one_layer").surrogate

    slopes = jax.jit(jax.grad(loss))(params)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(slopes["encoder"]))
    assert model.prior(params).event_shape == model.encode(params, x).event_shape == (22,)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"posterior": "diag_normal", "latent_dim": 3}, "posterior=diffused"),
        ({"posterior": "diag_normal", "latent_dim": 3, "prior": "standard_normal"}, "diffused"),
        ({"encoder": "identity", "posterior": "diffused(size=2)"}, "identity cannot change"),
        ({"posterior": "diffused(gamma_min=5.0)"}, "not below"),
        ({"latent_dim": (2, 6)}, "needs no latent_dim"),
        ({"likelihood": "inverted(levels=1)"}, "at least 2"),
        ({"posterior": "diffused", "likelihood": "bernoulli", "decoder": "identity",
          "prior": "denoising(network=unet)"}, "images of one size"),
        ({"posterior": "top_down", "prior": "layered", "likelihood": "normal"}, "latent_dim is"),
    ],
)  # fmt: skip
def test_parts_that_do_not_go_together_are_refused(parts, expected):
    with pytest.raises(UserError, match=expected) as caught:
        built(**parts)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_denoiser_of_images_sees_time_as_channels():
    model = build_model(
        (4, 6, 1), encoder="identity", decoder="identity", likelihood="inverted(levels=2)",
        posterior="diffused(steps=5)", prior="denoising(network=unet(channels=(4, 8)))",
    )  # fmt: skip
    x = (np.random.default_rng(0).uniform(size=(5, 4, 6, 1)) < 0.5).astype(np.float32)
    params = trained_a_bit(model, x)
    chain, z = model.prior(params), noised(jnp.ones((5, 24)), jnp.zeros(())).base_dist.loc
    early, late = (chain.denoise(chain.arguments, layer, z) for layer in (1, 4))
    assert early.shape == (5, 24)
    assert float(jnp.abs(early - late).max()) > 0.01
