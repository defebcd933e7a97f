"""Sampled estimators of KL(q || p) against closed forms and quadrature, judged in their errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as d
import pytest
import scipy.stats as st

from vae_jax.config import components
from vae_jax.divergences import closed_form_kl
from vae_jax.errors import UserError
from vae_jax.kl_estimators._draws import mean_and_error
from vae_jax.types import is_biased

NAMES = components.names("kl_estimators")
find = {name: components.find("kl_estimators", name) for name in NAMES}
jit = functools.partial(jax.jit, static_argnums=3)  # of an estimator, K static
KEY = jax.random.key(0)
GRID = np.linspace(-60, 60, 400_001)

# q and p, and their log densities by SciPy
PAIRS = {
    "normal-normal": (d.Normal(0.5, 1.2), d.Normal(0, 1), st.norm(0.5, 1.2).logpdf, st.norm.logpdf),
    "laplace-normal": (
        d.Laplace(0.3, 0.8),
        d.Normal(0, 2),
        st.laplace(0.3, 0.8).logpdf,
        st.norm(0, 2).logpdf,
    ),
    "mixture-logistic": (
        d.MixtureSameFamily(
            d.Categorical(probs=jnp.array([0.3, 0.7])), d.Normal(jnp.array([-2.0, 1]), 1.5)
        ),
        d.Logistic(0, 0.8),
        lambda z: np.logaddexp(
            np.log(0.3) + st.norm(-2, 1.5).logpdf(z), np.log(0.7) + st.norm(1, 1.5).logpdf(z)
        ),
        st.logistic(0, 0.8).logpdf,
    ),
}
LACKS = {("partly_analytic", "mixture-logistic")}


def moments(pair):
    """E_q[log q - log p] and E_q[(log q - log p)^2] by the trapezoidal rule in float64."""
    log_q, log_p = PAIRS[pair][2](GRID), PAIRS[pair][3](GRID)
    weight = np.exp(log_q) * (GRID[1] - GRID[0])
    return [(weight * (log_q - log_p) ** n).sum() for n in (1, 2)]


def expected(name, pair):
    kl, square = moments(pair)
    return 0.5 * square if name == "half_squared" else kl


def repeat(name, q, p, num_samples, repetitions, seed=0, **options):
    """Values and standard errors of `repetitions` keys, float64."""
    keys = jax.random.split(jax.random.key(seed), repetitions)

    def one(key):
        return find[name](key, q, p, num_samples, **options)

    return [
        np.asarray(x, float)
        for x in jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=50))(keys)
    ]


@functools.cache
def two_million(name, pair):
    return repeat(name, *PAIRS[pair][:2], 1024, 2000)


def degrees_of_freedom(name, num_samples):
    few = {"antithetic": num_samples // 2 - 1, "stratified": 7, "quasi_monte_carlo": 7}
    return few.get(name, num_samples - 1)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", NAMES)
def test_unbiased(name, pair):
    """Two million draws; half_squared against its own expectation; 2e-6 for float32's rounding."""
    if (name, pair) in LACKS:
        pytest.skip("q lacks what it needs")
    values, _ = two_million(name, pair)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected(name, pair)) < 5 * error + 2e-6


def test_half_squared_is_biased():
    """So that the test above would see a bias."""
    kl, square = moments("laplace-normal")
    values, _ = two_million("half_squared", "laplace-normal")
    assert abs(values.mean() - kl) > 20 * values.std() / np.sqrt(2000)
    assert abs(square / 2 - kl) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_truth_as_often_as_they_say(name):
    """95% intervals of 2,000 repetitions; Student's t of the documented degrees of freedom."""
    values, errors = two_million(name, "laplace-normal")
    normal = st.norm.ppf(0.975)
    quantile = st.t.ppf(0.975, degrees_of_freedom(name, 1024)) if name != "plain" else normal
    inside = np.abs(values - expected(name, "laplace-normal")) < quantile * errors
    assert 0.93 < inside.mean() < 0.97


