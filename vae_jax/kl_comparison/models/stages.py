"""A run's parameters at initialization, in the middle of training and at its end."""

from typing import NamedTuple

from vae_jax.batches.keys import keys_of
from vae_jax.errors import UserError
from vae_jax.runs.checkpoints import Which
from vae_jax.runs.parts import make_start, steps_per_epoch
from vae_jax.runs.run import Run, load
from vae_jax.types import Params


class Stage(NamedTuple):
    """Parameters after `step` updates."""

    name: str
    step: int
    params: Params


def stages(run: Run) -> list[Stage]:
    """Initialization, made again from config and seed; the middle, if it was kept; the end.

    The end is the last checkpoint, the middle the one nearest to half of all updates, if it is
    nearer to that than to the start or to the end.
    """
    start = make_start(run.config, run.dataset, run.model)
    first = Stage("initialization", 0, start(keys_of(run.config.seed)).params)
    end = _stage(run, "end", "last")
    middle = _middle(run, end.step)
    return [first, *([middle] if middle else []), end]


def _stage(run: Run, name: str, which: Which) -> Stage:
    assert run.workdir is not None
    found = load(run.workdir, which, run.model, run.dataset)
    return Stage(name, found.step, found.params)


def _middle(run: Run, last: int) -> Stage | None:
    assert run.workdir is not None
    total = run.config.num_epochs * steps_per_epoch(run.config, run.dataset)
    names = (path.name for path in run.workdir.glob("checkpoints/*"))
    steps = [int(name) for name in names if name.isdigit() and int(name) < last]
    near = [step for step in steps if abs(step - total / 2) < total / 4]
    if not near:
        return None
    try:
        return _stage(run, "middle", min(near, key=lambda step: abs(step - total / 2)))
    except UserError:  # damaged
        return None
