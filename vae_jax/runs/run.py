"""Runs as they are read back from their directories."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.devices import devices
from vae_jax.batches.keys import keys_of
from vae_jax.errors import UserError
from vae_jax.runs import checkpoints, directory
from vae_jax.runs.facts import find_facts
from vae_jax.runs.parts import Parts, make_parts
from vae_jax.runs.state import evaluated_params
from vae_jax.types import Dataset, Facts, Model, Params


class Run(NamedTuple):
    """Parts of a model and their parameters after `step` updates."""

    parts: Parts
    params: Params
    step: int
    seed: int | None = None  # None: the one in the parts' config
    workdir: Path | None = None
    which: checkpoints.Which = "last"  # of the checkpoints

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
    def facts(self) -> Facts:
        """The distributions of its model by their types and shapes; nothing is computed."""
        return find_facts(self.model, self.params, self.parts.x_shape)

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end; its parameters may come from an earlier step."""
        trained = directory.last_checkpoint(self.workdir) if self.workdir else self.step
        return trained >= self.parts.num_steps


def load(
    workdir: str | Path,
    which: checkpoints.Which = "best",
    *,
    model: Model | None = None,
    parts: Parts | None = None,
) -> Run:
    """The run that `train` left in a directory, with its best or last parameters.

    Args:
        workdir: the directory.
        which: "best" by the validation bound, "last", or a number of updates.
        model: the one that was trained, if it is not the one that the config names.
        parts: those of a run of the same config with any seed, so that they are not made again.

    Raises:
        UserError: if there is no run, no readable checkpoint, or one of another model.
    """
    workdir = Path(workdir)
    if many := directory.many_runs(workdir):
        one = next(path for paths in many.values() for path in paths.values())
        raise UserError(f"{workdir} holds many runs: name one, such as {one}")
    cfg = config.read(workdir / "config.json")
    parts = make_parts(cfg, model=model) if parts is None else parts
    template = jax.eval_shape(parts.start, keys_of(0))
    local = jax.sharding.SingleDeviceSharding(devices()[0])
    template = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=local), template
    )
    with checkpoints.opened(workdir) as manager:
        step, state = checkpoints.restore(manager, template, which)
    params = evaluated_params(state, cfg.ema_decay)
    return Run(parts, params, step, cfg.seed, workdir, which)


def load_all(workdir: Path, which: checkpoints.Which = "best") -> Iterator[tuple[Path, Run]]:
    """The run in a directory, or all of the many there, seeds of a setting sharing their parts.

    Raises:
        UserError: as `load` does.
    """
    settings = directory.many_runs(workdir)
    if not settings:
        yield workdir, load(workdir, which)
    for paths in settings.values():
        parts: Parts | None = None
        for path in paths.values():
            run = load(path, which, parts=parts)
            parts = run.parts
            yield path, run
