"""Where log p(x) and p(z|x) are known exactly, everything is held against them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro.distributions import MultivariateNormal

import vae_jax
from tests.compiled import compiled
from vae_jax import build_model, default_config, evaluate, fit
from vae_jax.datasets.linear_gaussian import linear_gaussian
from vae_jax.errors import UserError
from vae_jax.estimators.exact import exact_posterior, marginal
from vae_jax.estimators.importance import importance_sampling
from vae_jax.estimators.quadrature import expectation
from vae_jax.types import Model

log_weights = compiled(vae_jax.log_weights)


def by_hand(params):
    """N(b, WW' + s^2 I) from the parameters, by SciPy."""
    layer = params["decoder"]["Dense_0"]
    W, b = np.asarray(layer["kernel"], float).T, np.asarray(layer["bias"], float)
    s = 1e-3 + np.exp(float(params["likelihood"]["log_scale"]))
    return scipy.stats.multivariate_normal(b, W @ W.T + s**2 * np.eye(len(b))), W, b, s


def test_exact_marginal_equals_scipy(linear):
    model, params, x = linear
    expected = by_hand(params)[0].logpdf(np.asarray(x))
    np.testing.assert_allclose(marginal(model, params, (4,)).log_prob(x), expected, rtol=1e-4)


@pytest.mark.slow
def test_exact_posterior_equals_the_textbook(linear):
    """N(M^-1 W'(x - b), s^2 M^-1) with M = W'W + s^2 I (Tipping & Bishop 1999)."""
    model, params, x = linear
    _, W, b, s = by_hand(params)
    M = W.T @ W + s**2 * np.eye(2)
    posterior = exact_posterior(model, params, x[0])
    np.testing.assert_allclose(posterior.mean, np.linalg.solve(M, W.T @ (x[0] - b)), rtol=1e-3)
    np.testing.assert_allclose(posterior.covariance_matrix, s**2 * np.linalg.inv(M), rtol=1e-3)


@pytest.mark.slow
def test_with_the_exact_posterior_every_weight_is_log_p(linear):
    model, params, x = linear
    ideal = Model(
        model.init,
        lambda params, x: exact_posterior(model, params, x),
        model.decode,
        lambda params: MultivariateNormal(jnp.zeros(2), jnp.eye(2)),
    )
    keys = jax.random.split(jax.random.key(3), len(x))
    truth = by_hand(params)[0].logpdf(np.asarray(x))

    def of_ideal(function, *args, **options):
        return jax.jit(lambda keys: function(ideal, params, keys, x, *args, **options))(keys)

    weights = of_ideal(vae_jax.log_weights, 20).log_weight
    np.testing.assert_allclose(weights, np.broadcast_to(truth, (20, 6)), atol=2e-4)
    for kl in ("closed_form", "sampled"):
        bound = of_ideal(vae_jax.elbo, num_samples=4000, kl=kl).value
        # the closed-form KL leaves the noise of log p(x|z) in the mean over draws
        noise = of_ideal(vae_jax.log_weights, 4000).log_likelihood.std(0) / np.sqrt(4000)
        tolerance = 2e-4 if kl == "sampled" else 5 * noise
        np.testing.assert_array_less(np.abs(bound - truth), tolerance)


def test_elbo_is_log_p_minus_kl_to_the_posterior(linear):
    """log p(x) = ELBO + KL(q || p(z|x)), the KL by SciPy's formula for normals."""
    model, params, x = linear
    keys = jax.random.split(jax.random.key(0), len(x))
    n = 20_000
    weights = log_weights(model, params, keys, x, n).log_weight
    truth = by_hand(params)[0].logpdf(np.asarray(x))
    for i in range(len(x)):
        q, p = model.encode(params, x[i]), exact_posterior(model, params, x[i])
        precision, cov = np.linalg.inv(p.covariance_matrix), np.diag(q.variance)
        gap = p.mean - q.mean
        kl = 0.5 * (
            np.trace(precision @ cov) - 2 + gap @ precision @ gap
            - np.linalg.slogdet(precision @ cov)[1]
        )  # fmt: skip
        error = weights[:, i].std() / np.sqrt(n)
        assert abs(weights[:, i].mean() - (truth[i] - kl)) < 5 * error


@pytest.fixture(scope="module")
def broad(linear):
    """The linear model with q(z|x) = the exact posterior at twice its variance."""
    model, params, x = linear

    def encode(params, x):
        posterior = exact_posterior(model, params, x)
        return MultivariateNormal(posterior.mean, 2 * posterior.covariance_matrix)

    return Model(model.init, encode, model.decode, model.prior), params, x


def importance_(model, params, keys, x, **options):
    """`importance` one example at a time, since this q is for one example."""

    def one(key, x):
        return importance_sampling(model, params, key[None], x[None], **options)

    return jax.tree.map(lambda a: a[:, 0], jax.vmap(one)(keys, x))


@pytest.mark.slow
def test_importance_sampling_finds_log_p(broad):
    model, params, x = broad
    keys = jax.random.split(jax.random.key(0), len(x))
    values = importance_(model, params, keys, x, num_samples=20_000)
    truth = by_hand(params)[0].logpdf(np.asarray(x))
    assert (np.abs(values["log_p"] - truth) < 5 * values["log_p_error"] + 1e-4).all()


@pytest.mark.slow
def test_the_monte_carlo_error_is_the_spread_of_repetitions(broad):
    model, params, x = broad
    keys = jax.random.split(jax.random.key(0), 400)
    many = jnp.broadcast_to(x[0], (400, 4))
    values = importance_(model, params, keys, many, num_samples=500)
    ratio = np.sqrt((values["log_p_error"] ** 2).mean()) / values["log_p"].std(ddof=1)
    assert abs(ratio - 1) < 5 / np.sqrt(2 * 400)  # the standard error of a standard deviation


@pytest.mark.slow
def test_what_is_not_linear_gaussian_is_refused(small, linear):
    with pytest.raises(UserError, match="normal decoder"):
        marginal(*small, (1, 5, 1))
    curved = build_model((4,), 2, decoder="mlp(hidden=(5,))", likelihood="normal(scale=1.0)")
    with pytest.raises(UserError, match="affine"):
        marginal(curved, curved.init(jax.random.key(0), linear[2]), (4,))
    mixed = build_model((4,), 2, decoder="linear", likelihood="normal", prior="mixture")
    with pytest.raises(UserError, match="normal prior"):
        marginal(mixed, mixed.init(jax.random.key(0), linear[2]), (4,))


def test_the_data_sets_own_density_is_that_of_its_draws():
    dataset = linear_gaussian(size=12_000)
    x = np.concatenate([*dataset.splits.values()])
    log_p = np.asarray(dataset.log_prob(x))
    covariance = np.cov(x.T)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    assert abs(log_p.mean() + entropy) < 5 * log_p.std() / np.sqrt(len(x))


@pytest.mark.slow
def test_a_linear_vae_reaches_probabilistic_pca_on_digits():
    """Lucas et al. 2019: the ELBO's maximum is PPCA's likelihood, which scikit-learn computes."""
    from sklearn.decomposition import PCA

    config = default_config()
    config.data = "digits(binarize='none', validation=0, test=0.2)"
    config.encoder = config.decoder = "linear"
    config.latent_dim, config.likelihood = 8, "normal(scale='learned')"
    config.batch_size, config.num_epochs, config.eval_every_epochs = 359, 4000, 4000.0
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=1e-2, decay_steps=num_steps))"
    )
    run = fit(config, quiet=True)
    results = evaluate(run, "train", num_importance_samples=100, quiet=True)["numbers"]
    train = np.asarray(run.dataset.splits["train"]).reshape(-1, 64) / 16
    score = PCA(8).fit(train).score(train)
    assert abs(results["elbo"]["mean"] - score) < 0.2
    assert abs(results["log_p_exact"]["mean"] - score) < 0.2