def test_the_error_of_few_values():
    """1, 2 and 6: their variance is 7, with two degrees of freedom."""
    estimate = mean_and_error(jnp.array([1.0, 2.0, 6.0]))
    np.testing.assert_allclose(estimate, (3.0, np.sqrt(7 / 3)), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("num_samples", [5, 100])
@pytest.mark.parametrize("name", NAMES)
def test_squared_errors_are_unbiased_variances(name, num_samples):
    """At small K too, where a normal's intervals are no test."""
    values, errors = repeat(name, *PAIRS["laplace-normal"][:2], num_samples, 4000, seed=2)
    squares = (values - values.mean()) ** 2 - errors**2
    assert abs(squares.mean()) < 5 * squares.std() / np.sqrt(len(values))


def slope(name, q, p, counts, repetitions=200):
    """d log std / d log K."""
    spreads = [repeat(name, q, p, k, repetitions)[0].std() for k in counts]
    return np.polyfit(np.log(counts), np.log(spreads), 1)[0]


@pytest.mark.slow
def test_spread_falls_as_theory_says():
    """The slopes' errors are about 0.02: 1 / sqrt(2 * 200) at each K, over a range of log 32."""
    q, p = PAIRS["laplace-normal"][:2]
    counts = [64, 2048]
    assert abs(slope("plain", q, p, counts) + 0.5) < 0.1
    assert slope("stratified", q, p, counts) < -0.95
    assert slope("quasi_monte_carlo", q, p, counts) < -0.95
    plane = [each.expand([2]).to_event(1) for each in (q, p)]
    assert slope("quasi_monte_carlo", *plane, counts) < -0.9


@pytest.mark.parametrize(
    ("name", "limit"), [("antithetic", 1e-10), ("stratified", 0.03), ("quasi_monte_carlo", 0.1)]
)
def test_variance_is_below_plain_for_a_sum_of_monotone_functions(name, limit):
    """Two normals of the same scale have a linear log ratio: odd, monotone, a sum."""
    q, p = (d.Normal(jnp.full(5, m), 1).to_event(1) for m in (0.7, 0.0))
    small, large = (repeat(n, q, p, 256, 200)[0].var() for n in (name, "plain"))
    assert small < limit * large


def test_control_variates_explain_two_normals():
    """A quadratic log ratio leaves rounding only, from the 16 C = 112 draws on that it asks for."""
    q = d.Normal(jnp.array([0.5, -1, 2]), jnp.array([0.5, 1, 2])).to_event(1)
    p = d.Normal(jnp.zeros(3), 1.5).to_event(1)
    estimate = jit(find["control_variate"])(KEY, q, p, 112)
    np.testing.assert_allclose(estimate.value, closed_form_kl(q, p), rtol=1e-5)
    assert estimate.standard_error < 1e-5
    flowing = [d.TransformedDistribution(each, d.transforms.ExpTransform()) for each in (q, p)]
    estimate = jit(find["control_variate"])(KEY, *flowing, 112)
    np.testing.assert_allclose(estimate.value, closed_form_kl(q, p), rtol=1e-5)


def test_control_variates_leave_out_infinite_moments():
    """KL of two Cauchy distributions: log [(s + t)^2 + (a - b)^2] / (4 s t) (Chyzak & Nielsen)."""
    estimate = jit(find["control_variate"])(KEY, d.Cauchy(0, 1), d.Cauchy(0.5, 2), 500)
    assert abs(estimate.value - np.log((3**2 + 0.5**2) / 8)) < 5 * estimate.standard_error


@pytest.mark.slow
def test_a_squared_control_wants_a_fourth_moment():
    """Student's t with 2 < df <= 4 has a variance, and its squares have none."""
    q, p = d.StudentT(2.1, 0.3, 1.2), d.StudentT(1.5, -0.5, 0.8)
    keys = jax.random.split(KEY, 1000)

    def all_of(name):
        return jax.jit(jax.vmap(lambda key: find[name](key, q, p, 256)))(keys)

    controlled, plain = all_of("control_variate"), all_of("plain")
    assert controlled.value.std() < 1.5 * plain.value.std()
    truth = plain.value.mean()
    covered = (jnp.abs(controlled.value - truth) < 1.96 * controlled.standard_error).mean()
    assert covered > 0.92  # of 1,000 intervals of 95%, whose share has an error of 0.007


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_jit_and_vmap_change_nothing(name):
    q, p = PAIRS["laplace-normal"][:2]
    keys = jax.random.split(jax.random.key(3), 2)

    def one(key):
        return find[name](key, q, p, 50)

    alone = one(keys[0]), jax.jit(one)(keys[1])
    together = jax.jit(jax.vmap(one))(keys)
    for i in (0, 1):
        np.testing.assert_allclose(together.value[i], alone[i].value, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            together.standard_error[i], alone[i].standard_error, rtol=1e-3, atol=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_batch_axes_and_few_draws(name):
    """Each of a batch has its own KL and draws of its own; any K will do, and one has no error."""
    loc = jnp.array([[0.0, 1.0], [0.5, -0.5], [0.0, 1.0]])
    q, p = d.Normal(loc, 1.3).to_event(1), d.Normal(jnp.zeros(2), 1).to_event(1)
    for num_samples in (1, 2, 3, 1024):
        estimate = jit(find[name])(KEY, q, p, num_samples)
        assert estimate.value.shape == estimate.standard_error.shape == (3,)
        assert np.isfinite(estimate.value).all()
        has_no_error = num_samples < (4 if name == "antithetic" else 2)
        assert np.isnan(estimate.standard_error).all() == has_no_error
    if name != "control_variate":  # exact here
        assert estimate.value[0] != estimate.value[2]
    if name != "half_squared":
        assert (
            np.abs(estimate.value - closed_form_kl(q, p)) < 5 * estimate.standard_error + 1e-5
        ).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_more_evaluations_than_asked_for(name):
    """log p is evaluated at most K times, and at more than half as many."""
    seen, q = [], d.Normal(0, 1)

    class Counting(d.Normal):
        def log_prob(self, value, intermediates=None):
            seen.append(value.size)
            return super().log_prob(value)

    for num_samples in (1, 2, 3, 7, 16, 31, 100, 1000):
        seen.clear()
        jax.eval_shape(lambda key, k=num_samples: find[name](key, q, Counting(0, 1), k), KEY)
        assert num_samples / 2 < sum(seen) <= num_samples


def test_mistakes_are_told_in_one_line():
    normal, mixture = d.Normal(0, 1), PAIRS["mixture-logistic"][0]
    needs_inverse = ("antithetic", "stratified", "quasi_monte_carlo")
    for name, q, message in (
        *(
            (name, d.VonMises(0.0, 1.0), "VonMises has no inverse CDF: use")
            for name in needs_inverse
        ),
        *((name, d.Gamma(2.0), "Gamma has no inverse CDF: use") for name in needs_inverse),
        *((name, d.Dirichlet(jnp.ones(3)), "Dirichlet has no inverse") for name in needs_inverse),
        ("partly_analytic", mixture, "MixtureSameFamily has no entropy in closed form: use"),
        ("control_variate", d.Gompertz(1.0, 1.0), "Gompertz has no known mean and variance: use"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            jit(find[name])(KEY, q, normal, 8)
        assert "\n" not in str(raised.value)
    for name in NAMES:
        with pytest.raises(UserError, match="num_samples=0: a positive integer is needed"):
            find[name](KEY, normal, normal, 0)
    for name in ("stratified", "quasi_monte_carlo"):
        with pytest.raises(
            UserError, match=f"^{name}: least_replicates=1: an integer of 2 or more is needed"
        ):
            find[name](KEY, normal, normal, 8, least_replicates=1)


@pytest.mark.parametrize("name", NAMES)
def test_an_estimator_that_is_not_marked_is_unbiased_also_where_p_reaches_farther(name):
    """q is uniform on (-0.5, 1), where p has not all of its mass: E_q[p / q] is not 1."""
    q, p = d.Uniform(-0.5, 1.0), d.Normal(0.0, 1.0)
    grid = np.linspace(-0.5, 1.0, 100_001)
    kl = np.trapezoid((np.log(1 / 1.5) - st.norm.logpdf(grid)) / 1.5, grid)
    values, _ = repeat(name, q, p, 16, 4000)
    error = values.std(ddof=1) / np.sqrt(len(values)) + 1e-6
    off = abs(values.mean() - kl) / error
    assert (off > 20) if is_biased(find[name]) else (off < 5), off
