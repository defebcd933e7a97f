"""What a config makes, checked: the parts that runs of all seeds share."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vae_jax.batches.keys import Keys, keys_of
from vae_jax.batches.windows import fits
from vae_jax.errors import UserError
from vae_jax.runs.parts import (
    Loaded,
    make_model,
    make_objective,
    make_rule,
    make_start,
    steps_per_epoch,
)
from vae_jax.runs.state import State, num_parameters
from vae_jax.training.checks import _require_memory, _trace
from vae_jax.training.update import Update, make_update
from vae_jax.types import Dataset, Model, Objective

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """What stays the same while the runs of a config train, whatever their seed."""

    cfg: ConfigDict
    dataset: Dataset
    model: Model
    objective: Objective
    start: Callable[[Keys], State]
    update: Update
    state: State  # shapes and types alone
    steps_per_epoch: int
    kl_form: str  # how KL(q(z|x) || p(z)) is had

    @property
    def num_steps(self) -> int:
        """Updates of a whole run."""
        return self.cfg.num_epochs * self.steps_per_epoch

    @property
    def eval_every(self) -> int:
        """Updates from one validation, and checkpoint, to the next."""
        return max(1, round(self.cfg.eval_every_epochs * self.steps_per_epoch))

    @property
    def num_parameters(self) -> int:
        """Numbers that training adjusts."""
        return num_parameters(self.state.params)


def make_job(cfg: ConfigDict, model: Model | None = None, loaded: Loaded | None = None) -> Job:
    """The parts that a resolved config names, checked against the data and each other.

    Raises:
        UserError: for parts that cannot work together, before anything is trained.
    """
    loaded = loaded or Loaded()
    dataset = loaded.dataset(cfg)
    model = make_model(cfg, dataset) if model is None else model
    loaded.require_valid(cfg, model)
    if cfg.seeds_at_once > 1 and not fits(dataset.splits["train"], cfg.max_device_bytes):
        message = "a training set that is streamed serves one seed at a time"
        raise UserError(f"config.seeds_at_once={cfg.seeds_at_once}: {message}")
    objective, start = make_objective(cfg), make_start(cfg, dataset, model)
    update = make_update(model, objective, make_rule(cfg, dataset), dataset)
    state = jax.eval_shape(start, keys_of(0))
    _require_memory(state)
    kl_form = _trace(cfg, dataset, model, update, state)
    steps = steps_per_epoch(cfg, dataset)
    return Job(cfg, dataset, model, objective, start, update, state, steps, kl_form)
