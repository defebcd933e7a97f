"""A program is called affine if it is proved so, and not where it only seems so at some points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import UserError, build_model
from vae_jax.estimators._affine import AFFINE, CONSTANT, OTHER, kinds
from vae_jax.estimators.exact import marginal

W = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
X = jnp.ones(3)


def looped(x):
    return jax.lax.scan(lambda h, w: (h @ W + w, h[0]), x, jnp.ones((4, 3)))


def growing(x):
    """Affine in the first turn, a square in the second."""
    return jax.lax.fori_loop(0, 2, lambda i, pair: (pair[1], pair[0] * pair[1]), (jnp.ones(3), x))


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: W @ x + 1, AFFINE),
        (lambda x: (2 - x.reshape(3, 1)).sum() / 3, AFFINE),
        (lambda x: jnp.concatenate([x, jnp.exp(W[0])])[::2], AFFINE),
        (lambda x: jax.jit(lambda y: y * jnp.exp(W[0]))(x), AFFINE),
        (lambda x: jnp.where(W[0] > 0, x, -x), AFFINE),
        (lambda x: looped(x)[0], AFFINE),
        (lambda x: jnp.exp(W), CONSTANT),
        (lambda x: jax.nn.relu(x + 1e6), OTHER),
        (lambda x: x * x, OTHER),
        (lambda x: 1 / x, OTHER),
        (lambda x: jnp.where(x > -1e6, x, 0), OTHER),
        (lambda x: W[0][jnp.int32(x[0])], OTHER),
        (lambda x: jax.lax.cond(x[0] > 0, lambda: x, lambda: 2 * x), OTHER),
        (lambda x: growing(x)[1], OTHER),
        (lambda x: jnp.tanh(1e-6 * x), OTHER),
    ],
)
def test_the_kind_of_a_program(function, kind):
    assert kinds(function, X) == kind


def test_a_rectifier_whose_kink_is_far_away_is_refused():
    """Right at every draw of moderate size, and wrong by nats where the data lies."""
    model = build_model((3,), 1, decoder="mlp(hidden=(1,), activation='relu')", likelihood="normal")
    params = model.init(jax.random.key(0), jnp.zeros((2, 3)))
    layer = params["decoder"]["Dense_0"]
    params["decoder"]["Dense_0"] = {
        "kernel": jnp.ones_like(layer["kernel"]),
        "bias": jnp.full(1, 1e3),
    }
    with pytest.raises(UserError, match="needs an affine decoder"):
        marginal(model, params, (3,))


def test_a_scale_that_follows_z_is_refused():
    parts = {"decoder": "linear", "likelihood": "normal(scale='predicted')"}
    model = build_model((3,), 1, **parts)
    params = model.init(jax.random.key(0), jnp.zeros((2, 3)))
    params["decoder"] = jax.tree.map(lambda w: 1e-6 * w, params["decoder"])
    with pytest.raises(UserError, match="one scale for all z"):
        marginal(model, params, (3,))
