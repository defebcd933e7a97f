"""The training loop: seeds of one job, in directories of their own, going on where they stopped."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vae_jax import hosts
from vae_jax.batches.devices import compiler_options, devices, mesh_for
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.passes import exact_pass
from vae_jax.batches.rows import rows_of
from vae_jax.batches.splits import present
from vae_jax.batches.windows import Windows, fits, windows
from vae_jax.config import mesh_sizes
from vae_jax.errors import DivergedError
from vae_jax.runs import directory
from vae_jax.runs.checkpoints import BestOrLast
from vae_jax.runs.parts import Parts
from vae_jax.runs.run import Run
from vae_jax.runs.state import State, evaluated_params
from vae_jax.standard_errors import known_error
from vae_jax.training.advice import log_notes
from vae_jax.training.interrupts import Interrupted, caught_signals
from vae_jax.training.job import Job
from vae_jax.training.logs import Progress
from vae_jax.training.members import Member, opened
from vae_jax.training.update import RunSteps
from vae_jax.types import Context

logger = logging.getLogger(__name__)
Outcome = Run | Exception
Observe = Callable[[Run], object]


class _Loop(NamedTuple):
    """The things that the runs of a job share while they train."""

    job: Job
    mesh: Mesh
    cut: Windows
    run_steps: RunSteps
    bounds: Callable[..., Any]
    progress: Callable[..., Progress]
    observe: Observe | None
    which: BestOrLast  # parameters to keep, in memory, of a run without a directory


def train(
    job: Job,
    folders: Mapping[int, Path | None],
    progress: Callable[..., Progress] = Progress,
    observe: Observe | None = None,
    *,
    which: BestOrLast = "last",
) -> Iterator[tuple[int, Outcome]]:
    """Trains a job's seeds, each in its directory (or nowhere), and shows them to `observe`.

    Yields:
        seed and its run, or the error that ended it, as soon as the seeds it trains with are done.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the states are saved.
    """
    seeds = list(folders)
    log_notes(job, job.parts.start(keys_of(seeds[0])).params)
    size, loop = _seeds_at_once(job, len(seeds)), _make_loop(job, progress, observe, which)
    for end in range(size, len(seeds) + size, size):
        chunk, left = seeds[end - size : end], seeds[end:]
        with caught_signals() as received:
            try:
                outcomes = _train_chunk(loop, {seed: folders[seed] for seed in chunk}, received)
            except Exception as error:
                if hosts.count() > 1:  # the others may be elsewhere
                    raise
                outcomes = dict.fromkeys(chunk, error)
        yield from outcomes.items()
        if (signum := _of_any(received)) and left:
            raise Interrupted(signum, f"stopped before seed {left[0]}{_again(folders)}")
        if signum:
            logger.info("nothing was left to stop: training had come to its end")


def _seeds_at_once(job: Job, count: int) -> int:
    """The number of seeds that train along one axis; it is logged where there is a choice."""
    resident = fits(rows_of(job.parts.dataset, "train"), job.parts.cfg.max_device_bytes)
    asked, platform = job.parts.cfg.seeds_at_once, devices()[0].platform
    chosen = asked or (1 if platform == "cpu" or not resident else count)
    if count > 1:
        how = "one after another" if chosen == 1 else f"{min(chosen, count)} along one axis (vmap)"
        why = "as asked" if asked else f"chosen for {platform}; config.seeds_at_once can say"
        logger.info("%s seeds, one compiled program, %s (%s)", count, how, why)
    return chosen


def _make_loop(
    job: Job, progress: Callable[..., Progress], observe: Observe | None, which: BestOrLast
) -> _Loop:
    cfg, split = job.parts.cfg, rows_of(job.parts.dataset, "train")
    mesh = mesh_for(cfg.batch_size, mesh_sizes(cfg))
    cut = windows(split, mesh, cfg.batch_size, job.most_steps, cfg.max_device_bytes)
    program, bounds = RunSteps(job.update, mesh), _make_bounds(job.parts)
    return _Loop(job, mesh, cut, program, bounds, progress, observe, which)


def _train_chunk(
    loop: _Loop, folders: Mapping[int, Path | None], received: list[int]
) -> dict[int, Outcome]:
    """The outcomes of some seeds; those that were stopped at the same step train together."""
    outcomes: dict[int, Outcome] = {}
    with contextlib.ExitStack() as stack:
        runs = (opened(loop.job, s, path, loop.mesh, loop.cut) for s, path in folders.items())
        members = [stack.enter_context(member) for member in runs]
        for together in _at_the_same_step(members):
            outcomes |= _train(loop, together, received)
    return outcomes


def _at_the_same_step(members: list[Member]) -> list[list[Member]]:
    """The members in groups that were stopped at the same step."""
    steps = sorted({m.step for m in members})
    return [[m for m in members if m.step == step] for step in steps]


def _train(loop: _Loop, members: list[Member], received: list[int]) -> dict[int, Outcome]:
    """The outcomes of members trained from their common step until each ends or diverges."""
    job, going, step = loop.job, [m for m in members if not m.has_stopped], members[0].step
    num_steps, every = job.parts.num_steps, job.eval_every
    if step:
        logger.info("going on from step %s of %s", step, num_steps)
    with loop.progress([m.seed for m in members], step, num_steps) as progress:
        if step == 0:
            _show(loop, going)
        while going and step < num_steps:
            before, step = step, step + _run_window(loop, going, step)
            going = [m for m in going if not m.diverged]
            epoch = step / job.parts.steps_per_epoch
            progress.advance(step, epoch, _mean([m.shown for m in going]))
            is_regular = step // every > before // every
            if is_regular or step == num_steps:
                for member in going:
                    _validate(loop, member, is_regular)
                _show(loop, going)
                shown = _mean([m.shown for m in going])
                progress.line(step, epoch, shown)
                going = [m for m in going if not m.has_stopped]
            if (signum := _of_any(received)) and going and step < num_steps:
                _stop(going, signum)
    return {m.seed: m.diverged or _outcome(loop, m) for m in members}


def _of_any(received: list[int]) -> int:
    """The signal that this process, or another of its run, has received; 0 without one."""
    return hosts.largest(received[0] if received else 0)


def _show(loop: _Loop, members: list[Member]) -> None:
    """Shows runs to `observe`."""
    if loop.observe is not None:
        for member in members:
            loop.observe(member.copy)


def _outcome(loop: _Loop, member: Member) -> Run:
    """The run as it is; where it has no directory, with the parameters that are asked for."""
    last = member.run
    if last.stopped:
        logger.info("seed %s %s", member.seed, last.stopped)
    if member.best:
        last = member.best[1]._replace(trained=last.step, stopped=last.stopped)
    return last if member.path else last._replace(which=loop.which)


def _mean(records: Sequence[dict[str, float]]) -> dict[str, float]:
    names = records[0] if records else ()
    return {name: float(np.mean([record[name] for record in records])) for name in names}


def _run_window(loop: _Loop, members: list[Member], before: int) -> int:
    """Trains each member on its next window; returns the number of steps."""
    pieces = [next(m.windows) for m in members]
    states, keys = [m.state for m in members], [m.keys.train for m in members]
    rows, ids = [p.rows for p in pieces], [p.ids for p in pieces]
    arguments = (states, keys, pieces[0].data, rows, ids)
    program, began = loop.run_steps.prepare(*arguments), time.monotonic()
    results = jax.block_until_ready(program(*arguments))
    seconds = (time.monotonic() - began) / len(members)
    for member, (state, stacked) in zip(members, results, strict=True):
        metrics = jax.device_get(stacked)
        member.state = state
        member.diverged = _note_divergence(member, metrics, before)
        if not member.diverged:
            member.shown = _log_window(member, metrics, seconds)
    return len(ids[0])


def _log_window(member: Member, metrics: dict[str, np.ndarray], seconds: float) -> dict[str, float]:
    """Logs the means over the window's steps; returns those that progress shows."""
    means = {name: float(values.mean(dtype=np.float64)) for name, values in metrics.items()}
    rate = len(metrics["bound"]) * member.job.parts.cfg.batch_size / seconds
    member.write(means | {"examples_per_second": rate, "seconds": seconds})
    return {"bound": means["bound"], "kl": means["kl"]}


