import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import MultivariateNormal, Normal
from scipy import integrate, stats
from scipy.spatial.distance import pdist

from tests.estimators.linear_encoder import run_with
from tests.test_contracts import CASES, example_of
from vae_jax import evaluate
from vae_jax.divergences import closed_form_kl
from vae_jax.errors import UserError
from vae_jax.estimators._two_samples import two_samples
from vae_jax.estimators.surgery import kl_surgery, surgery
from vae_jax.runs.facts import find_facts
from vae_jax.standard_errors import standard_error
from vae_jax.types import Batch

LOC, SCALE = np.array([-1.5, 0.2, 0.9, 2.0]), np.array([0.3, 0.5, 1.1, 0.4])
PRIOR = Normal(jnp.zeros(1), 1.3).to_event(1)


def posteriors(loc=LOC, scale=SCALE):
    return Normal(jnp.asarray(loc)[:, None], jnp.asarray(scale)[:, None]).to_event(1)


def by_quadrature(log_q, log_p):
    """KL(q || p) of two densities on the line, nats."""

    def integrand(z):
        return np.exp(log_q(z)) * (log_q(z) - log_p(z))

    return integrate.quad(integrand, -12, 12, limit=200, epsabs=1e-10)[0]


@pytest.fixture(scope="module")
def parts():
    return kl_surgery(jax.random.key(0), posteriors(), PRIOR, 5000)


def test_the_parts_are_those_of_quadrature(parts):
    each = [stats.norm(m, s).logpdf for m, s in zip(LOC, SCALE, strict=True)]

    def mixture(z):
        return np.logaddexp.reduce([log_q(z) for log_q in each]) - np.log(4)

    prior = stats.norm(0, 1.3).logpdf
    expected = {
        "mean_kl": np.mean([by_quadrature(log_q, prior) for log_q in each]),
        "mutual_information": np.mean([by_quadrature(log_q, mixture) for log_q in each]),
        "marginal_kl": by_quadrature(mixture, prior),
    }
    for name, value in expected.items():
        estimate = getattr(parts, name)
        assert abs(estimate.value - value) < 4 * estimate.standard_error, name
        assert 0 < estimate.standard_error < 0.02 * value


def test_the_parts_sum_to_the_mean_kl(parts):
    total = parts.mutual_information.value + parts.marginal_kl.value
    np.testing.assert_allclose(total, parts.mean_kl.value, rtol=1e-5)
    closed = closed_form_kl(posteriors(), PRIOR).mean()
    assert abs(parts.mean_kl.value - closed) < 4 * parts.mean_kl.standard_error


@pytest.mark.slow
@pytest.mark.parametrize("num_samples", [2, 20])
def test_the_standard_error_is_that_of_many_runs(num_samples):
    """Of two draws one that divides by K in place of K - 1 is 1.4 times too small."""
    loc = np.stack([LOC, LOC[::-1]], -1)
    q, p = Normal(loc, SCALE[:, None]).to_event(1), Normal(jnp.zeros(2), 1.3).to_event(1)
    keys = jax.random.split(jax.random.key(1), 2000)
    runs = jax.vmap(lambda key: kl_surgery(key, q, p, num_samples))(keys)
    for name, estimate in runs._asdict().items():
        spread = estimate.value.std(ddof=1)  # relative error 1 / sqrt(2 * 2000) = 1.6%
        mean_square = jnp.sqrt((estimate.standard_error**2).mean())
        np.testing.assert_allclose(spread, mean_square, rtol=0.08, err_msg=name)


@pytest.mark.slow
def test_posteriors_that_are_one_know_nothing_and_far_ones_know_which():
    same = kl_surgery(jax.random.key(0), posteriors(np.ones(5), np.ones(5)), PRIOR)
    np.testing.assert_allclose(same.mutual_information.value, 0, atol=1e-6)
    np.testing.assert_allclose(same.marginal_kl.value, same.mean_kl.value, rtol=1e-5)
    far = kl_surgery(jax.random.key(0), posteriors(100.0 * np.arange(5), np.ones(5)), PRIOR)
    np.testing.assert_allclose(far.mutual_information.value, np.log(5), rtol=1e-6)


@pytest.mark.parametrize(("q", "num_samples"), [(PRIOR, 10), (posteriors(), 1)])
def test_what_has_no_parts_is_refused(q, num_samples):
    with pytest.raises(UserError, match="at least 2 draws"):
        kl_surgery(jax.random.key(0), q, PRIOR, num_samples)


A = np.array([[0.9, 0.5], [-0.2, 0.7]])  # E[z | x] = A x
S = np.array([[0.3, 0.1], [0.1, 0.2]])  # Cov[z | x] of the full normal; its diagonal of the other
N = 1500