def test_exact_marginal_and_posterior_under_another_normal_prior(linear):
    """N(m, P) with m != 0 and P != I: the joint Gaussian of (z, x), conditioned by hand."""
    from numpyro.distributions import Normal

    model, params, x = linear
    m, spread = np.array([0.5, -1.0]), np.array([0.7, 1.8])
    moved = model._replace(
        prior=lambda params: Normal(jnp.asarray(m), jnp.asarray(spread)).to_event(1)
    )
    _, W, b, s = by_hand(params)
    P, S = np.diag(spread**2), s**2 * np.eye(4)
    cov = W @ P @ W.T + S
    expected = scipy.stats.multivariate_normal(W @ m + b, cov).logpdf(np.asarray(x))
    np.testing.assert_allclose(marginal(moved, params, (4,)).log_prob(x), expected, rtol=1e-3)
    gain = P @ W.T @ np.linalg.inv(cov)
    posterior = exact_posterior(moved, params, x[0])
    np.testing.assert_allclose(posterior.mean, m + gain @ (x[0] - W @ m - b), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(posterior.covariance_matrix, P - gain @ W @ P, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_gauss_hermite_quadrature_has_the_moments_of_a_normal():
    """E (z'a)^2 z_1^2 is exact with few points; E exp(z'a) = exp(a'm + a'Sa / 2)."""
    from numpyro.distributions import Normal

    with jax.enable_x64(True):
        m, s, a = np.array([0.5, -1.0, 2.0]), np.array([0.7, 1.8, 0.1]), np.array([0.3, -0.6, 1.0])
        q = Normal(jnp.asarray(m), jnp.asarray(s)).to_event(1)
        values = expectation(
            lambda z: (z @ a)[:, None] ** np.arange(1, 3) * z[:, :1] ** 2, q, points=3
        )
        mean, variance, covariance = a @ m, (a**2) @ s**2, a[0] * s[0] ** 2
        squares = m[0] ** 2 + s[0] ** 2
        expected = [  # Isserlis
            mean * squares + 2 * m[0] * covariance,
            (mean**2 + variance) * squares + 4 * mean * m[0] * covariance + 2 * covariance**2,
        ]
        np.testing.assert_allclose(values, expected, rtol=1e-13)
        exponential = expectation(lambda z: jnp.exp(z @ a), q, points=30)
        np.testing.assert_allclose(exponential, np.exp(mean + variance / 2), rtol=1e-12)
    for other in (Normal(0.0, 1.0), Normal(jnp.zeros((2, 1)), 1.0).to_event(1)):
        with pytest.raises(UserError, match="one normal of independent dimensions"):
            expectation(lambda z: z, other)
