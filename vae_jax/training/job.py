"""A job: all that training needs of a config, checked before it begins."""

from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.devices import devices, mesh_for
from vae_jax.batches.keys import keys_of
from vae_jax.batches.rows import rows_of
from vae_jax.batches.windows import fits
from vae_jax.errors import UserError
from vae_jax.runs.facts import find_facts
from vae_jax.runs.parts import Datasets, Parts
from vae_jax.runs.state import State, num_parameters
from vae_jax.runs.stopping import eval_every
from vae_jax.training import checks
from vae_jax.training.update import Update, make_update
from vae_jax.types import Facts, Model

WORK = {"cpu": 3 * 10**11}  # floating-point operations of some seconds
WORK_ELSEWHERE = 10**14


class Job(NamedTuple):
    """The parts of training that the runs of a config share, whatever their seed."""

    parts: Parts
    update: Update
    state: State  # shapes and types alone
    facts: Facts
    flops: int  # of the products of an update

    def __repr__(self) -> str:
        return f"Job({self.parts.in_words}, {self.num_parameters:,} parameters)"

    @property
    def eval_every(self) -> int:
        """Updates from one validation, and checkpoint, to the next."""
        return eval_every(self.parts.cfg, self.parts.steps_per_epoch)

    @property
    def most_steps(self) -> int:
        """Steps of one call of the device, between which progress is shown and signals are heard.

        So few that slow ones take seconds, as far as the work of their products tells.
        """
        longest = max(1, WORK.get(devices()[0].platform, WORK_ELSEWHERE) // max(1, self.flops))
        return min(self.parts.cfg.log_every_steps, self.eval_every, longest)

    @property
    def num_parameters(self) -> int:
        """Numbers that training adjusts."""
        return num_parameters(self.state.params)


def make_job(cfg: ConfigDict, model: Model | None = None, datasets: Datasets | None = None) -> Job:
    """The parts that a resolved config names, checked against the data and each other.

    Args:
        cfg: the config.
        model: in place of the one that the config names.
        datasets: those that were read and checked for other configs.

    Raises:
        UserError: for parts that cannot work together, and for a batch or a mesh that the devices
            do not divide or have, before anything is trained.
    """
    mesh_for(cfg.batch_size, config.mesh_sizes(cfg))
    datasets = datasets or Datasets()
    parts = datasets.make_parts(cfg, model)
    datasets.require_valid(parts)
    if cfg.seeds_at_once > 1 and not fits(rows_of(parts.dataset, "train"), cfg.max_device_bytes):
        message = "a training set that is streamed serves one seed at a time"
        raise UserError(f"config.seeds_at_once={cfg.seeds_at_once}: {message}")
    checks.require_validation(parts)
    state = jax.eval_shape(parts.start, keys_of(0))
    checks.require_memory(state)
    checks.require_descent(parts)
    checks.require_latent(parts, state.params)
    facts = find_facts(parts.model, state.params, parts.x_shape)
    checks.require_finite_support(facts)
    update = make_update(parts.model, parts.objective, parts.rule, parts.dataset)
    flops = checks.traced_flops(parts, update, state)
    return Job(parts, update, state, facts, flops)