def linear_gaussian(posterior, seed=0):
    """A run of N examples x ~ N(0, I), q(z|x) = N(Ax + b, S), and the covariances of q(z|x), q(z)."""
    x, b = np.random.default_rng(seed).normal(size=(N, 2)), np.array([0.3, -0.1])
    covariance = S if posterior == "full_normal" else np.diag(np.diag(S))
    L = np.linalg.cholesky(covariance)
    more = [2**0.5 * L[1, 0]] if posterior == "full_normal" else []
    bias = [*b, *np.log(np.diag(L)), *more]
    kernel = np.zeros((2, len(bias)))
    kernel[:, :2] = A.T
    run = run_with(x, kernel, bias, latent_dim=2, posterior=posterior)
    return run, covariance, A @ A.T + covariance, b


@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["diag_normal", "full_normal"])
def test_the_numbers_are_those_of_a_linear_gaussian_model(posterior):
    """q(z) = N(b, AA' + S): its entropies are known. The mixture of N is one but for O(1 / N)."""
    run, covariance, C, b = linear_gaussian(posterior)
    results = evaluate(run, estimators="surgery(num_samples=2)", batch_size=N, quiet=True)
    numbers, variances = results["numbers"], np.diag(C)
    log_det, log_variances = np.linalg.slogdet(C)[1], np.log(variances).sum()
    prior = 0.5 * (variances + b**2 - 1 - np.log(variances)).sum()
    information = 0.5 * (log_det - np.linalg.slogdet(covariance)[1])
    expected = {
        "mutual_information": information,
        "total_correlation": 0.5 * (log_variances - log_det),
        "dimension_kl": prior,
        "marginal_kl": prior + 0.5 * (log_variances - log_det),
        "mean_kl": prior + 0.5 * (log_variances - log_det) + information,
    }
    for name, value in expected.items():
        number = numbers[name]
        assert abs(number["mean"] - value) < 5 * number["standard_error"], name
        assert number["standard_error"] < 0.05
        assert 0 < number["monte_carlo_error"] < number["standard_error"]
        assert "remark" not in number
    by_unit = results["per_example"]["dimension_kl_by_unit"]
    assert by_unit.shape == (N, 2)
    each = 0.5 * (variances + b**2 - 1 - np.log(variances))
    error = by_unit.std(0, ddof=1) / N**0.5
    assert (abs(by_unit.mean(0) - each) < 5 * error).all()


