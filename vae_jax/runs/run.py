"""Runs as they are read back from their directories."""

import dataclasses
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.devices import local_device
from vae_jax.batches.keys import keys_of
from vae_jax.batches.splits import presented, require_valid, x_shape
from vae_jax.errors import UserError
from vae_jax.places import named
from vae_jax.runs import checkpoints, directory, stopping
from vae_jax.runs import data as run_data
from vae_jax.runs.age import Age
from vae_jax.runs.facts import find_facts
from vae_jax.runs.parts import Parts, make_parts
from vae_jax.runs.state import evaluated_params, num_parameters
from vae_jax.types import Array, Batch, Dataset, Facts, Model, Params

BY_NAME = "evaluate what is there by name as other data (--data)"
AS_OTHER_DATA = f"bring it back, or {BY_NAME}"


class Run(NamedTuple):
    """Parts of a model and their parameters after `step` updates."""

    parts: Parts
    params: Params
    step: int
    seed: int | None = None  # None: the one in the parts' config
    workdir: Path | None = None
    which: checkpoints.Which = "last"  # of the checkpoints
    other_data: str | None = None  # by name, where its data set is not the one of its config
    trained: int | None = None  # updates made in all; None: as the directory says, or `step`
    stopped: str = ""  # that it ended early, in words, where no directory says so

    def __repr__(self) -> str:
        other = f", shown {self.other_data}" if self.other_data else ""
        size = f"{num_parameters(self.params):,} parameters"
        step = f"{self.which} at step {self.step:,} of {self.parts.num_steps:,}"
        where = "in memory" if self.workdir is None else str(self.workdir)
        words = f"{self.parts.in_words}{other}, {size}, {step}"
        return f"Run({words}, seed={self.config.seed}, {where})"

    @property
    def config(self) -> ConfigDict:
        """The config of this run alone, whatever seeds its parts serve."""
        cfg = self.parts.cfg
        return config.of_seed(cfg, cfg.seed if self.seed is None else self.seed)

    @property
    def model(self) -> Model:
        """The model."""
        return self.parts.model

    @property
    def dataset(self) -> Dataset:
        """The data set."""
        return self.parts.dataset

    @property
    def data(self) -> str:
        """The name of its data set."""
        return self.other_data or self.parts.cfg.data

    def present(
        self, brought: Any, key: Array | None = None, *, given: Any = None
    ) -> Array | Batch:
        """x `[n, *x_shape]` of examples `[n, ...]` in the shape and units of the data as brought.

        This is the way from data to what the model and the objectives take: examples are
        standardized, scaled and binarized as the run's own are, and checked as these are.

        Args:
            brought: the examples, of any dtype of numbers.
            key: of what is drawn, as bits are; by default that of `evaluate` with seed 0, so that
                a whole split of the data set becomes the x that `evaluate` sees.
            given: what they are conditioned on, as it was brought: one for each, or one for all.

        Returns:
            x; in a `Batch` with what is given, or where values are missing (NaN).

        Raises:
            UserError: for another shape, and for values that the model cannot be evaluated on.
        """
        key = keys_of(0).evaluate if key is None else key
        return presented(self.dataset, self.model, key, brought, given)

    def condition(self, value: Any) -> Array:
        """The condition `[G]` that a value as it was brought stands for: a class, or numbers.

        Raises:
            UserError: for a model that is not conditioned, and a class that there is not.
        """
        if (coding := self.dataset.coding) is None:
            raise UserError("given: this model is not conditioned on anything")
        return coding.encode(np.asarray(value)[None])[0]

    def restore(self, x: Any) -> np.ndarray:
        """x `[..., *x_shape]` in the units that were brought: scaled back, standardization undone.

        Dequantized x becomes the level whose bin it lies in; bits stay bits.
        """
        stored, done = np.asarray(self.dataset.restore(x)), self.dataset.standardization
        return stored if done is None else done.undo(stored)

    @property
    def facts(self) -> Facts:
        """The distributions of its model by their types and shapes; nothing is computed."""
        return find_facts(self.model, self.params, self.parts.x_shape)

    @property
    def age(self) -> Age:
        """The step that its parameters are of, and how far it has come since."""
        trained = self.trained
        if trained is None:
            trained = directory.last_checkpoint(self.workdir) if self.workdir else self.step
        stopped = self.stopped
        if self.workdir and not stopped:
            stopped = stopping.stopped(self.workdir, self.parts.cfg)
        return Age(self.which, self.step, trained, self.parts.num_steps, stopped)

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end; its parameters may come from an earlier step."""
        return not self.age.left


def load(
    workdir: str | Path,
    which: checkpoints.Which = "best",
    *,
    model: Model | None = None,
    parts: Parts | None = None,
    data: str | None = None,
) -> Run:
    """The run that `train` left in a directory, with its best or last parameters.

    Args:
        workdir: the directory.
        which: "best" by the validation bound, "last", or a number of updates.
        model: the one that was trained, if it is not the one that the config names.
        parts: those of a run of the same config with any seed, so that they are not made again.
        data: other data in place of what the run was trained on, `npz(path='new.npz')`; of
            arguments that it leaves open, those that make x are the run's.

    Raises:
        UserError: if there is no run, no readable checkpoint, or one of another model, and if the
            data that the config names is not what the run was trained on any more.
    """
    workdir = named(workdir)
    if many := directory.many_runs(workdir):
        one = next(path for paths in many.values() for path in paths.values())
        raise UserError(f"{workdir} holds many runs: name one, such as {one}")
    cfg = config.read(workdir / "config.json")
    parts, other_data = _parts(workdir, cfg, model, parts, data)
    template = jax.eval_shape(parts.start, keys_of(0))
    local = jax.sharding.SingleDeviceSharding(local_device())
    template = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=local), template
    )
    with checkpoints.opened(workdir) as manager:
        step, state = checkpoints.restore(manager, template, which)
    params = evaluated_params(state, cfg.ema_decay)
    run = Run(parts, params, step, cfg.seed, workdir, which)
    return run if other_data is None else _shown(run, *other_data)


def _parts(
    workdir: Path, cfg: ConfigDict, model: Model | None, parts: Parts | None, text: str | None
) -> tuple[Parts, tuple[str, Dataset] | None]:
    """The parts of a run, its data being what it was trained on, and other data that was asked for.

    Data that is what the run was trained on, under another name, takes the place of the run's own.
    """
    if text is not None:
        other = run_data.named(workdir, cfg, text)
        if run_data.is_own(workdir, other[1]):
            return make_parts(cfg, model=model, dataset=other[1]), None
        shapes = run_data.stand_in(workdir, other[1])
        return make_parts(cfg, model=model, dataset=shapes), other
    parts = _own_parts(workdir, cfg, model) if parts is None else parts
    run_data.require_same(workdir, parts, AS_OTHER_DATA)
    return parts, None


def _own_parts(workdir: Path, cfg: ConfigDict, model: Model | None) -> Parts:
    """The parts that a run's config names; its data may lie in its directory too."""
    try:
        return make_parts(cfg, model=model)
    except UserError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, FileNotFoundError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise UserError(f"{error}; put it into {workdir}, or {BY_NAME}") from error


def _shown(run: Run, text: str, dataset: Dataset) -> Run:
    """The run with other data, which is checked as data is before training."""
    if (shape := x_shape(dataset)) != run.parts.x_shape:
        raise UserError(f"{text}: x has shape {shape}, and {run.parts.x_shape} in this run")
    require_valid(dataset, run.model)
    parts = dataclasses.replace(run.parts, dataset=dataset)
    return run._replace(parts=parts, other_data=text)


def load_all(
    workdir: str | Path,
    which: checkpoints.Which = "best",
    data: str | None = None,
    but: Container[Path] = (),
) -> Iterator[tuple[Path, Run]]:
    """The run in a directory, or all of the many there, seeds of a setting sharing their parts.

    Args:
        workdir: the directory.
        which: as `load` has it.
        data: likewise.
        but: the directories of runs that are passed over.

    Raises:
        UserError: as `load` does.
    """
    workdir = named(workdir)
    settings = directory.many_runs(workdir)
    if not settings and workdir not in but:
        yield workdir, load(workdir, which, data=data)
    for paths in settings.values():
        parts: Parts | None = None
        for path in (path for path in paths.values() if path not in but):
            run = load(path, which, parts=parts, data=data)
            parts = run.parts if run.other_data is None else parts
            yield path, run
