"""One seed's run while it trains: its keys, directory and files, and how far it has come."""

import contextlib
import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vae_jax import config, hosts
from vae_jax.batches.devices import here, shard
from vae_jax.batches.keys import Keys, epoch_order, keys_of
from vae_jax.batches.windows import Order, Window, Windows
from vae_jax.errors import DivergedError
from vae_jax.runs import checkpoints, claims, data, stopping
from vae_jax.runs.run import Run
from vae_jax.runs.state import State, evaluated_params
from vae_jax.training import starts
from vae_jax.training.job import Job
from vae_jax.training.logs import Log


@dataclasses.dataclass
class Member:
    """One of the runs of a job."""

    job: Job
    seed: int
    keys: Keys
    path: Path | None
    manager: Any  # of checkpoints, where there is a directory
    log: Log
    state: State
    windows: Iterator[Window]
    bounds: list[float]  # of its validations, as patience sees them
    diverged: DivergedError | None = None
    shown: dict[str, float] = dataclasses.field(default_factory=dict)
    best: tuple[float, Run] | None = None  # validation bound and a copy of the run

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.state.step)

    @property
    def epoch(self) -> float:
        """The same in epochs."""
        return self.step / self.job.parts.steps_per_epoch

    @property
    def has_stopped(self) -> bool:
        """Whether its patience is at an end."""
        return stopping.is_over(self.bounds, self.job.parts.cfg.patience)

    @property
    def run(self) -> Run:
        """The run as it is; the next steps take over the memory of its parameters."""
        parts = self.job.parts
        params = evaluated_params(self.state, parts.cfg.ema_decay)
        early = self.has_stopped and self.step < parts.num_steps
        words = stopping.in_words(self.epoch, parts.cfg) if early else ""
        return Run(parts, here(params), self.step, self.seed, self.path, stopped=words)

    @property
    def copy(self) -> Run:
        """The run as it is, with memory of its own."""
        return self.run._replace(params=jax.tree.map(jnp.copy, self.run.params))

    def write(self, metrics: dict[str, float]) -> None:
        """Writes metrics of this step."""
        self.log.write(self.step, self.epoch, metrics)

    def save(self, bound: float | None = None) -> None:
        """Saves a checkpoint, where there is a directory."""
        if self.manager:
            checkpoints.save(self.manager, self.step, self.state, bound)


@contextlib.contextmanager
def opened(job: Job, seed: int, path: Path | None, mesh: Mesh, cut: Windows) -> Iterator[Member]:
    """A seed's run at its last state, or at its start, its directory locked.

    Args:
        job: the run's.
        seed: its seed.
        path: its directory, where it has one.
        mesh: the devices it trains on.
        cut: makes windows of epochs.
    """
    cfg, keys = config.of_seed(job.parts.cfg, seed), keys_of(seed)
    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(_claimed(job, cfg, path)) if path else None
        state = _state(job, seed, path, manager, mesh)
        step = int(state.step)
        log = stack.enter_context(Log(path if hosts.is_first() else None, cfg, step))
        bounds = hosts.from_first(_bounds(path, cfg))
        left = cut(_order(job, keys), step)
        yield Member(job, seed, keys, path, manager, log, state, left, bounds)


def _bounds(path: Path | None, cfg: Any) -> list[float]:
    """The bounds of the validations that a run has had."""
    records = stopping.kept_records(path) if path else []
    return [bound for _, bound in stopping.validations(records, cfg)]


@contextlib.contextmanager
def _claimed(job: Job, cfg: Any, path: Path) -> Iterator[Any]:
    """The manager of checkpoints in a directory that is held."""
    kept = [job.parts.num_steps // 2, *([0] if cfg.init_from else [])]
    with claims.claimed(path, cfg):
        with hosts.together():
            if hosts.is_first():
                data.keep(path, job.parts)
        with checkpoints.opened(path, write=True, kept=kept) as manager:
            yield manager


def _state(job: Job, seed: int, path: Path | None, manager: Any, mesh: Mesh) -> State:
    """The last state that was saved, or else the first one.

    That of another run's parameters is saved at once: the other run is not needed any more.
    """
    start = job.parts.start(keys_of(seed))
    initial = shard(start, mesh)
    state = checkpoints.restore_last_or(manager, initial) if manager else initial
    if state is not initial or not job.parts.cfg.init_from:
        return state
    with hosts.together():
        start = starts.begun(job, seed, start, path)
    state = shard(start, mesh)
    if manager:
        checkpoints.save(manager, 0, state)
    return state


def _order(job: Job, keys: Keys) -> Order:
    """The order of the examples of a run, a function of its seed."""
    cfg, size = job.parts.cfg, len(job.parts.dataset.splits["train"])
    of_epoch = partial(epoch_order, keys.order, size=size, batch_size=cfg.batch_size)
    return Order(of_epoch, job.parts.steps_per_epoch, cfg.num_epochs)
