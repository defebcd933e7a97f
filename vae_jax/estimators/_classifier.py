"""A network that learns to tell two sets of examples apart."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from vae_jax.types import Array, Network, Params

BATCH, LEARNING_RATE = 100, 3e-3  # at the start; it falls to 0 by a cosine
LOOKS = 20  # at the examples that are held out, after every 20th part of the updates
HELD = 5  # one in so many
TOGETHER = 500  # examples that pass the network where nothing is learned


def classifier(
    network: Network, updates: int
) -> Callable[[Array, Array, Array], Float[Array, " judged"]]:
    """A compiled function (x, y, judged) -> logits of y = 1 of the examples to be judged.

    It fits the network to x `[n, *x_shape]` and y `[n]`, 0 or 1, by Adam on the cross-entropy. A
    fifth of them is held out, and the parameters that are best for these are taken. Elements are
    standardized by x. Rows are in an order that says nothing of y.

    Args:
        network: from x to one number.
        updates: at least 20.
    """

    def logits(x: Array, y: Array, judged: Array) -> Array:
        mean, spread = x.mean(0), x.std(0)
        scaled = jax.tree.map(lambda a: (a - mean) / jnp.where(spread > 0, spread, 1), (x, judged))
        params = _fitted(network, updates, scaled[0], y)
        return _predicted(network, params, scaled[1])

    return jax.jit(logits)


def _predicted(network: Network, params: Params, x: Array) -> Array:
    return jax.lax.map(lambda one: network.apply(params, one)[0], x, batch_size=TOGETHER)


def _fitted(network: Network, updates: int, x: Array, y: Array) -> Params:
    """The parameters that are best for the held-out fifth, of those after every 20th part."""
    count = max(1, len(x) // HELD)
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates))
    held, x, held_y, y = x[:count], x[count:], y[:count], y[count:]
    key_init, key_rows = jax.random.split(jax.random.key(0))
    start = network.init(key_init)

    def loss(params: Params, x: Array, y: Array) -> Array:
        logits = network.apply(params, x)[:, 0]
        return optax.sigmoid_binary_cross_entropy(logits, y).mean()

    def update(state: Any, key: Array) -> tuple[Any, None]:
        params, moments = state
        rows = jax.random.randint(key, (BATCH,), 0, len(x))
        steps, moments = optimizer.update(jax.grad(loss)(params, x[rows], y[rows]), moments)
        return (optax.apply_updates(params, steps), moments), None

    def look(state: Any, keys: Array) -> tuple[Any, None]:
        training, best, least = state
        training, _ = jax.lax.scan(update, training, keys)
        logits = _predicted(network, training[0], held)
        now = optax.sigmoid_binary_cross_entropy(logits, held_y).mean()
        best = jax.tree.map(lambda new, old: jnp.where(now < least, new, old), training[0], best)
        return (training, best, jnp.minimum(now, least)), None

    keys = jax.random.split(key_rows, (LOOKS, updates // LOOKS))
    state = ((start, optimizer.init(start)), start, jnp.inf)
    return jax.lax.scan(look, state, keys)[0][1]
