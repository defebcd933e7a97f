"""Examples that a model cannot be evaluated on are refused by every public function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import UserError, elbo, log_weights
from vae_jax.config import components
from vae_jax.config.events import strict
from vae_jax.estimators.importance import importance_sampling
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.types import Batch, Model, as_batch

KEY = jax.random.key(0)
OBJECTIVES = {n: components.build("objectives", n) for n in components.names("objectives")}
ESTIMATORS = {"log_weights": log_weights, "importance": importance_sampling}
PUBLIC = {**OBJECTIVES, **ESTIMATORS}


def by_quadrature(model, params, key, batch):
    """Without its key, as the others are called."""
    return log_p_by_quadrature(model, params, batch)


WRONG_SHAPES = [(5,), (12, 5), (12, 1, 5), (12, 1, 5, 1, 1), (12, 5, 1, 1), (12, 1, 1, 1), ()]


@pytest.mark.parametrize("name", [*PUBLIC, "quadrature"])
def test_another_shape_is_refused_also_while_tracing(name, small):
    function = {**PUBLIC, "quadrature": by_quadrature}[name]
    for shape in WRONG_SHAPES:
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        with pytest.raises(UserError, match=r"x has shape .* and \[\.\.\., 1, 5, 1\] is needed"):
            jax.eval_shape(functools.partial(function, small[0]), small[1], KEY, x)


@pytest.mark.parametrize("name", [*PUBLIC, "quadrature"])
@pytest.mark.parametrize("value", [2.0, -0.5, np.nan, np.inf])
def test_values_outside_the_support_are_refused_by_name(name, value, small, bits):
    x = bits.copy()
    x[3, 0, 2, 0] = value
    function = {**PUBLIC, "quadrature": by_quadrature}[name]
    with pytest.raises(UserError) as caught:
        function(*small, KEY, x)
    message = f"x: example 3, element [0, 2, 0] is {value}: the likelihood takes a number from 0"
    assert message in str(caught.value)


def test_under_jit_shapes_alone_are_looked_at(small, bits):
    value = jax.jit(functools.partial(elbo, small[0]))(small[1], KEY, 2 * bits).value
    assert value.shape == (12,)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", ">f4", "f2", "f8", "g"])
def test_numbers_of_every_type_are_floats(dtype, small, bits):
    expected = elbo(*small, KEY, bits).value
    np.testing.assert_array_equal(elbo(*small, KEY, bits.astype(dtype)).value, expected)
    for x in (bits.astype(dtype), Batch(bits.astype(dtype))):
        assert as_batch(x).x.dtype == jnp.float32


@pytest.mark.parametrize("x", [np.array(["a"]), np.zeros(3, complex), np.array([None]), KEY])
def test_what_is_no_number_is_refused(x):
    with pytest.raises(UserError, match=r"x is of dtype .*: real numbers are needed"):
        as_batch(x)


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("shape", [(5,), (1,), (12, 1), (2, 6)])
def test_keys_are_one_or_one_for_each_example(name, shape, small, bits):
    keys = jax.random.split(KEY, shape)
    with pytest.raises(UserError, match=r"keys .* one key, or one for each example, is needed"):
        PUBLIC[name](*small, keys, bits)


@pytest.mark.parametrize("key", [jnp.zeros((), int), jnp.zeros(2)])
def test_what_is_no_key_is_refused(key, small, bits):
    with pytest.raises(UserError, match="is no key, such as jax"):
        log_weights(*small, key, bits)


def test_latents_of_another_shape_are_refused(small):
    model, params = small
    for shape in ((), (3,), (2, 1), (4, 3)):
        with pytest.raises(UserError, match=r"z has shape .* \[\.\.\., 2\] is needed"):
            model.decode(params, jnp.zeros(shape))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 1, 1), (3, 1, 5), (5, 1)])
def test_a_likelihood_does_not_broadcast_x(shape, small):
    p = small[0].decode(small[1], jnp.zeros((3, 2)))
    with pytest.raises(UserError, match=r"x has shape .* \[\.\.\., 1, 5, 1\] is needed"):
        p.log_prob(jnp.zeros(shape))
    with pytest.raises(UserError, match=r"batch axes \[4\] and \[3\]"):
        p.log_prob(jnp.zeros((4, 1, 5, 1)))


def test_a_strict_distribution_is_otherwise_the_same(small):
    p = small[0].decode(small[1], jnp.zeros((3, 2)))
    plain = jax.tree.unflatten(jax.tree.structure(p), jax.tree.leaves(p))
    x = jnp.zeros((3, 1, 5, 1))
    assert isinstance(strict("x", p), type(p).__mro__[1])
    np.testing.assert_array_equal(jax.jit(lambda p, x: p.log_prob(x))(p, x), plain.log_prob(x))


def test_a_model_from_elsewhere_is_held_against_its_own_likelihood(small, bits):
    inner, params = small
    model = Model(inner.init, inner.encode, inner.decode, inner.prior)
    np.testing.assert_array_equal(
        elbo(model, params, KEY, bits).value, elbo(*small, KEY, bits).value
    )
    model = model._replace(encode=lambda params, x: inner.encode(params, bits))
    with pytest.raises(UserError, match="x has shape"):
        elbo(model, params, KEY, jnp.zeros((12, 5)))
    with pytest.raises(UserError, match="is nan: the likelihood takes a finite number"):
        elbo(model, params, KEY, jnp.full((12, 1, 5, 1), jnp.nan))


@pytest.mark.parametrize("name", components.names("kl_estimators"))
def test_estimators_of_the_kl_take_two_distributions_of_one_shape(name):
    import numpyro.distributions as dist

    estimator = components.build("kl_estimators", name)
    q, p = (dist.Normal(jnp.zeros(n), 1.0).to_event(1) for n in (3, 1))
    with pytest.raises(UserError, match=r"values of different shapes, \[3\] and \[1\]"):
        estimator(KEY, q, p, 64)


@pytest.mark.parametrize("name", [*PUBLIC, "quadrature"])
def test_an_empty_batch_is_refused(name, small):
    function = {**PUBLIC, "quadrature": by_quadrature}[name]
    with pytest.raises(UserError, match=r"x has shape \[0, 1, 5, 1\]: there are no examples"):
        function(*small, KEY, np.ones((0, 1, 5, 1)))


def test_masked_elements_are_refused(small, bits):
    with pytest.raises(UserError, match="x has masked elements"):
        elbo(*small, KEY, np.ma.masked_equal(bits, 1))
    unmasked = np.ma.masked_equal(bits, 7)
    np.testing.assert_array_equal(elbo(*small, KEY, unmasked).value, elbo(*small, KEY, bits).value)


def test_numbers_beyond_single_precision_cost_one_line(linear):
    with pytest.raises(UserError, match=r"x: example 0, element \[0\] is inf"):
        elbo(*linear[:2], KEY, np.full((3, 4), 1e300))
