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
from vae_jax.runs.parts import make_dataset, make_model, make_start
from vae_jax.runs.state import evaluated_params
from vae_jax.types import Dataset, Model, Params


class Run(NamedTuple):
    """A model, its data and its parameters after `step` updates."""

    config: ConfigDict
    dataset: Dataset
    model: Model
    params: Params
    step: int
    workdir: Path | None = None
    which: checkpoints.Which = "last"  # of the checkpoints


def load(
    workdir: str | Path,
    which: checkpoints.Which = "best",
    model: Model | None = None,
    dataset: Dataset | None = None,
) -> Run:
    """The run that `train` left in a directory, with its best or last parameters.

    A run whose model was not made by its config alone needs that `model`; a `dataset` and a model
    that are there already need not be made again.

    Raises:
        UserError: if there is no run, no readable checkpoint, or one of another model.
    """
    workdir = Path(workdir)
    if many := directory.many_runs(workdir):
        one = next(path for paths in many.values() for path in paths.values())
        raise UserError(f"{workdir} holds many runs: name one, such as {one}")
    cfg = config.read(workdir / "config.json")
    dataset = make_dataset(cfg) if dataset is None else dataset
    model = make_model(cfg, dataset) if model is None else model
    template = jax.eval_shape(make_start(cfg, dataset, model), keys_of(0))
    local = jax.sharding.SingleDeviceSharding(devices()[0])
    template = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=local), template
    )
    with checkpoints.opened(workdir) as manager:
        step, state = checkpoints.restore(manager, template, which)
    params = evaluated_params(state, cfg.ema_decay)
    return Run(cfg, dataset, model, params, step, workdir, which)


def load_all(workdir: Path, which: checkpoints.Which = "best") -> Iterator[tuple[Path, Run]]:
    """The run in a directory, or all of the many there, seeds of a setting sharing their model.

    Raises:
        UserError: as `load` does.
    """
    found = directory.many_runs(workdir)
    if not found:
        yield workdir, load(workdir, which)
    for paths in found.values():
        first: Run | None = None
        for path in paths.values():
            shared = (first.model, first.dataset) if first else ()
            run = load(path, which, *shared)
            first = first or run
            yield path, run
