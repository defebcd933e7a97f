"""Distributions by name, as the command takes them."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats

from vae_jax.errors import UserError
from vae_jax.kl_comparison.pairs.named import distribution, names, pair, snake_case


def test_every_distribution_has_one_name_of_its_own():
    classes = [n for n, c in vars(dist).items() if isinstance(c, type) and issubclass(c, dist.Distribution)]  # fmt: skip
    snakes = [snake_case(name) for name in classes]
    assert len(set(snakes)) == len(snakes) > 80
    assert set(snakes) - {"distribution"} <= set(names())
    expected = {"student_t", "lkj_cholesky", "car", "chi2", "multivariate_normal", "categorical"}
    assert expected | {"normal_mixture", "continuous_bernoulli"} <= set(names())


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("normal(loc=1, scale=2)", 0.3, stats.norm(1, 2).logpdf(0.3)),
        ("normal(loc=[0, 1], scale=[1, 2])", [0.3, 0.1],
         stats.norm([0, 1], [1, 2]).logpdf([0.3, 0.1]).sum()),
        ("asymmetric_laplace_quantile(quantile=0.5)", 0.7, stats.laplace(0, 2).logpdf(0.7)),
        ("multivariate_normal(loc=[0, 0], covariance_matrix=[[1, 0.5], [0.5, 1]])", [0.2, 0.4],
         stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).logpdf([0.2, 0.4])),
        ("log_normal(loc=1, scale=0.5)", 2.0, stats.lognorm(0.5, scale=np.e).logpdf(2)),
        ("discrete_uniform(low=2, high=6)", 4, stats.randint(2, 7).logpmf(4)),
        ("categorical(probs=[0.3, 0.7])", 1, np.log(0.7)),
        ("mixture_same_family(mixing_distribution=categorical(probs=[0.3, 0.7]), "
         "component_distribution=normal(loc=[-1, 1], scale=[1, 2]))", 0.4,
         np.log(0.3 * stats.norm(-1, 1).pdf(0.4) + 0.7 * stats.norm(1, 2).pdf(0.4))),
        ("normal_mixture(logits=[0, 0], loc=[[0, 1], [2, 3]], scale=[[1, 1], [1, 1]])", [1, 2],
         stats.multivariate_normal([0, 1]).logpdf([1, 2])),  # halfway between both components
        ("numpyro.distributions.Laplace(loc=1.0)", 0.0, stats.laplace(1).logpdf(0)),
        ("my_densities.from_rate(rate=4.0)", 0.1, stats.norm(0, 0.25).logpdf(0.1)),
    ],
)  # fmt: skip
def test_a_text_is_the_density_that_scipy_has(lab, text, value, expected):
    density = distribution(text)
    assert density.batch_shape == ()
    np.testing.assert_allclose(density.log_prob(jnp.asarray(value)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("q", "p", "expected"),
    [
        ("normall", "normal", "--q: unknown distribution 'normall': did you mean 'normal'?"),
        ("normal", "normal(lok=1)", "--p: unknown argument of normal 'lok': did you mean 'loc'?"),
        ("normal(scale=-1.0)", "normal", "normal: scale=-1.0: a positive number is needed"),
        ("normal(scale=0)", "normal", "scale=0: a positive number is needed"),
        ("normal(scale=1e-50)", "normal", "scale=1e-50: a positive number is needed"),  # 0 in single precision
        ("normal(loc=nan)", "normal", "loc=nan is not an array of numbers"),
        ("normal(loc=1e400)", "normal", "cannot read"),
        ("normal(loc=1e39)", "normal", "loc=1e+39 is not finite in float32"),
        ("normal(loc='a')", "normal", "is not an array of numbers"),
        ("normal(loc=[[1, 2], [3]])", "normal", "is not an array of numbers"),
        ("normal(loc=[0, 1], scale=[1, 2, 3])", "normal", "Incompatible shapes"),
        ("normal(1, 2)", "normal", "write name(argument=literal, ...)"),
        ("beta(concentration1=1)", "beta", "missing a required argument: 'concentration0'"),
        ("bernoulli(probs=1.5)", "normal", "probs=1.5: a number from 0 to 1 is needed"),
        ("multivariate_normal(loc=[0, 0], covariance_matrix=[[1, 2], [2, 1]])", "normal",
         "what NumPyro calls positive definite is needed"),
        ("uniform(low=1, high=0)", "normal", "not finite at its own draws"),
        ("mixture_same_family(mixing_distribution=1, component_distribution=normal)", "normal",
         "must be a numpyro.distributions.Categorical"),
        ("nowhere.Thing(a=1)", "normal", "no module 'nowhere'"),
        ("my_densities.Nothing", "normal", "my_densities defines no 'Nothing'"),
        ("my_densities.number", "normal", "my_densities.number is no function"),
        ("my_densities.text", "normal", "makes no NumPyro distribution"),
        ("normal", "normal(loc=[0])", "q has events of shape [], p of [1]"),
        ("normal", "poisson(rate=1)", "q is continuous, p discrete"),
        ("normal", "half_normal", "is infinite"),
        ("uniform(low=0, high=2)", "uniform", "is infinite: q(z) reaches from 0 to 2"),
        ("discrete_uniform(high=5)", "discrete_uniform(high=4)", "is infinite"),
        ("categorical(probs=[0.5, 0.5])", "categorical(probs=[1.0, 0.0])", "is infinite: p(z) is 0"),
        ("dirichlet(concentration=[1, 1])", "normal(loc=[0, 0])", "q lies on 1 dimension"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(lab, q, p, expected):
    with pytest.raises(UserError) as error:
        pair(q, p)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
