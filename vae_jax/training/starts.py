"""Parameters that a run starts with, taken from another run where they fit: `config.init_from`."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import hosts
from vae_jax.errors import UserError
from vae_jax.places import named
from vae_jax.runs import checkpoints, directory
from vae_jax.runs.parts import OF_MODEL
from vae_jax.runs.state import Optimization, State
from vae_jax.runs.stored import read_params
from vae_jax.training.job import Job
from vae_jax.types import Params

logger = logging.getLogger(__name__)
FILE = "init.json"  # in a run's directory: what it has started from


class Start(NamedTuple):
    """A checkpoint of another run, and what of it fits."""

    run: Path
    step: int
    taken: list[str]  # branches of params
    anew: dict[str, str]  # the other branches, and why

    def __str__(self) -> str:
        parts = [f"{', '.join(self.taken)} taken"] if self.taken else []
        parts += [f"{name} {why}: starts anew" for name, why in self.anew.items()]
        return f"init_from {self.run} step {self.step}: {'; '.join(parts)}"


def require_start(job: Job, folders: Mapping[int, Path | None]) -> None:
    """Refuses a run to start from that is not there, or has no branch of the model's shapes.

    A run that has begun does not need it any more.
    """
    if not job.parts.cfg.init_from:
        return
    for seed, path in folders.items():
        if path is None or checkpoints.taken(path, "last") is None:
            _start(job, *source(job.parts.cfg.init_from, seed))


def begun(job: Job, seed: int, state: State, workdir: Path | None) -> State:
    """The state before the first update, of a run that starts from another one.

    Args:
        job: the run's.
        seed: of the run.
        state: as it would start by itself.
        workdir: where it is noted what was taken (`init.json`); None: nowhere.

    Raises:
        UserError: as `require_start` does.
    """
    start, theirs = _start(job, *source(job.parts.cfg.init_from, seed))
    logger.info("%s", start)
    params = {n: theirs[n] if n in start.taken else mine for n, mine in state.params.items()}
    if workdir and hosts.is_first():
        sha256 = _sha256(theirs[name] for name in start.taken)
        record = {**start._asdict(), "run": str(start.run.resolve()), "sha256": sha256}
        directory.write_json(workdir / FILE, record)
    return _of(job.parts.rule, jax.tree.map(_like, params, state.params))


def _of(rule: Optimization, params: Params) -> State:
    """The state of parameters before the first update."""
    average = rule.average.init(params) if rule.average else ()
    return State(jnp.zeros((), jnp.int32), params, rule.gradient.init(params), average)


def _like(leaf: Any, other: jax.Array) -> jax.Array:
    """The leaf with the type of another, on its devices, in memory of its own."""
    return jax.device_put(jnp.array(leaf, other.dtype), other.sharding)


def source(text: str, seed: int) -> tuple[Path, checkpoints.Which]:
    """The run directory, and the checkpoint, that `RUN` or `RUN:STEP` names for a seed.

    Raises:
        UserError: if there is no run, or none of the seed where it holds many.
    """
    path, which = _parted(text)
    if seeds := directory.seeds_in(path):
        if seed not in seeds:
            raise _mistake(text, f"it holds seeds {', '.join(map(str, seeds))}, and not {seed}")
        path = seeds[seed]
    if not (path / "config.json").exists():
        raise _mistake(text, f"{path} holds no run: RUN or RUN:STEP is needed")
    return path, which


def _parted(text: str) -> tuple[Path, checkpoints.Which]:
    run, colon, step = text.rpartition(":")
    if not colon or named(text).is_dir():
        return named(text), "best"
    if not step.isdigit():
        raise _mistake(text, f"{step!r} is no step")
    return named(run), int(step)


def _mistake(text: str, reason: str) -> UserError:
    return UserError(f"config.init_from={text}: {reason}")


def _start(job: Job, path: Path, which: checkpoints.Which) -> tuple[Start, Params]:
    """The parts of a checkpoint that fit, and its parameters."""
    step, theirs = read_params(path, which)
    taken, anew = [], {}
    for name in sorted(job.state.params, key=_place):
        branch = job.state.params[name]
        wanted, there = (checkpoints.shapes(tree) for tree in (branch, theirs.get(name, {})))
        if wanted and wanted == there:
            taken.append(name)
        elif wanted:
            anew[name] = "differs in shape" if there else "is not there"
    start = Start(path, step, taken, anew)
    if not taken:
        raise _mistake(job.parts.cfg.init_from, f"no part fits; {start}")
    return start, theirs


def _place(name: str) -> int:
    """The place of a branch among the parts of a model."""
    return OF_MODEL.index(name) if name in OF_MODEL else len(OF_MODEL)


def _sha256(trees: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(list(trees)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
