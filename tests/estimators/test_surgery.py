import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal
from scipy import integrate, stats

from vae_jax.divergences import closed_form_kl
from vae_jax.errors import UserError
from vae_jax.estimators.surgery import kl_surgery

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
def surgery():
    return kl_surgery(jax.random.key(0), posteriors(), PRIOR, 5000)


def test_the_parts_are_those_of_quadrature(surgery):
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
        estimate = getattr(surgery, name)
        assert abs(estimate.value - value) < 4 * estimate.standard_error, name
        assert 0 < estimate.standard_error < 0.02 * value


def test_the_parts_sum_to_the_mean_kl(surgery):
    parts = surgery.mutual_information.value + surgery.marginal_kl.value
    np.testing.assert_allclose(parts, surgery.mean_kl.value, rtol=1e-5)
    closed = closed_form_kl(posteriors(), PRIOR).mean()
    assert abs(surgery.mean_kl.value - closed) < 4 * surgery.mean_kl.standard_error


def test_the_standard_error_is_that_of_many_runs():
    keys = jax.random.split(jax.random.key(1), 2000)
    runs = jax.vmap(lambda key: kl_surgery(key, posteriors(), PRIOR, 20))(keys)
    for estimate in runs:
        spread = estimate.value.std(ddof=1)  # relative error 1 / sqrt(2 * 2000) = 1.6%
        mean_square = jnp.sqrt((estimate.standard_error**2).mean())
        np.testing.assert_allclose(spread, mean_square, rtol=0.07)


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
