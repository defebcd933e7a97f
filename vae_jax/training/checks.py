"""Checks before training, which refuse parts that cannot work together."""

import os

import jax
import jax.numpy as jnp

from vae_jax.batches.keys import example_keys
from vae_jax.batches.splits import gather
from vae_jax.divergences import require_nested_supports
from vae_jax.errors import UserError
from vae_jax.runs.parts import Parts
from vae_jax.runs.state import State, num_parameters
from vae_jax.training.update import Update
from vae_jax.types import Facts, Params


def require_memory(state: State) -> None:
    """Raises UserError for a state that this machine could not hold, before it is made."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > there:
        message = f"{num_parameters(state.params):,} parameters and the optimizer's state"
        raise UserError(f"{message} take {size / 1e9:,.0f} GB, and here are {there / 1e9:,.0f} GB")


def require_latent(parts: Parts, params: Params) -> None:
    """Raises UserError unless q(z|x) and p(z) are of vectors of latent_dim numbers."""
    cfg, model = parts.cfg, parts.model
    x = jax.ShapeDtypeStruct(parts.x_shape, jnp.float32)
    posterior, prior = jax.eval_shape(model.encode, params, x), jax.eval_shape(model.prior, params)
    for role, distribution in (("posterior", posterior), ("prior", prior)):
        if (shape := distribution.event_shape) != (cfg.latent_dim,):
            wanted = f"({cfg.latent_dim},) is needed; independent numbers want .to_event(1)"
            raise UserError(f"config.{role}={cfg[role]}: its event_shape is {shape}, {wanted}")


def require_finite_support(facts: Facts) -> None:
    """Raises UserError where the KL is infinite, since q(z|x) reaches where p(z) is 0."""

    def nested(params: Params) -> None:
        with jax.ensure_compile_time_eval():  # so that the ends of a support are numbers
            q = facts.model.encode(params, jnp.zeros(facts.x_shape))
            require_nested_supports(q, facts.model.prior(params))

    jax.eval_shape(nested, facts.params)


def trace_update(parts: Parts, update: Update, state: State) -> None:
    """Raises what an update raises while it is traced, or UserError for terms that are missing."""
    size = min(2, parts.cfg.batch_size)
    raw = gather(parts.dataset.splits["train"], slice(0, size))
    keys = jax.eval_shape(lambda: example_keys(jax.random.key(0), jnp.arange(size)))
    _, metrics = jax.eval_shape(update, state, keys, raw)
    if not {"log_likelihood", "kl"} <= metrics.keys():
        raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
