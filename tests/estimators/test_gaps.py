"""The two parts of log p(x) - ELBO, on models where they have a closed form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from tests.test_contracts import few
from vae_jax import UserError, build_model
from vae_jax.config import components
from vae_jax.estimators._best import error_of_mean
from vae_jax.estimators.exact import exact_posterior, marginal
from vae_jax.estimators.gaps import gaps
from vae_jax.model import Encoder
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch

N = 8
FAST = {"learning_rate": 1e-2}


@pytest.fixture(scope="module")
def rotated():
    """A linear-Gaussian model of 4 numbers and 3 latents that depend on each other given x."""
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.7)"}
    model = build_model((4,), 3, **parts)
    params = jax.jit(model.init)(jax.random.key(1), jnp.zeros((2, 4)))
    params["decoder"] = jax.tree.map(lambda w: w + 0.3, params["decoder"])
    density = marginal(model, params, (4,))
    return model, params, density.sample(jax.random.key(2), (N,)), density


def program(estimator, model):
    """(params, x) -> the values of examples, compiled once."""
    of_examples = jax.jit(
        lambda params, keys, x: estimator.of_examples(model, params, keys, Batch(x))
    )

    def values(params, x):
        keys = jax.random.split(jax.random.key(3), len(x))
        return {n: np.asarray(v, np.float64) for n, v in of_examples(params, keys, x).items()}

    return values


def values_of(estimator, model, params, x):
    return program(estimator, model)(params, x)


def posteriors(model, params, x):
    """The means `[n, 3]` and the precision `[3, 3]` of p(z | x), in float64."""
    each = [exact_posterior(model, params, one) for one in x]
    precision = np.linalg.inv(np.asarray(each[0].covariance_matrix, np.float64))
    return np.stack([np.asarray(p.mean, np.float64) for p in each]), precision


def kl_to_normal(mean, scale, target, precision):
    """KL(N(mean, diag(scale^2)) || N(target, precision^-1)), nats."""
    apart = mean - target
    distance = np.einsum("ni,ij,nj->n", apart, precision, apart)
    trace, log_det = (scale**2) @ np.diag(precision), np.linalg.slogdet(precision)[1]
    return 0.5 * (trace + distance - len(precision) - log_det) - np.log(scale).sum(-1)


def within(value, expected, error, atol=1e-3):
    """Each value in its error, and so is their mean, which is sharper."""
    apart, of_mean = value - expected, np.sqrt((error**2).sum()) / len(error)
    assert (np.abs(apart) < 5 * error + atol).all(), (value, expected, error)
    assert abs(apart.mean()) < 5 * of_mean + atol, (apart.mean(), of_mean)


def with_exact(values, rotated):
    """The values beside the exact log p(x), and what is derived of both."""
    model, params, x, density = rotated
    held = values | {"log_p_exact": np.asarray(density.log_prob(x), np.float64)}
    return held | gaps().derive(find_facts(model, params, (4,)), held)


@pytest.fixture(scope="module")
def values(rotated):
    return with_exact(values_of(gaps(num_samples=4000, **FAST), *rotated[:3]), rotated)


@pytest.mark.slow
def test_the_approximation_gap_is_that_of_the_best_diagonal_normal(rotated, values):
    """q* has the variances 1 / P_ii, and KL(q* || p(z|x)) = 1/2 (sum_i log P_ii - log det P)."""
    _, precision = posteriors(*rotated[:3])
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert gap > 20 * error_of_mean(values["approximation_gap_error"])
    within(values["approximation_gap"], gap, values["approximation_gap_error"])


@pytest.mark.slow
def test_the_amortization_gap_is_the_difference_of_the_kls(rotated, values):
    model, params, x, _ = rotated
    means, precision = posteriors(model, params, x)
    q = model.encode(params, x).base_dist
    loc, scale = np.asarray(q.loc, np.float64), np.asarray(q.scale, np.float64)
    best = np.diag(precision) ** -0.5
    gap = kl_to_normal(loc, scale, means, precision) - kl_to_normal(
        means, best[None], means, precision
    )
    assert gap.min() > 0.05
    within(values["amortization_gap"], gap, values["amortization_gap_error"])


def test_a_normal_of_any_covariance_closes_the_gap(values):
    within(values["elbo_full_normal"], values["log_p_exact"], values["elbo_full_normal_error"])


@pytest.mark.slow
def test_a_flow_closes_the_gap_by_itself_and_after_a_normal(rotated):
    for richer in (("flow",), ("flow", "full_normal")):
        estimator = gaps(num_samples=100, richer=richer, **FAST)
        values = with_exact(values_of(estimator, *rotated[:3]), rotated)
        within(values["elbo_flow"], values["log_p_exact"], values["elbo_flow_error"], atol=5e-3)


def test_the_bounds_are_in_order(values):
    names = ["elbo_encoder", "elbo_optimal", "elbo_full_normal", "log_p_exact"]
    for low, high in itertools.pairwise(names):
        error = np.hypot(values[f"{low}_error"], values.get(f"{high}_error", 0.0))
        assert (values[low] < values[high] + 5 * error + 1e-3).all()
    assert (values["gaps_converged"] == 1).all()
    assert (values["gaps_steps"] % 100 == 0).all()


@pytest.mark.slow
def test_an_encoder_that_is_off_loses_what_it_is_off_by(rotated):
    """KL of the encoder's q to the posterior less that of the best q; 0 for the best one.

    The encoder is one's own: the best loc and log scale of x, which are affine, moved.
    """
    model, params, x, _ = rotated
    ends, precision = posteriors(model, params, jnp.concatenate([jnp.zeros((1, 4)), jnp.eye(4)]))
    best = np.diag(precision)[None] ** -0.5

    def features(params, batch):
        loc = batch.x @ (ends[1:] - ends[0]) + ends[0] + params["off"][0]
        return jnp.stack([loc, jnp.broadcast_to(jnp.log(best[0]) + params["off"][1], loc.shape)])

    def distribution(params, features):
        return Normal(features[0], jnp.exp(features[1])).to_event(1)

    mine = model._replace(encode=Encoder(features, distribution))
    off_by = program(gaps(num_samples=400, richer=(), **FAST), mine)
    means, _ = posteriors(model, params, x)
    least = kl_to_normal(means, best, means, precision)
    for shift, stretch in [(0.0, 1.0), (0.3, 1.0), (0.0, 0.6), (-0.2, 1.5)]:
        gap = kl_to_normal(means + shift, best * stretch, means, precision) - least
        values = off_by(params | {"off": jnp.array([shift, np.log(stretch)])}, x)
        within(values["amortization_gap"], gap, values["amortization_gap_error"])
        if gap.max() < 1e-6:  # the noise is the same, and so the difference has almost none
            assert (values["amortization_gap_error"] < 0.1 * values["elbo_encoder_error"]).all()


@pytest.mark.slow
def test_a_steps_limit_that_is_too_low_is_said(rotated):
    model, params, x, _ = rotated
    estimator = gaps(num_samples=10, max_steps=200)
    values = values_of(estimator, model, params, x[:2])
    assert (values["gaps_converged"] == 0).all()
    assert (values["gaps_steps"] == 400).all()  # of both families
    numbers = estimator.summary(values)
    remark = numbers["elbo_optimal"].remark
    assert remark.startswith("of 100.0% of the examples q has not converged in 200 steps")
    assert "amortization_gap too small" in remark
    assert "elbo_full_normal is too low" in numbers["elbo_full_normal"].remark
    assert "approximation_gap needs log p(x)" in numbers["amortization_gap"].remark
    assert "approximation_gap" not in numbers


def test_what_diverges_has_not_converged(rotated):
    model, params, x, _ = rotated
    encode = model.encode
    wild = Encoder(
        lambda params, batch: jnp.inf * encode.features(params, batch), encode.distribution
    )
    values = values_of(gaps(num_samples=10, richer=()), model._replace(encode=wild), params, x[:2])
    assert (values["gaps_converged"] == 0).all()


@pytest.mark.slow
def test_an_example_is_optimized_whatever_is_beside_it(rotated):
    model, params, x, _ = rotated
    alone = program(gaps(num_samples=50, richer=(), max_steps=300), model)
    together = alone(params, x[:3])
    for name, value in alone(params, x[:1]).items():
        np.testing.assert_allclose(together[name][:1], value, rtol=1e-4, atol=1e-4)


def summary(mean, **more):
    """The numbers of five examples whose best q in each family has been reached."""
    names = ("elbo_encoder", "elbo_optimal", "elbo_full_normal", "amortization_gap")
    values = {name: np.full(5, mean) for name in names}
    values |= {f"{name}_error": np.full(5, 0.01) for name in names}
    values |= {f"{name}_converged": np.ones(5) for name in names[1:3]}
    values |= {name: np.full(5, value) for name, value in more.items()}
    values |= gaps().derive(facts_of(), values)
    return gaps().summary(values)


def test_the_gap_names_its_log_p_and_which_way_it_errs():
    exact = summary(-3.0, log_p_exact=-2.0, log_p=-2.5)["approximation_gap"]
    assert (exact.mean, exact.how) == (1.0, "log_p_exact - elbo_optimal, example by example")
    assert exact.monte_carlo_error == pytest.approx(0.01 / 5**0.5)
    sampled = summary(-3.0, log_p=-2.5, log_p_error=0.03)["approximation_gap"]
    assert sampled.how.endswith("at least, log_p is from below")
    assert sampled.monte_carlo_error == pytest.approx(np.hypot(0.01, 0.03) / 5**0.5)
    assert sampled.remark == ""


def test_a_log_p_below_a_bound_on_it_is_said():
    remark = summary(-3.0, log_p=-2.5, elbo_full_normal=-2.2)["approximation_gap"].remark
    assert remark == "elbo_full_normal is 0.3 nats above log_p, which is too low: ais comes closer"


def facts_of(latent_dim=2, **parts):
    model = build_model((4,), latent_dim, **{"encoder": "linear", "decoder": "linear"} | parts)
    return find_facts(model, jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, 4))), (4,))


def test_what_has_no_family_of_its_own_is_refused():
    facts = facts_of()
    plain = facts.model._replace(encode=lambda params, x: facts.model.encode(params, x))
    with pytest.raises(UserError, match="Encoder"):
        gaps().require(facts._replace(model=plain))
    box = facts_of(prior="uniform", posterior="logit_normal")
    with pytest.raises(UserError, match=r"on a box: gaps\(richer=\(\)\)"):
        gaps().require(box)
    gaps(richer=()).require(box)
    deep = facts_of(posterior="top_down", prior="layered", latent_dim=(1,) * 17)
    with pytest.raises(UserError, match="at most 16 layers, not 17"):
        gaps().require(deep)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in components.names("posteriors") if n != "diffused"])
def test_each_posterior_is_optimized_in_its_own_family(name):
    """From encoders that are far off every family gains nats, layers and boxes among them."""
    parts = {"prior": "uniform"} if name == "logit_normal" else {}
    layered = name in ("top_down", "bottom_up", "ladder")
    parts |= {"prior": "layered"} if layered else {}
    likelihood = "normal(scale=0.7)"
    networks = {"encoder": "linear", "decoder": "linear", "likelihood": likelihood}
    size = (2, 2) if layered else 2
    model = build_model((4,), size, posterior=few("posterior", name), **networks, **parts)
    x = 2 * jax.random.normal(jax.random.key(0), (3, 4))
    params = jax.jit(model.init)(jax.random.key(1), x)
    estimator = gaps(num_samples=100, richer=(), learning_rate=1e-2)
    estimator.require(find_facts(model, params, (4,)))
    values = values_of(estimator, model, params, x)
    assert (values["gaps_converged"] == 1).all()
    assert (values["amortization_gap"] > 5 * values["amortization_gap_error"]).all()
