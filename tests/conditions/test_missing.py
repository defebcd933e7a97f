"""Missing values: log p of what was observed, held against marginal normals and other networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro.distributions import MultivariateNormal

from vae_jax import build_model, elbo, iwae
from vae_jax.batches.splits import examples
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.estimators.exact import exact, marginal
from vae_jax.likelihoods.normal import normal
from vae_jax.types import Batch, Dataset, Spec
from vae_jax.weights import filled, log_density

PATTERNS = np.array(list(itertools.product([False, True], repeat=4)))
LIKELIHOODS = [name for name in components.names("likelihoods") if name != "inverted"]


@pytest.fixture(scope="module")
def model_and_x():
    """A linear-Gaussian model of 4 numbers whose encoder sees a mask, and x for every pattern."""
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale='learned')"}
    model = build_model((4,), 2, **parts, missing=True)
    x = jax.random.normal(jax.random.key(0), (16, 4))
    params = model.init(jax.random.key(1), x)
    params["decoder"] = jax.tree.map(lambda w: w + 0.3, params["decoder"])
    params["encoder"] = jax.tree.map(
        lambda w: 0.1 * w, params["encoder"]
    )  # q wide: bounded weights
    return model, params, Batch(jnp.where(PATTERNS, x, 0.0), None, jnp.asarray(PATTERNS))


def marginals(model, params, batch):
    """log N of the observed elements by SciPy, 0 where there are none."""
    full = marginal(model, params, (4,))
    loc, covariance = np.asarray(full.loc, float), np.asarray(full.covariance_matrix, float)
    for x, seen in zip(np.asarray(batch.x), PATTERNS, strict=True):
        some = (
            scipy.stats.multivariate_normal(loc[seen], covariance[seen][:, seen])
            if any(seen)
            else None
        )
        yield some.logpdf(x[seen]) if some else 0.0


def test_log_p_of_every_pattern_is_the_marginal_normal(model_and_x):
    model, params, batch = model_and_x
    keys = jax.random.split(jax.random.key(2), 16)
    values = exact().of_examples(model, params, keys, batch)["log_p_exact"]
    expected = [*marginals(model, params, batch)]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_iwae_s_weights_are_unbiased_for_every_pattern(model_and_x):
    """E mean_k w_k = p(x_observed): MIWAE's bound (Mattei & Frellsen 2019) is `iwae` here."""
    model, params, batch = model_and_x
    expected = np.array([*marginals(model, params, batch)])
    keys = jax.random.split(jax.random.key(3), 300)
    bound = jax.jit(lambda keys: jax.lax.map(
        lambda key: iwae(model, params, key, batch, num_samples=20).value, keys
    ))  # fmt: skip
    ratio = np.exp(bound(keys) - expected)
    error = ratio.std(0, ddof=1) / np.sqrt(len(keys))
    assert (np.abs(ratio.mean(0) - 1) <= 4 * error).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_density_is_of_the_observed_elements(name):
    """Parts that are observed in turn sum to the whole; gradients of the rest are exactly 0."""
    likelihood = components.build("likelihoods", name)(Spec((2, 3), 2))
    params = {"likelihood": likelihood.init(jax.random.key(0), Batch(jnp.full((4, 2, 3), 0.5)))}
    features = jax.random.normal(jax.random.key(1), (4, 2, 3, likelihood.num_features))
    p = likelihood.distribution(params, features)
    x = p.sample(jax.random.key(2)).astype(float)
    seen = jax.random.bernoulli(jax.random.key(3), 0.5, x.shape)

    def observed_part(features, seen):
        zeros = jnp.where(seen, x, 0.0)  # as it is kept, in the support or not
        return log_density(likelihood.distribution(params, features), Batch(zeros, None, seen))

    both = observed_part(features, seen) + observed_part(features, ~seen)
    np.testing.assert_allclose(both, p.log_prob(x), rtol=1e-4, atol=1e-5)
    slopes = jax.grad(lambda f: observed_part(f, seen).sum())(features)
    assert jnp.isfinite(slopes).all()
    assert (slopes[~seen] == 0).all()
    assert (slopes[seen] != 0).any()
    assert p.support(filled(p, Batch(jnp.where(seen, x, jnp.nan), None, seen))).all()


