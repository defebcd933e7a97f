"""Notes logged before training: how the KL is computed, and doubts about the data."""

import logging
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax import config
from vae_jax.batches.devices import ONCE, compiler_options
from vae_jax.batches.few_values import NO_PROBABILITY, advice, few_values
from vae_jax.batches.keys import example_keys
from vae_jax.batches.rows import gather, rows_of
from vae_jax.batches.splits import present
from vae_jax.config import components
from vae_jax.divergences import closed_form_kl, describe
from vae_jax.divergences.layers import MOST_LAYERS, have_layers
from vae_jax.errors import UserError
from vae_jax.objectives.elbo import KL
from vae_jax.runs.parts import INIT_BATCH
from vae_jax.training.job import Job
from vae_jax.types import Array, Facts, Params, is_biased
from vae_jax.weights import filled

logger = logging.getLogger(__name__)


def log_notes(job: Job, params: Params) -> None:
    """Logs how the KL is computed, and a warning of data that p(x|z) gives no probability.

    Raises:
        UserError: where the KL is infinite.
    """
    model, dataset = job.parts.model, job.parts.dataset
    raw = gather(rows_of(dataset, "train"), slice(0, INIT_BATCH))

    @partial(jax.jit, compiler_options=compiler_options(ONCE))
    def look(params: Params, raw: Any) -> tuple[Array | None, Array, Array]:
        _, batch = present(dataset, example_keys(jax.random.key(0), jnp.arange(len(raw))), raw)
        first = jax.tree.map(lambda leaf: leaf[0], batch)
        prior = model.prior(params, *first.conditions)
        kl = closed_form_kl(model.encode(params, first), prior)
        z = jnp.zeros(job.facts.prior.event_shape)
        p = model.decode(params, z, *first.conditions)
        return kl, batch.x.max(), p.support(filled(p, batch)).all()

    logger.info("%s%s", kl_form(job.facts), _estimator_note(job))
    _note_other_sizes(job)
    _warn_of_one_layer(job)
    _warn_of_many_layers(job)
    _warn_of_a_moving_schedule(job, params)
    _warn_of_a_long_warmup(job)
    _warn_of_no_condition(job)
    for remark in dataset.remarks:
        logger.warning("data: %s", remark)
    kl, largest, in_support = look(params, raw)
    if kl is not None and bool(jnp.isposinf(kl).any()):
        raise UserError(f"{_pair(job.facts)} is infinite: q(z|x) has too heavy tails for this p(z)")
    _warn_of_levels(job, float(largest))
    _warn_of_few_values(job)
    if not in_support:
        logger.warning(
            "the data is not in the support of p(x|z), so the numbers are no log-likelihoods: "
            "binarize the data or choose another likelihood"
        )


def kl_form(facts: Facts) -> str:
    """A line on how KL(q(z|x) || p(z)) is computed."""
    form = "has a closed form" if facts.has_closed_form else "sampled, no closed form"
    if have_layers(facts.posterior, facts.prior):
        form = "layer by layer, in closed form where a layer has one"
    return f"{_pair(facts)}: {form}"


def _estimator_note(job: Job) -> str:
    """The rest of that line where an argument `kl` of the objective names an estimator."""
    kl = components.parse(job.parts.cfg.objective).arguments.get("kl", "auto")
    if kl in KL.words:
        return ""
    biased = is_biased(components.build("kl_estimators", str(kl)))
    note = f"; training differentiates {kl}"
    return f"{note}, which is biased: it is not reported" if biased else note


def _pair(facts: Facts) -> str:
    return f"KL(q(z|x) || p(z)) of {describe(facts.posterior)} and {describe(facts.prior)}"


def _note_other_sizes(job: Job) -> None:
    """Logs that the posterior decides on the layers, where the config says other sizes."""
    sizes = getattr(job.facts.posterior, "sizes", None)
    if sizes and sizes != config.sizes(job.parts.cfg):
        layers = f"{len(sizes):,} layers of {sizes[0]:,} numbers"
        logger.info("latent_dim is not looked at: the posterior has %s", layers)


def _warn_of_one_layer(job: Job) -> None:
    """Warns of several sizes that no part makes layers of."""
    sizes, facts = config.sizes(job.parts.cfg), job.facts
    if len(sizes) > 1 and not any(hasattr(d, "sizes") for d in (facts.posterior, facts.prior)):
        advice = "prior=layered, posterior=top_down make layers"
        logger.warning("latent_dim=%s: z is one layer of %d; %s", sizes, sum(sizes), advice)


def _warn_of_a_moving_schedule(job: Job, params: Params) -> None:
    """Warns of a schedule that is trained by a weighting under which its ends run away."""
    kl = str(components.parse(job.parts.cfg.objective).arguments.get("kl", ""))
    if jax.tree.leaves(params["posterior"]) and "weighting='simple'" in kl:
        advice = "it is for schedule='linear' or 'cosine'"
        logger.warning("weighting='simple' is no bound for a learned schedule: %s", advice)


def _warn_of_a_long_warmup(job: Job) -> None:
    """Warns of a KL that does not reach its weight."""
    steps = components.parse(job.parts.cfg.objective).arguments.get("warmup_steps", 0)
    if steps >= job.parts.num_steps:
        message = "warmup_steps=%s: the KL does not reach its full weight in %s updates"
        logger.warning(message, f"{steps:,}", f"{job.parts.num_steps:,}")


def _warn_of_no_condition(job: Job) -> None:
    """Warns of a p(z | y) without a y."""
    cfg = job.parts.cfg
    if not cfg.given and components.parse(cfg.prior).name == "conditional":
        logger.warning("prior=conditional: nothing is given, so that it is its prior: config.given")


def _warn_of_many_layers(job: Job) -> None:
    """Warns of an objective that computes all of many layers at every update."""
    objective = components.parse(job.parts.cfg.objective)
    count = len(getattr(job.facts.posterior, "sizes", ()))
    if count <= MOST_LAYERS or objective.arguments.get("kl") not in (None, *KL.words):
        return
    advice = "kl='one_layer' draws one of them, and is as unbiased"
    if "kl" not in objective.arguments:
        advice = "weights of so many have a huge variance; elbo(kl='one_layer') needs none"
    logger.warning(
        "%s computes all %s layers of each example: %s", objective.name, f"{count:,}", advice
    )


def _warn_of_levels(job: Job, largest: float) -> None:
    """Warns of a likelihood with more than twice the levels of the data."""
    accepted = job.parts.model.accepts
    most = getattr(accepted, "upper_bound", None)
    if accepted.is_discrete and most is not None and largest < most / 2:
        message = "the data's levels reach %g, the likelihood's %g: they should be the same"
        logger.warning(message, largest, most)


def _warn_of_few_values(job: Job) -> None:
    """Warns of a density that is learned of data that takes few values, as bits and greys do."""
    if job.facts.likelihood.support.is_discrete:
        return
    if few := few_values(job.parts.dataset, ["train"]):
        logger.warning("%s: %s; %s", few, NO_PROBABILITY, advice(job.parts.cfg.data))
