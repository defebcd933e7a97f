"""Convolutions by matrix products against XLA's own, and where XLA's own are left."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax import UserError, build_model
from vae_jax.config import components
from vae_jax.estimators.importance import importance_sampling
from vae_jax.networks import _products

IMAGES = ("NHWC", "HWIO", "NHWC")
SIZES = ((1, 1), (4, 4), (5, 3), (6, 7))
CASES = [
    pytest.param(
        *(size, kernel, stride),
        marks=() if size == SIZES[(kernel + stride) % len(SIZES)] else pytest.mark.slow,
    )
    for size, kernel, stride in itertools.product(SIZES, (1, 2, 3, 4, 5), (1, 2, 3))
]
of_cases = pytest.mark.parametrize(("size", "kernel", "stride"), CASES)


def agree(ours, theirs, size, kernel, channels):
    """Values, and both gradients of their sum with random weights."""
    x = jax.random.normal(jax.random.key(0), (2, *size, channels[0]))
    w = jax.random.normal(jax.random.key(1), (kernel, kernel, *channels))

    def all_of(f):
        y, transposed = jax.vjp(f, x, w)
        return y, *transposed(jax.random.normal(jax.random.key(2), y.shape))

    both = [jax.jit(lambda f=f: all_of(f))() for f in (ours, theirs)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@of_cases
def test_products_are_a_convolution(size, kernel, stride):
    agree(
        lambda x, w: _products.convolution(x, w, (stride, stride), "SAME"),
        lambda x, w: lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=IMAGES
        ),
        *(size, kernel, (3, 2)),
    )


@of_cases
def test_products_are_a_transposed_convolution(size, kernel, stride):
    agree(
        lambda x, w: _products.transposed_convolution(x, w, stride),
        lambda x, w: lax.conv_transpose(x, w, (stride, stride), "SAME", dimension_numbers=IMAGES),
        *(size, kernel, (2, 3)),
    )


@pytest.mark.parametrize("name", components.names("networks"))
def test_no_network_leaves_a_convolution_in_a_cpu_s_programs(name):
    factory = components.build("networks", name)
    for in_shape, out_shape in (((6, 6, 1), (4,)), ((4,), (6, 6, 1, 1)), ((6, 6, 1), (6, 6, 1))):
        try:
            network = factory(in_shape, out_shape)
        except UserError:  # it takes no such shapes
            continue
        params = jax.eval_shape(network.init, jax.random.key(0))

        def trained(params, x, network=network):
            return jax.grad(lambda p, x: network.apply(p, x).sum(), (0, 1))(params, x)

        x = jax.ShapeDtypeStruct((3, *in_shape), float)
        assert "convolution" not in jax.jit(trained).lower(params, x).as_text()


@pytest.mark.slow
def test_no_convolution_is_left_in_an_evaluation():
    model = build_model((6, 6, 1), 2, encoder="conv", decoder="conv")
    x, keys = jnp.zeros((3, 6, 6, 1)), jax.random.split(jax.random.key(1), 3)
    params = model.init(jax.random.key(0), x)
    program = jax.jit(partial(importance_sampling, model, num_samples=4))
    assert "convolution" not in program.lower(params, keys, x).as_text()


@pytest.mark.parametrize("network", ["conv(channels=(4,))", "resnet(channels=(4,), blocks=1)"])
def test_parameters_are_of_single_precision_with_x64_too(network):
    with jax.enable_x64(True):
        one = components.build("networks", network)((4,), (6, 6, 1, 1))
        params = one.init(jax.random.key(0))
        assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
        assert one.apply(params, jnp.ones((2, 4), jnp.float32)).dtype == jnp.float32
