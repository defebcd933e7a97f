"""Events, parameters and refusals of likelihoods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, Normal

from tests.likelihoods.references import (
    make,
)
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid
from vae_jax.datasets._making import make_dataset
from vae_jax.distributions.flat import Flat
from vae_jax.distributions.level_categorical import LevelCategorical
from vae_jax.types import Batch


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bernoulli", 1.5, "1.5: the likelihood takes a number from 0 to 1"),
        ("continuous_bernoulli", -0.5, "takes a number from 0 to 1"),
        ("beta", 0.0, "0.0: the likelihood takes a number between 0 and 1, neither included"),
        ("beta", 1.0, "neither included"),
        ("categorical(levels=4)", 4, "4.0: the likelihood takes an integer from 0 to 3"),
        ("discretized_logistic(levels=4)", 0.5, "takes an integer from 0 to 3"),
        ("discretized_logistic_mixture", 256, "takes an integer from 0 to 255"),
        ("binomial(total_count=4)", -1, "takes an integer from 0 to 4"),
        ("poisson", 0.5, "0.5: the likelihood takes an integer of 0 or more"),
        ("negative_binomial", -1, "takes an integer of 0 or more"),
        ("zero_inflated_negative_binomial", 2.5, "takes an integer of 0 or more"),
    ],
)
def test_data_outside_the_support_is_an_error_of_one_line(name, value, expected):
    good = 0.5 if name in ("bernoulli", "continuous_bernoulli", "beta") else 1.0
    model = build_model((2,), 1, likelihood=name)
    dataset = make_dataset({"train": np.full((3, 2), good, np.float32)})
    require_valid(dataset, model)
    dataset.splits["train"][1, 1] = value
    with pytest.raises(UserError) as caught:
        require_valid(dataset, model)
    assert str(caught.value).startswith("data: train split, example 1, element [1] is")
    assert str(caught.value).endswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal(scale=0.0)", "normal: scale=0.0: a positive number is needed"),
        ("laplace(min_scale=-1.0)", "min_scale=-1.0: a number of 0 or more is needed"),
        ("logistic(scale='predicted', min_scale=0.0)", "a positive floor is needed"),
        ("normal(scale='optimal', min_scale=0.0)", "a positive floor is needed"),
        ("student_t(df=1.0)", "student_t: df=1.0: a number above 1 is needed"),
        ("laplace(scale='optimal')", "is not of type"),
        ("categorical(levels=1)", "levels=1: an integer of 2 or more is needed"),
        ("discretized_logistic_mixture(components=0)", "a positive integer is needed"),
        ("binomial(total_count=0)", "total_count=0: a positive integer is needed"),
        ("negative_binomial(dispersion='none')", "is not of type"),
    ],
)
def test_what_cannot_be_is_said(text, expected):
    with pytest.raises(UserError, match=expected):
        make(text)


def test_an_event_is_the_sum_of_its_elements():
    """As NumPyro's own `to_event`, with axes for draws and batches, and axes after the event's."""
    key = jax.random.key(0)
    loc, logits = jax.random.normal(key, (5, 2, 3, 1)), jax.random.normal(key, (5, 2, 3, 1, 4))
    for base in (Normal(loc, jnp.arange(1.0, 7).reshape(2, 3, 1)), LevelCategorical(logits)):
        flat, usual = Flat(base, 3), Independent(base, 3)
        x = flat.sample(key, (7,))
        assert x.shape == (7, 5, 2, 3, 1)
        through_jit = jax.jit(lambda p, x: p.log_prob(x))  # the distribution as a pytree
        np.testing.assert_allclose(through_jit(flat, x), usual.log_prob(x), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("laplace(scale='learned')", {"log_scale": ()}),
        ("laplace(scale='learned_per_element')", {"log_scale": (2, 3)}),
        ("poisson", {"log_rate": (2, 3)}),
        ("negative_binomial(dispersion='learned')", {"log_rate": (2, 3), "log_dispersion": ()}),
        ("zero_inflated_negative_binomial", {"log_rate": (2, 3), "log_dispersion": (2, 3)}),
    ],
)
def test_parameters_are_per_element_where_they_are_said_to_be(text, shapes):
    _, params = make(text, (2, 3))
    assert jax.tree.map(jnp.shape, params["likelihood"]) == shapes


def test_the_optimal_scale_is_the_maximum_likelihood_one():
    """After refits to one batch p(x) is largest at its s, which has no gradient (Rybkin et al.)."""
    likelihood, params = make("normal(scale='optimal')")
    key = jax.random.key(0)
    f, x = jax.random.normal(key, (40, 1, 1)), 0.3 * jax.random.normal(jax.random.key(1), (40, 1))

    def total(params):
        return likelihood.distribution(params, f).log_prob(x).sum()

    def branch(error):
        return {"likelihood": {"untrained": {"squared_error": error}}}

    for _ in range(200):
        params = {"likelihood": likelihood.refit(params, f, Batch(x))}
    variance = params["likelihood"]["untrained"]["squared_error"]
    np.testing.assert_allclose(variance, np.mean((f[..., 0] - x) ** 2), rtol=1e-5)
    at = [float(total(branch(variance * c))) for c in (0.9, 1.0, 1.1)]
    assert at[1] > max(at[0], at[2])
    assert jax.tree.leaves(jax.grad(total)(params)) == [0]
    [part] = jax.tree.leaves(likelihood.refit(branch(0.0), f, Batch(x)))
    np.testing.assert_allclose(part, 0.1 * variance, rtol=1e-4)
