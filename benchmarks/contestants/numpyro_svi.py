"""NumPyro's SVI as its own VAE example has it: a compiled loop over the steps of an epoch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, TraceMeanField_ELBO

from benchmarks.contestants.jitted_loop import _network, _params
from benchmarks.rates import Call
from benchmarks.settings import LEARNING_RATE, Setting, images

NAME = "NumPyro, SVI"


def _svi(setting: Setting) -> SVI:
    params, latent = _params(setting), setting.parts.cfg.latent_dim

    def model(x: jax.Array) -> None:
        decoder = numpyro.param("decoder", params["decoder"])
        with numpyro.plate("batch", len(x)):
            z = numpyro.sample("z", dist.Normal(0, 1).expand([latent]).to_event(1))
            logits = _network(decoder, z)
            numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: jax.Array) -> None:
        encoder = numpyro.param("encoder", params["encoder"])
        loc, log_scale = jnp.split(_network(encoder, x), 2, -1)
        with numpyro.plate("batch", len(x)):
            numpyro.sample("z", dist.Normal(loc, jnp.exp(log_scale)).to_event(1))

    return SVI(model, guide, numpyro.optim.Adam(LEARNING_RATE), TraceMeanField_ELBO())


def loss(setting: Setting, x: Any, keys: Any, noise: Any) -> float:
    """With the noise put in place of the guide's."""
    x, svi, params = x.reshape(len(x), -1), _svi(setting), _params(setting)
    loc, log_scale = jnp.split(_network(params["encoder"], x), 2, -1)
    guide = numpyro.handlers.substitute(svi.guide, {"z": loc + jnp.exp(log_scale) * noise})
    return float(svi.loss.loss(jax.random.key(0), params, svi.model, guide, x)) / len(x)


def training(setting: Setting) -> Call:
    svi, data = _svi(setting), jnp.asarray(images().reshape(-1, 784))
    order = jnp.asarray(setting.order)

    def step(i: jax.Array, carry: Any) -> Any:
        state, key = carry
        x = jax.random.bernoulli(jax.random.fold_in(key, i), data[order[i]] / 255.0)
        return svi.update(state, x.astype(float))[0], key

    run = jax.jit(lambda state, key: jax.lax.fori_loop(0, len(order), step, (state, key))[0])
    held = [svi.init(jax.random.key(0), jnp.zeros((setting.batch, 784)))]

    def call() -> None:
        held[0] = jax.block_until_ready(run(held[0], jax.random.key(1)))

    return call