def _make_bounds(parts: Parts) -> Callable[..., dict[str, Any]]:
    """(state, key, raw, ids) -> the bound of each example `[batch]`, jitted."""
    context = Context(num_examples=len(parts.dataset.splits["train"]))

    @partial(jax.jit, compiler_options=compiler_options())
    def bounds(state: State, key: Any, raw: Any, ids: Any) -> dict[str, Any]:
        params = evaluated_params(state, parts.cfg.ema_decay)
        keys, batch = present(parts.dataset, example_keys(key, ids), raw)
        return {"bound": parts.objective(parts.model, params, keys, batch, context).value}

    return bounds


def _validate(loop: _Loop, member: Member, is_regular: bool) -> None:
    """Logs the mean bound on the validation split, always by the same draws; saves a checkpoint.

    A validation at the end alone, which is not a regular one, is none that patience counts.
    """
    parts, bound = loop.job.parts, None
    if "validation" in parts.dataset.splits:
        bounds = partial(loop.bounds, member.state, member.keys.validate)
        split = rows_of(parts.dataset, "validation")
        values = exact_pass(bounds, split, parts.cfg.batch_size, loop.mesh)["bound"]
        bound = float(values.mean())
        member.write({"validation_bound": bound, "validation_error": known_error(values) or 0.0})
        member.shown["validation"] = bound
        member.bounds += [bound] if is_regular else []
    member.save(bound)
    if not member.path and loop.which == "best" and bound is not None and math.isfinite(bound):
        equal_or_better = member.best is None or bound >= member.best[0]  # as on disk
        member.best = (bound, member.copy) if equal_or_better else member.best


def _note_divergence(
    member: Member, metrics: dict[str, np.ndarray], before: int
) -> DivergedError | None:
    """The error of a step whose metrics are not finite, or None; the last good state is saved."""
    finite = np.all([np.isfinite(values) for values in metrics.values()], axis=0)
    if finite.all():
        return None
    first = int(np.argmin(finite))
    terms = [f"{n} is {v[first]}" for n, v in metrics.items() if not np.isfinite(v[first])]
    what, kept = f"step {before + first + 1}: {', '.join(terms)}", "nothing was kept"
    if member.path:
        member.save()
        kept = f"the state before it is kept in {member.manager.directory}"
        if hosts.is_first():
            directory.record_failure(member.path, "diverged", what)
    return DivergedError(what, kept, learned=before + first > 0)


def _stop(members: list[Member], signum: int) -> None:
    for member in members:
        member.save()
    again = _again({m.seed: m.path for m in members})
    raise Interrupted(signum, f"stopped after step {members[0].step}{again}")


def _again(folders: Mapping[int, Path | None]) -> str:
    """The words on how to go on, of runs that are kept."""
    return "; the same command goes on from here" if all(folders.values()) else ""
