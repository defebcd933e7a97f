"""A network under `vmap` computes what it computes of the batch, in the same program."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import build_model
from vae_jax.estimators._rows import decoded_rows
from vae_jax.networks._joined import joined

SHAPE, OUT, BATCH = (6, 6, 1), (4,), 5
PARTS = ("mlp(hidden=(8,))", "conv(channels=(2, 3))")


def network_of(part, precision="float32"):
    return joined(precision, part, SHAPE, OUT)


def images(*leading):
    return jax.random.normal(jax.random.key(1), (*leading, *SHAPE))


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), one, other)


def over_examples(network, axes=(None, 0)):
    return jax.vmap(network.apply, axes)


def of_squares(apply):
    return lambda params, x: (apply(params, x) ** 2).sum()


def shapes(function, *arguments):
    text = jax.jit(function).lower(*arguments).as_text()
    return set(re.findall(r"tensor<[^>]+>", text))


@pytest.mark.parametrize("part", PARTS)
def test_the_program_under_vmap_has_the_shapes_of_the_batch_s(part):
    network = network_of(part)
    params, x = network.init(jax.random.key(0)), images(BATCH)
    direct, mapped = of_squares(network.apply), of_squares(over_examples(network))
    assert shapes(jax.grad(mapped), params, x) == shapes(jax.grad(direct), params, x)


@pytest.mark.parametrize("part", PARTS)
def test_values_and_gradients_are_those_of_one_after_another(part):
    network = network_of(part)
    params, x = network.init(jax.random.key(0)), images(BATCH)

    def one_by_one(params, x):
        return sum((network.apply(params, one) ** 2).sum() for one in x)

    mapped = of_squares(over_examples(network))
    close(*(jax.value_and_grad(f, (0, 1))(params, x) for f in (mapped, one_by_one)))


def test_axes_within_axes_and_any_place_of_the_axis():
    network = network_of(PARTS[1])
    params, x = network.init(jax.random.key(0)), images(2, 3)
    twice = jax.vmap(over_examples(network), (None, 0))
    inner = jax.vmap(network.apply, (None, 2))(params, jnp.moveaxis(x[0], 0, 2))
    close(twice(params, x), network.apply(params, x))
    close(inner, network.apply(params, x[0]))


def test_seeds_along_an_axis_have_their_own_parameters():
    network = network_of(PARTS[1])
    params = [network.init(jax.random.key(seed)) for seed in range(3)]
    stacked, x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params), images(BATCH)
    every = jax.vmap(jax.grad(of_squares(over_examples(network))), (0, None))(stacked, x)
    for i, of_seed in enumerate(params):
        expected = jax.grad(of_squares(network.apply))(of_seed, x)
        close(jax.tree.map(lambda leaf, i=i: leaf[i], every), expected)


def test_gradients_of_each_example_and_derivatives_forward():
    network = network_of(PARTS[1])
    params, x = network.init(jax.random.key(0)), images(BATCH)
    each = jax.vmap(jax.grad(of_squares(network.apply)), (None, 0))(params, x)
    whole = jax.grad(of_squares(network.apply))(params, x)
    close(jax.tree.map(lambda leaf: leaf.sum(0), each), whole)
    forward, backward = (d(network.apply, 1)(params, x[0]) for d in (jax.jacfwd, jax.jacrev))
    close(forward, backward)


def test_whole_numbers_go_in_and_half_precision_stays_inside():
    network = network_of(PARTS[0], "bfloat16")
    params, bits = network.init(jax.random.key(0)), images(BATCH) > 0
    outputs = over_examples(network)(params, bits.astype(jnp.uint8))
    assert outputs.dtype == jnp.float32
    np.testing.assert_array_equal(outputs, over_examples(network)(params, bits.astype(float)))


@pytest.mark.parametrize(
    ("parts", "largest"),
    [
        ({}, 28 * 28),  # the logits
        ({"prior": "vamp(components=500)"}, 28 * 28),  # its inputs are no draws
        ({"given_shape": (10,)}, 28 * 28),
        ({"decoder": "conv"}, 7 * 7 * (9 * 32)),  # of each place by each tap, 64 channels to 32
        ({"decoder": "resnet"}, 14 * 14 * (3 * 32)),  # columns side by side
    ],
)
def test_so_many_draws_are_decoded_together_as_the_caches_hold(parts, largest):
    model, x = build_model((28, 28, 1), 2, **parts), jnp.zeros((1, 28, 28, 1))
    params = jax.eval_shape(model.init, jax.random.key(0), x)
    assert decoded_rows(model, params) == 2000 * 784 // largest
