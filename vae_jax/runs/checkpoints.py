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
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from vae_jax import hosts
from vae_jax.errors import UserError

logger = logging.getLogger(__name__)
BestOrLast = Literal["best", "last"]  # best by the validation bound
Which = BestOrLast | int  # a number is a step
TRIES = 100  # to find a checkpoint that stays while it is read
SECONDS_TO_DELETE = 0.3  # one that does not change for so long is not being deleted
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
    workdir: Path, *, write: bool = False, kept: Sequence[int] = ()
) -> Iterator[ocp.CheckpointManager]:
    """The manager of `workdir/checkpoints`, closed at the end, when all writing is done.

    The checkpoints nearest to the updates `kept` are kept for comparisons. Without `write`, which
    is for the process that trains, nothing in the directory is touched.
    """
    best = BestN(get_metric_fn=_bound, n=1, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        multiprocessing_options=_of_all() if write else _of_this_process(),
        preservation_policy=AnyPreservationPolicy([LatestN(2), best, *map(_Nearest, kept)]),
        best_fn=_bound,
        create=write,
        cleanup_tmp_directories=write,
        enable_async_checkpointing=False,
        lightweight_initialize=not write,  # `restore` lists them itself
    )
    directory = (workdir / "checkpoints").resolve()
    if write:
        with hosts.together():
            if hosts.is_first():
                _set_aside_unreadable(directory)
    with _managed(directory, options) as manager:
        yield manager


def _managed(
    directory: Path, options: ocp.CheckpointManagerOptions, tries: int = 10
) -> ocp.CheckpointManager:
    """The manager; again where a checkpoint that it lists is deleted meanwhile."""
    try:
        together = options.multiprocessing_options
        handler = ocp.StandardCheckpointHandler(multiprocessing_options=together)
        return ocp.CheckpointManager(directory, options=options, item_handlers=handler)
    except (OSError, ValueError):
        if options.create or tries == 1:
            raise
        return _managed(directory, options, tries - 1)


def _of_all() -> ocp.options.MultiprocessingOptions:
    """All processes write together, each what lies on its devices."""
    return ocp.options.MultiprocessingOptions()


def _of_this_process() -> ocp.options.MultiprocessingOptions:
    """Each process reads for itself."""
    mine = hosts.index()
    return ocp.options.MultiprocessingOptions(
        primary_host=mine, active_processes={mine}, barrier_sync_key_prefix=f"process_{mine}"
    )


def _set_aside_unreadable(directory: Path) -> None:
    """Renames checkpoints whose metrics are damaged: with one, Orbax opens none of them."""
    for metrics in directory.glob("*[0-9]/metrics/metrics"):
        try:
            json.loads(metrics.read_text(encoding="utf-8"))
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
        state = _read(manager, step, initial)
        if not hosts.largest(isinstance(state, Exception)):
            return state
        if isinstance(state, Exception):
            _pass_over(step, state)
        with hosts.together():
            if hosts.is_first():
                _set_aside(Path(manager.directory) / str(step))
        manager.reload()
    return initial


def restore(manager: ocp.CheckpointManager, template: Any, which: Which) -> tuple[int, Any]:
    """The step and state of the best or the last readable checkpoint, or of the one of a step.

    Without a template it is nested dicts, of whatever model it is. Without validation bounds the
    best is the last. Beside a training, which deletes checkpoints,
    they are listed again where one was gone before it was read.

    Raises:
        UserError: if there is no readable one, or it is of another model.
    """
    directory, damaged = Path(manager.directory), set[int]()
    for _ in range(TRIES):
        left = [s for s in _in_order(_listed(directory), which) if s not in damaged]
        if not left:
            raise UserError(_absent(directory, which))
        before = _content(directory / str(left[0]))
        state = _read(manager, left[0], template)
        if isinstance(state, Exception) and before:
            time.sleep(SECONDS_TO_DELETE)
        if not before or _content(directory / str(left[0])) != before:
            continue
        if not isinstance(state, Exception):
            return left[0], state
        _pass_over(left[0], state)
        damaged.add(left[0])
    raise UserError(f"{directory}: checkpoints go faster than they can be read: try again")


def _absent(directory: Path, which: Which) -> str:
    steps = sorted(_listed(directory))
    if not steps:
        return f"{directory} holds no checkpoint yet: train first, or wait if a training has begun"
    if isinstance(which, int) and which not in steps:
        return f"{directory} holds no checkpoint {which}: there is {', '.join(map(str, steps))}"
    return f"{directory} holds no readable checkpoint: train again, which replaces them"


def _content(checkpoint: Path) -> set[str]:
    """The paths of a checkpoint and its files, empty where it is not there."""
    folders = list(os.walk(checkpoint))
    return {base for base, _, _ in folders} | {f"{base}/{n}" for base, _, ns in folders for n in ns}


def _listed(directory: Path) -> dict[int, Any]:
    """The checkpoints that are there now: step -> metrics."""
    folders = [p for p in directory.glob("*") if p.name.isdigit()]
    return {int(p.name): _metrics(p) for p in folders}


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
    return next(iter(_in_order(_listed(workdir / "checkpoints"), which)), None)


def _metrics(checkpoint: Path) -> Any:
    try:
        return json.loads((checkpoint / "metrics" / "metrics").read_text(encoding="utf-8"))
    except ValueError:
        logger.warning("the bound of checkpoint %s is damaged and left out", checkpoint.name)
    except OSError:
        pass
    return None


def _read(manager: ocp.CheckpointManager, step: int, template: Any) -> Any | Exception:
    """The state, or the error: whatever a damaged file, or one that is gone, makes Orbax raise."""
    try:
        if template is None:
            abstract = _as_stored(manager, step)
        else:
            abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
            _require_same_model(manager, step, abstract)
        return manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:
        return error


def _as_stored(manager: ocp.CheckpointManager, step: int) -> Any:
    """The shapes and types of a checkpoint, to be read onto one device."""
    local = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(tuple(a.shape), a.dtype, sharding=local),
        dict(manager.item_metadata(step)),
    )


def _pass_over(step: int, error: Exception) -> None:
    """Warns of a checkpoint that cannot be read.

    Raises:
        UserError: the error, if it is one: the checkpoint is another model's.
    """
    if isinstance(error, UserError):
        raise error
    reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
    logger.warning("checkpoint %s is damaged or unreadable and passed over (%s)", step, reason)


def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the leaves of a tree, by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): tuple(np.shape(leaf)) for path, leaf in leaves}


def _name(path: Any) -> str:
    keys = (getattr(k, "name", getattr(k, "key", getattr(k, "idx", k))) for k in path)
    return "/".join(map(str, keys))


def _require_same_model(manager: ocp.CheckpointManager, step: int, template: Any) -> None:
    metadata = manager.item_metadata(step)
    if metadata is None:
        raise FileNotFoundError("no metadata")
    saved, wanted = shapes(metadata), shapes(template)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            there = (
                f"{name} is {saved.get(name, 'absent')} in it, {wanted.get(name, 'absent')} here"
            )
            raise UserError(f"checkpoint {step} in {manager.directory} is another model's: {there}")
