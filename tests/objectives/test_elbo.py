"""The ELBO: schedules and floors of the KL in training, and any estimator in its place."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae_jax
from tests.compiled import compiled
from vae_jax import build_model
from vae_jax.config import components
from vae_jax.divergences import kl_per_dimension
from vae_jax.errors import UserError
from vae_jax.objectives._kl import OF_KL
from vae_jax.types import Context, is_biased

elbo = compiled(vae_jax.elbo)


@pytest.mark.slow
def test_schedules_and_floors_of_the_elbo(small, bits, keys):
    plain = vae_jax.elbo(*small, keys, bits)
    likelihood, kl = (float(plain.terms[name].mean()) for name in ("log_likelihood", "kl"))
    cycle = {"warmup_steps": 4, "cycle_steps": 10}
    for options, step, penalty in (
        *((cycle, step, weight * kl) for step, weight in ((0, 0), (3, 0.75), (4, 1), (9, 1))),
        *((cycle, step, weight * kl) for step, weight in ((10, 0), (11, 0.25), (27, 1), (None, 1))),
        ({"free_bits_total": 0.5 * kl}, 0, kl),
        ({"free_bits_total": 2 * kl, "beta": 3.0}, 0, 6 * kl),
        ({"capacity": 3 * kl}, 0, 2 * kl),
        ({"capacity": 0.0, "beta": 2.0}, None, 2 * kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, 4, kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, 1, kl / 2),
        ({"capacity": 3 * kl, "capacity_steps": 6, "beta": 5.0}, 99, 10 * kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, None, 2 * kl),
    ):
        bound = vae_jax.elbo(*small, keys, bits, Context(step), **options)
        np.testing.assert_allclose(bound.surrogate, likelihood - penalty, rtol=1e-5)
        np.testing.assert_array_equal(bound.value, plain.value)
    sampled = vae_jax.elbo(*small, keys, bits, kl="sampled", free_bits_total=100.0)
    np.testing.assert_allclose(sampled.surrogate, likelihood - 100, rtol=1e-5)
    per_dimension = kl_per_dimension(small[0].encode(small[1], bits), small[0].prior(small[1]))
    np.testing.assert_allclose(per_dimension.sum(-1), plain.terms["kl"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["standard_normal", "mixture(components=3)"])
@pytest.mark.parametrize(
    "name", [*components.names("kl_estimators"), "stratified(least_replicates=2)"]
)
def test_the_kl_may_be_any_estimator_and_a_biased_one_is_never_reported(
    name, prior, small, bits, keys
):
    """The estimate from a key of its own is what is differentiated; the rest is as without it."""
    model = build_model(
        (1, 5, 1), 2, encoder="mlp(hidden=(8,))", decoder="mlp(hidden=(8,))", prior=prior
    )
    params = small[1] | {"prior": model.init(jax.random.key(3), bits)["prior"]}
    estimator = components.build("kl_estimators", name)

    @jax.jit
    def estimates(params):
        def one(key, x):
            q, p = model.encode(params, x), model.prior(params)
            return estimator(jax.random.fold_in(key, OF_KL), q, p, 8).value

        return jax.vmap(one)(keys, bits)

    usual, bound = (elbo(model, params, keys, bits, num_samples=8, kl=kl) for kl in ("auto", name))
    likelihood = usual.terms["log_likelihood"]
    np.testing.assert_allclose(bound.terms["log_likelihood"], likelihood, rtol=1e-5)
    penalty = likelihood.mean() - bound.surrogate
    np.testing.assert_allclose(penalty, estimates(params).mean(), rtol=1e-3, atol=1e-5)
    reported = usual.terms["kl"] if is_biased(estimator) else estimates(params)
    np.testing.assert_allclose(bound.value, likelihood - reported, rtol=1e-4, atol=1e-5)
    assert bound.terms.keys() == {"log_likelihood", "kl"}


@pytest.mark.slow
def test_the_gradient_is_that_of_the_estimator(small, bits, keys):
    """A biased estimator is differentiated, though its value is not reported."""
    model, params = small

    def surrogate(params, kl):
        return vae_jax.elbo(model, params, keys, bits, num_samples=4, kl=kl).surrogate

    def by_hand(params):
        def one(key, x):
            q = model.encode(params, x)
            z = q.sample(jax.random.fold_in(key, OF_KL), (4,))
            return jnp.mean((q.log_prob(z) - model.prior(params).log_prob(z)) ** 2) / 2

        likelihood = vae_jax.elbo(model, params, keys, bits, num_samples=4).terms["log_likelihood"]
        return likelihood.mean() - jax.vmap(one)(keys, bits).mean()

    ours, expected = (
        jax.jit(jax.grad(partial(surrogate, kl="half_squared")))(params),
        jax.jit(jax.grad(by_hand))(params),
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), ours, expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kl": "plane"}, "did you mean 'plain'"),
        ({"kl": "plain", "free_bits": 0.1}, "free_bits needs the closed form"),
        ({"kl": "plain", "gradient": "stl"}, "gradient='stl'"),
        ({"kl": "closed_form", "gradient": "stl"}, "gradient='stl'"),
    ],
)
def test_a_kl_that_does_not_go_with_the_rest_is_refused(options, expected, small, bits, keys):
    with pytest.raises(UserError, match=expected):
        vae_jax.elbo(*small, keys, bits, **options)
