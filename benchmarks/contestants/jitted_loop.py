"""JAX by hand: one jitted step, called from a Python loop, of a model written out."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.rates import Call
from benchmarks.settings import LEARNING_RATE, Setting, images

NAME = "JAX by hand, a call a step"


def _network(layers: Any, x: jax.Array) -> jax.Array:
    *hidden, (weights, bias) = layers
    for w, b in hidden:
        x = jnp.tanh(x @ w + b)
    return x @ weights + bias


def _loss(params: Any, x: jax.Array, noise: jax.Array) -> jax.Array:
    loc, log_scale = jnp.split(_network(params["encoder"], x), 2, -1)
    logits = _network(params["decoder"], loc + jnp.exp(log_scale) * noise)
    nll = optax.sigmoid_binary_cross_entropy(logits, x).sum(-1)
    kl = 0.5 * (loc**2 + jnp.exp(2 * log_scale) - 1 - 2 * log_scale).sum(-1)
    return (nll + kl).mean()


def _params(setting: Setting) -> Any:
    if setting.is_gated:
        raise NotImplementedError("written out for the plain model")
    return {name: setting.layers(name) for name in ("encoder", "decoder")}


def loss(setting: Setting, x: Any, keys: Any, noise: Any) -> float:
    return float(_loss(_params(setting), x.reshape(len(x), -1), noise))


def training(setting: Setting) -> Call:
    optimizer, data = optax.adam(LEARNING_RATE), jnp.asarray(images().reshape(-1, 784))

    def step(state: Any, ids: jax.Array) -> Any:
        key, params, opt_state = state
        key, bits, draws = jax.random.split(key, 3)
        x = jax.random.bernoulli(bits, data[ids] / 255.0).astype(float)
        noise = jax.random.normal(draws, (setting.batch, setting.parts.cfg.latent_dim))
        gradient = jax.grad(_loss)(params, x, noise)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return key, optax.apply_updates(params, updates), opt_state

    step = jax.jit(step, donate_argnums=0)
    params = jax.tree.map(jnp.asarray, _params(setting))
    held, order = [(jax.random.key(0), params, optimizer.init(params))], setting.order

    def call() -> None:
        state = held.pop()
        for ids in order:
            state = step(state, ids)
        held.append(jax.block_until_ready(state))

    return call
