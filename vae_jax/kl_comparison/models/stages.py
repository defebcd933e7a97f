"""A run's parameters at initialization, in the middle of training and at its end."""

from typing import NamedTuple

from vae_jax.batches.keys import keys_of
from vae_jax.errors import UserError
from vae_jax.runs.checkpoints import Which
from vae_jax.runs.run import Run, load
from vae_jax.types import Params


class Stage(NamedTuple):
    """Parameters after `step` updates."""

    name: str
    step: int
    params: Params


def stages(run: Run) -> list[Stage]:
    """Initialization, computed again from config and seed; the middle, if it was kept; the end.

    Of a run that started from another one's parameters the first checkpoint was kept. The end is
    the last checkpoint. The middle is the checkpoint nearest to half of all updates, if it is
    nearer to that than to the start or to the end.
    """
    first = _first(run)
    end = _stage(run, "end", "last")
    middle = _middle(run, end.step)
    return [first, *([middle] if middle else []), end]


def _first(run: Run) -> Stage:
    if run.config.init_from:
        return _stage(run, "initialization", 0)
    start = run.parts.start(keys_of(run.config.seed))
    return Stage("initialization", 0, start.params)


def _stage(run: Run, name: str, which: Which) -> Stage:
    assert run.workdir is not None
    loaded = load(run.workdir, which, parts=run.parts)
    return Stage(name, loaded.step, loaded.params)


def _middle(run: Run, last: int) -> Stage | None:
    assert run.workdir is not None
    total = last if run.age.stopped else run.parts.num_steps
    names = (path.name for path in run.workdir.glob("checkpoints/*"))
    steps = [int(name) for name in names if name.isdigit() and int(name) < last]
    near = [step for step in steps if abs(step - total / 2) < total / 4]
    if not near:
        return None
    nearest = min(near, key=lambda step: abs(step - total / 2))
    try:
        return _stage(run, "middle", nearest)
    except UserError:  # damaged
        return None
