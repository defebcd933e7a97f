"""What is said before training: how the KL is computed, and doubts about the data."""

from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.batches.keys import example_keys
from vae_jax.batches.splits import gather, present
from vae_jax.divergences import closed_form_kl
from vae_jax.errors import UserError
from vae_jax.runs.parts import INIT_BATCH
from vae_jax.training.job import Job, logger
from vae_jax.types import Array, Params


def _require_finite_kl(job: Job, params: Params, raw: Array) -> None:
    """Raises UserError where q(z|x) has tails so heavy that its KL to p(z) is infinite."""

    @jax.jit
    def kl(params: Params, raw: Array) -> Any:
        keys = example_keys(jax.random.key(0), jnp.arange(len(raw)))
        _, batch = present(job.dataset, keys, raw)
        return closed_form_kl(job.model.encode(params, batch), job.model.prior(params))

    found = kl(params, raw[:1])
    if found is not None and bool(jnp.isposinf(found).any()):
        pair = job.kl_form.partition(":")[0]
        raise UserError(f"{pair} is infinite: q(z|x) has too heavy tails for this p(z)")


def _warn_of_levels(job: Job, raw: Array) -> None:
    """Says so where a likelihood counts with many more levels than the data has."""
    accepted = job.model.accepts
    most, there = getattr(accepted, "upper_bound", None), float(raw.max())
    if accepted.is_discrete and most is not None and there < most / 2:
        message = "the data's levels reach %g, the likelihood's %g: they should be the same"
        logger.warning(message, there, most)


def advise(job: Job, params: Params) -> None:
    """Says how the KL is had, and warns of data that p(x|z) gives no probability."""
    raw = jnp.asarray(gather(job.dataset.splits["train"], slice(0, INIT_BATCH)))

    @jax.jit
    def in_support(params: Params, raw: Any) -> Any:
        keys = example_keys(jax.random.key(0), jnp.arange(len(raw)))
        _, batch = present(job.dataset, keys, raw)
        z = jnp.zeros(job.model.prior(params).event_shape)
        return job.model.decode(params, z).support(batch.x).all()

    logger.info("%s", job.kl_form)
    _require_finite_kl(job, params, raw)
    _warn_of_levels(job, raw)
    if not in_support(params, raw):
        logger.warning(
            "the data is not in the support of p(x|z), so the numbers are no log-likelihoods: "
            "binarize the data or choose another likelihood"
        )
