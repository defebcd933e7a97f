"""Orbax checkpoints, written whole or not at all: the best, the last two, one from half-way.

Opening them is a context, since Orbax holds threads: `with checkpoints.opened(workdir) as manager`.
"""

import contextlib
import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from vae_jax.errors import UserError

logger = logging.getLogger(__name__)
BestOrLast = Literal["best", "last"]  # best by the validation bound
Which = BestOrLast | int  # a number is a step
SMALL_FILES = 2**17  # bytes of a checkpoint besides its arrays


def _bound(metrics: dict[str, float]) -> float:
    return metrics["bound"]


class _Nearest:
    """Preserves the checkpoint nearest to a step; until that is passed, the last one."""

    def __init__(self, step: int):
        self._step = step

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """True for the nearest one alone."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        nearest = min(steps, key=lambda step: abs(step - self._step), default=None)
        return [step == nearest for step in steps]


@contextlib.contextmanager
def opened(
    workdir: Path, *, write: bool = False, halfway: int = 0
) -> Iterator[ocp.CheckpointManager]:
    """The manager of `workdir/checkpoints`, closed at the end, when all writing is done.

    The checkpoint nearest to the update `halfway` is kept for comparisons; 0 keeps none.
    """
    best = BestN(get_metric_fn=_bound, n=1, keep_checkpoints_without_metrics=False)
    middle = [_Nearest(halfway)] if halfway else []
    options = ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy([LatestN(2), best, *middle]),
        best_fn=_bound,
        create=write,
        cleanup_tmp_directories=write,
        enable_async_checkpointing=False,
    )
    directory = (workdir / "checkpoints").resolve()
    _set_aside_unreadable(directory)
    with ocp.CheckpointManager(
        directory, options=options, item_handlers=ocp.StandardCheckpointHandler()
    ) as manager:
        yield manager


def _set_aside_unreadable(directory: Path) -> None:
    """Renames checkpoints whose metrics are damaged: with one, Orbax opens none of them."""
    for metrics in directory.glob("*[0-9]/metrics/metrics"):
        try:
            json.loads(metrics.read_text())
        except ValueError:
            _set_aside(metrics.parent.parent)
            logger.warning("checkpoint %s is damaged and passed over", metrics.parent.parent.name)


def _set_aside(checkpoint: Path) -> None:
    new = checkpoint.with_name(f"{checkpoint.name}.damaged")
    shutil.rmtree(new, ignore_errors=True)
    checkpoint.rename(new)


def save(manager: ocp.CheckpointManager, step: int, state: Any, bound: float | None = None) -> None:
    """Writes the state after `step` updates, with its validation bound where there is one.

    Raises:
        OSError: if there is no room for it; what was written before is kept.
    """
    if step in manager.all_steps():
        return
    _require_room(Path(manager.directory), state)
    metrics = None if bound is None or not math.isfinite(bound) else {"bound": bound}
    manager.save(step, args=ocp.args.StandardSave(state), metrics=metrics, force=True)
    manager.wait_until_finished()


def _require_room(directory: Path, state: Any) -> None:
    """Raises OSError before Orbax begins, whose threads each print a traceback on a full disk."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + SMALL_FILES
    if shutil.disk_usage(directory).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))


def restore_last_or(manager: ocp.CheckpointManager, initial: Any) -> Any:
    """The last readable state, or `initial` where there is none.

    A checkpoint that cannot be read is skipped with a warning, and renamed, since the run will
    write it again.

    Raises:
        UserError: if a checkpoint is of another model.
    """
    for step in sorted(manager.all_steps(), reverse=True):
        state = _try_restore(manager, step, initial)
        if state is not None:
            return state
        _set_aside(Path(manager.directory) / str(step))
        manager.reload()
    return initial


def restore(manager: ocp.CheckpointManager, template: Any, which: Which) -> tuple[int, Any]:
    """The step and state of the best or the last readable checkpoint, or of the one of a step.

    Without validation bounds the best is the last.

    Raises:
        UserError: if there is no readable one, or it is of another model.
    """
    for step in _ranked(manager, which):
        state = _try_restore(manager, step, template)
        if state is not None:
            return step, state
    raise UserError(f"{manager.directory} holds no readable checkpoint: train first")


def _ranked(manager: ocp.CheckpointManager, which: Which) -> list[int]:
    """The steps in the order in which they are tried."""
    steps = manager.all_steps()
    return _in_order({s: manager.metrics(s) if which == "best" else None for s in steps}, which)


def _in_order(metrics: Mapping[int, Any], which: Which) -> list[int]:
    """The steps with their metrics: the one asked for, or from the best or the last on."""
    steps = sorted(metrics, reverse=True)
    if isinstance(which, int):
        return [step for step in steps if step == which]
    scored = [step for step in steps if which == "best" and metrics[step]]
    best_first = sorted(scored, key=lambda step: -metrics[step]["bound"])
    return [*best_first, *(step for step in steps if step not in scored)]


def taken(workdir: Path, which: Which) -> int | None:
    """The step that `restore` takes as far as names and metrics tell; None where there is none.

    Nothing is opened, so that it costs little and disturbs no run that trains.
    """
    folders = [p for p in workdir.glob("checkpoints/*") if p.name.isdigit()]
    return next(iter(_in_order({int(p.name): _metrics(p) for p in folders}, which)), None)


def _metrics(checkpoint: Path) -> Any:
    try:
        return json.loads((checkpoint / "metrics" / "metrics").read_text())
    except (OSError, ValueError):
        return None


def _try_restore(manager: ocp.CheckpointManager, step: int, template: Any) -> Any | None:
    """The state, or None with a warning where it cannot be read."""
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    try:
        _require_same_model(manager, step, abstract)
        return manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes Orbax raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        logger.warning("checkpoint %s is damaged or unreadable and passed over (%s)", step, reason)
        return None


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): tuple(np.shape(leaf)) for path, leaf in leaves}


def _name(path: Any) -> str:
    keys = (getattr(k, "name", getattr(k, "key", getattr(k, "idx", k))) for k in path)
    return "/".join(map(str, keys))


def _require_same_model(manager: ocp.CheckpointManager, step: int, template: Any) -> None:
    saved, wanted = _shapes(manager.item_metadata(step)), _shapes(template)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            there = (
                f"{name} is {saved.get(name, 'absent')} in it, {wanted.get(name, 'absent')} here"
            )
            raise UserError(f"checkpoint {step} in {manager.directory} is another model's: {there}")
