"""What is refused before training: parts that cannot work together."""

import os
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from numpyro.distributions import Distribution

from vae_jax.batches.keys import example_keys
from vae_jax.batches.splits import gather, x_shape
from vae_jax.divergences import closed_form_kl, describe, require_nested_supports
from vae_jax.errors import UserError
from vae_jax.runs.state import State, num_parameters
from vae_jax.training.update import Update
from vae_jax.types import Array, Dataset, Model


def _require_memory(state: State) -> None:
    """Raises UserError for a state that this machine could not hold, before it is made."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > there:
        message = f"{num_parameters(state.params):,} parameters and the optimizer's state"
        raise UserError(f"{message} take {size / 1e9:,.0f} GB, and here are {there / 1e9:,.0f} GB")


def _trace(
    cfg: ConfigDict,
    dataset: Dataset,
    model: Model,
    update: Update,
    state: State,
) -> str:
    """Traces an update, so that what cannot work fails here; says how the KL can be had."""
    said, batch = [], min(2, cfg.batch_size)

    def trace(state: State, raw: Array) -> Any:
        with jax.ensure_compile_time_eval():  # so that the ends of a support are numbers
            x = jnp.zeros(x_shape(dataset))
            q, p = model.encode(state.params, x), model.prior(state.params)
            _require_latent(cfg, posterior=q, prior=p)
            require_nested_supports(q, p)
        form = "sampled, no closed form" if closed_form_kl(q, p) is None else "has a closed form"
        said.append(f"KL(q(z|x) || p(z)) of {describe(q)} and {describe(p)}: {form}")
        return update(state, example_keys(jax.random.key(0), jnp.arange(batch)), raw)

    _, metrics = jax.eval_shape(trace, state, gather(dataset.splits["train"], slice(0, batch)))
    if not {"log_likelihood", "kl"} <= metrics.keys():
        raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
    return said[0]


def _require_latent(cfg: ConfigDict, **distributions: Distribution) -> None:
    """Raises UserError for a distribution over z that is not over vectors of latent_dim numbers."""
    for role, distribution in distributions.items():
        if distribution.event_shape != (cfg.latent_dim,):
            wanted = f"({cfg.latent_dim},) is needed; independent numbers want .to_event(1)"
            found = distribution.event_shape
            raise UserError(f"config.{role}={cfg[role]}: its event_shape is {found}, {wanted}")