def test_the_kl_to_the_prior_is_total_correlation_and_dimensions():
    run, *_ = linear_gaussian("diag_normal")
    values = evaluate(run, estimators="surgery", num_examples=40, quiet=True)["per_example"]
    parts = values["total_correlation"] + values["dimension_kl"]
    np.testing.assert_allclose(parts, values["marginal_kl"], atol=1e-5)
    np.testing.assert_allclose(
        values["dimension_kl_by_unit"].sum(1), values["dimension_kl"], atol=1e-5
    )
    again = evaluate(run, estimators="surgery", num_examples=40, batch_size=7, quiet=True)
    for name, array in again["per_example"].items():
        np.testing.assert_allclose(array, values[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_standard_errors_are_those_of_other_data():
    """Over examples: x is drawn again, and with it q(z)."""
    run, *_ = linear_gaussian("diag_normal")
    estimator, rng, told = surgery(), np.random.default_rng(1), []

    @jax.jit
    def program(params, key, x):
        return estimator.of_examples(run.model, params, jax.random.split(key, len(x)), Batch(x))

    for key in jax.random.split(jax.random.key(0), 200):
        values = program(run.params, key, rng.normal(size=(60, 2)).astype(np.float32))
        values = {n: np.asarray(v, np.float64) for n, v in values.items()}
        derived = estimator.derive(run.facts, values)
        told.append({name: (a.mean(), standard_error(a)) for name, a in derived.items()})
    for name in ("mean_kl", "mutual_information", "marginal_kl", "dimension_kl"):
        means, errors = np.transpose([numbers[name] for numbers in told])
        mean_square = np.sqrt((errors**2).mean())
        np.testing.assert_allclose(
            mean_square, means.std(ddof=1), rtol=0.25, err_msg=name
        )  # 5 x 5%


@pytest.mark.slow
def test_few_examples_are_said_to_hide_information():
    run, *_ = linear_gaussian("diag_normal")
    numbers = evaluate(run, estimators="surgery", num_examples=5, quiet=True)["numbers"]
    information = numbers["mutual_information"]
    assert np.log(5) - 1 < information["mean"] < np.log(5)
    assert "log n = 1.61, the most of 5 examples" in information["remark"]


OF_PARTS = [case for case in CASES if case[0] in ("prior", "posterior")]
FEW = [("prior", "mixture"), ("posterior", "iaf")]
MANY = [pytest.param(case, marks=pytest.mark.slow) for case in OF_PARTS if case not in FEW]
NO_MARGINALS = ("householder", "planar", "iaf")
PRODUCTS = (
    *("standard_normal", "normal", "laplace", "student_t", "logistic", "uniform", "layered"),
    "conditional",  # on nothing: a normal
)


@pytest.mark.parametrize("case", [*FEW, *MANY], ids="-".join)
def test_each_prior_and_posterior_has_the_parts_that_are_known(case):
    model, params, x, _ = example_of(*case)
    estimator = surgery()
    keys = jax.random.split(jax.random.key(0), len(x))
    values = jax.jit(lambda p, k, x: estimator.of_examples(model, p, k, Batch(x)))(params, keys, x)
    values = {n: np.asarray(v, np.float64) for n, v in values.items()}
    facts = find_facts(model, params, x.shape[1:])
    estimator.require(facts)
    numbers = estimator.summary(values | estimator.derive(facts, values))
    role, name = case
    without = set()
    if role == "prior" and name not in PRODUCTS:
        without = {"dimension_kl"}
    elif role == "posterior" and name in NO_MARGINALS:
        without = {"dimension_kl", "total_correlation"}
    assert set(estimator.quantities) - set(numbers) == without
    assert all(np.isfinite(number.mean) for number in numbers.values())
    remark = numbers["marginal_kl"].remark
    assert {n for n in estimator.quantities if f"no {n}" in remark} == without


def test_draws_that_memory_does_not_hold_are_refused():
    run, *_ = linear_gaussian("diag_normal")
    facts = run.facts._replace(dataset=run.dataset, split="test")
    with pytest.raises(UserError, match="50000 draws of 2 numbers for 1,500 examples"):
        surgery(num_samples=50_000).require(facts)


def test_p_values_of_equal_distributions_are_uniform():
    rng, p = np.random.default_rng(0), []
    for seed in range(300):
        p.append(two_samples(rng.normal(size=(15, 2)), rng.normal(size=(15, 2)), seed).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert stats.binomtest(int((np.array(p) <= 0.05).sum()), 300, 0.05).pvalue > 0.01


def test_the_discrepancy_is_that_of_two_normals_and_its_error_that_of_many():
    """E k(x, x') = s / sqrt(s^2 + 2) for N(0, 1), times exp(-m^2 / 2 (s^2 + 2)) for means m apart."""
    rng, m, estimates = np.random.default_rng(0), 0.8, []
    for _ in range(200):
        x, y = rng.normal(size=(120, 1)), m + rng.normal(size=(120, 1))
        s = np.median(pdist(np.concatenate([x, y])))
        truth = 2 * s / np.sqrt(s**2 + 2) * (1 - np.exp(-(m**2) / (2 * (s**2 + 2))))
        test = two_samples(x, y, permutations=1)
        estimates.append((test.mmd - truth, test.error))
    apart, errors = np.array(estimates).T
    assert abs(apart.mean()) < 5 * apart.std(ddof=1) / 200**0.5
    np.testing.assert_allclose(np.sqrt((errors**2).mean()), apart.std(ddof=1), rtol=0.2)
    assert two_samples(x, y).p < 0.01


def test_a_posterior_that_is_the_prior_passes_and_one_that_is_not_fails():
    x = np.random.default_rng(0).normal(size=(200, 2))
    kernel = np.concatenate([0.6 * np.eye(2), np.zeros((2, 2))], 1)
    equal = run_with(x, kernel, [0, 0, np.log(0.8), np.log(0.8)], latent_dim=2)  # 0.6^2 + 0.8^2 = 1
    moved = run_with(x, kernel, [0.8, 0, np.log(0.8), np.log(0.8)], latent_dim=2)
    of_equal, of_moved = (
        evaluate(run, estimators="surgery", quiet=True)["numbers"] for run in (equal, moved)
    )
    assert of_equal["mmd_prior_p"]["mean"] > 0.05
    assert of_moved["mmd_prior_p"]["mean"] == pytest.approx(1 / 1001)
    assert of_moved["mmd_prior"]["n"] == 200


@pytest.mark.slow
def test_marginals_of_a_full_normal_are_those_of_scipy():
    """They make the total correlation of posteriors that do not factorize."""
    q = MultivariateNormal(jnp.zeros((1, 2)), jnp.asarray(S)[None])
    estimate = kl_surgery(jax.random.key(0), q, Normal(jnp.zeros(2), 1).to_event(1), 4000)
    exact = -0.5 * np.log(1 - S[0, 1] ** 2 / S[0, 0] / S[1, 1])
    assert (
        abs(estimate.total_correlation.value - exact)
        < 5 * estimate.total_correlation.standard_error
    )