@pytest.mark.slow
def test_gradients_are_those_of_the_marginalized_model():
    """The model of the observed elements alone: the same numbers, without a mask."""
    features = jax.random.normal(jax.random.key(0), (4, 1))
    x, seen = jnp.array([0.3, 0.0, -1.2, 0.0]), jnp.array([True, False, True, False])
    spec, few = Spec((4,), 2), Spec((2,), 2)
    params = {"likelihood": {"log_scale": jnp.array(-0.3)}}

    def with_mask(features, params):
        p = normal(spec, scale="learned").distribution(params, features)
        return log_density(p, Batch(x, None, seen))

    def of_observed(features, params):
        return normal(few, scale="learned").distribution(params, features[seen]).log_prob(x[seen])

    slopes = jax.grad(with_mask, (0, 1))(features, params)
    expected = jax.grad(of_observed, (0, 1))(features, params)
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_encoder_sees_zeros_and_the_mask(model_and_x):
    model, params, batch = model_and_x
    q = model.encode(params, batch)
    nan = jnp.where(batch.observed, batch.x, jnp.nan)
    again = model.encode(params, batch._replace(x=nan))
    np.testing.assert_array_equal(q.mean, again.mean)
    whole = model.encode(params, batch.x)  # the same zeros, all observed
    assert (jnp.abs(q.mean - whole.mean).max(-1)[:-1] > 1e-5).all()
    np.testing.assert_array_equal(q.mean[-1], whole.mean[-1])


def test_missing_values_never_reach_a_bound_or_its_gradient(model_and_x):
    model, params, batch = model_and_x
    keys = jax.random.split(jax.random.key(4), 16)

    def loss(params, x):
        return elbo(model, params, keys, Batch(x, None, batch.observed)).surrogate

    value, slopes = jax.value_and_grad(loss)(params, batch.x)
    other, same = jax.value_and_grad(loss)(params, jnp.where(batch.observed, batch.x, 1e30))
    assert value == other
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(same), strict=True):
        assert jnp.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_nan_of_a_data_set_is_not_observed():
    raw = np.array([[1.0, np.nan], [np.nan, 4.0], [5.0, 6.0]], np.float32)
    data = Dataset({"train": raw}, lambda key, raw: 2 * raw, missing=True)
    _, batch = examples(data, jax.random.key(0), "train", 3)
    np.testing.assert_array_equal(batch.x, [[2, 0], [0, 8], [10, 12]])
    np.testing.assert_array_equal(batch.observed, ~np.isnan(raw))


def test_elements_that_depend_on_each_other_are_refused():
    p = MultivariateNormal(jnp.zeros(2), jnp.eye(2))
    with pytest.raises(UserError, match="missing values need independent elements"):
        log_density(p, Batch(jnp.zeros(2), None, jnp.array([True, False])))


@pytest.mark.slow
def test_the_posteriors_of_examples_as_a_prior_know_what_was_observed():
    parts = {"encoder": "mlp(hidden=(8,))", "prior": "vamp(components=16, learned=False)"}
    model = build_model((4,), 2, **parts, likelihood="normal", missing=True)
    x = jax.random.normal(jax.random.key(0), (16, 4))
    batch = Batch(jnp.where(PATTERNS, x, 0.0), None, jnp.asarray(PATTERNS))
    params, z = model.init(jax.random.key(1), batch), jnp.array([0.3, -0.2])
    each = model.encode(params, batch).log_prob(z)
    mixed = jax.scipy.special.logsumexp(each) - jnp.log(16)
    np.testing.assert_allclose(model.prior(params).log_prob(z), mixed, rtol=1e-5)
    gradient = jax.grad(lambda p: elbo(model, p, jax.random.key(2), batch).surrogate)(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_batch_of_which_nothing_was_observed_leaves_an_optimal_scale_as_it_is():
    likelihood = normal(Spec((3,), 2), scale="optimal")
    params = {"likelihood": {"untrained": {"squared_error": jnp.array(0.7)}}}
    x, features = jnp.zeros((2, 3)), jnp.ones((2, 3, 1))
    for observed, wanted in ((False, 0.7), (True, 0.9 * 0.7 + 0.1)):
        batch = Batch(x, None, jnp.full(x.shape, observed))
        error = likelihood.refit(params, features, batch)["untrained"]["squared_error"]
        np.testing.assert_allclose(error, wanted, rtol=1e-6)
