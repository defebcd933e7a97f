"""`fit`: from a config to a trained run, or to one for each of many seeds."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import get_args

from ml_collections import ConfigDict

from vae_jax import config, hosts
from vae_jax.batches.devices import mesh_for
from vae_jax.errors import RunsFailedError, UserError, one_line
from vae_jax.places import named
from vae_jax.runs import claims, data, directory, stopping
from vae_jax.runs.checkpoints import BestOrLast
from vae_jax.runs.parts import Datasets, Parts
from vae_jax.runs.run import Run, load
from vae_jax.training import starts
from vae_jax.training.job import Job, make_job
from vae_jax.training.logs import Progress, require_trackers
from vae_jax.training.loop import Observe, Outcome, train
from vae_jax.types import Model


def fit(
    cfg: ConfigDict,
    workdir: str | Path | None = None,
    *,
    model: Model | None = None,
    quiet: bool = False,
    observe: Observe | None = None,
    which: BestOrLast = "best",
    init_from: str | Path | None = None,
) -> Run:
    """The run of a config, trained, with checkpoints and logs in `workdir` where one is given.

    Called again with the same config and workdir it goes on after the last checkpoint, and ends
    with the parameters that an uninterrupted run ends with, bit for bit on the same machine. So
    does a run that goes on with more epochs, unless its optimizer depends on `num_steps`.

    Args:
        cfg: the config; missing fields have their defaults.
        workdir: the run directory; None keeps nothing on disk.
        model: in place of the model that the config names.
        quiet: no progress on stderr.
        observe: called with the run as it is before the first update and at every validation
            (`config.eval_every_epochs`), for pictures of a model that learns; it changes nothing.
        which: "best", by the validation bound, as `load` has it, or "last".
        init_from: in place of `config.init_from`, another run's directory, or `RUN:STEP`: branches
            of its parameters that have the shapes of this model's are where this run starts.

    Returns:
        the run with its best parameters, which are those of `run.step` updates, or with its last.
        Without a validation split the best are the last.

    Raises:
        UserError: for a mistake in the config, the data or the workdir, before training starts.
        DivergedError: when the bound stops being finite; the last good state is saved.
        Interrupted: a KeyboardInterrupt, after Ctrl-C or SIGTERM, once the state is saved.
    """
    cfg = _resolved(cfg, init_from)
    if cfg.num_seeds > 1:
        raise UserError(f"config.num_seeds={cfg.num_seeds}: `fit` trains one, `fit_seeds` several")
    folder = None if workdir is None else named(workdir)
    [outcome] = _fit(cfg, {cfg.seed: folder}, model, quiet, which, observe).values()
    if isinstance(outcome, Exception):
        raise outcome
    return _chosen(outcome, which)


def fit_seeds(
    cfg: ConfigDict,
    workdir: str | Path | None = None,
    *,
    model: Model | None = None,
    quiet: bool = False,
    which: BestOrLast = "best",
    init_from: str | Path | None = None,
) -> list[Run]:
    """`fit` for `num_seeds` seeds from `seed` on, sharing one compiled program.

    Each is the same run as that seed alone, in a run directory of its own, `workdir/seed_<i>`: bit
    for bit where seeds train one after another, up to rounding where they train along an axis.
    `config.seeds_at_once` of them train along one axis: 0 lets the program choose, all of them on
    an accelerator, one after another on a CPU. A seed that diverges does not keep the others from
    ending. Where `init_from` holds a run for each seed, each starts from its own.

    Raises:
        RunsFailedError: when all are done, if any diverged or failed otherwise.
        UserError, Interrupted: as `fit` does.
    """
    cfg = _resolved(cfg, init_from)
    nowhere: dict[int, Path | None] = dict.fromkeys(config.seeds(cfg))
    folders = nowhere if workdir is None else claims.seed_folders(cfg, named(workdir))
    outcomes = _fit(cfg, folders, model, quiet, which)
    failed = {s: o for s, o in outcomes.items() if isinstance(o, Exception)}
    if failed:
        reasons = [f"seed {seed}: {one_line(error)}" for seed, error in failed.items()]
        raise RunsFailedError(f"{len(failed)} of {len(outcomes)} runs failed", reasons)
    return [_chosen(run, which) for run in outcomes.values() if isinstance(run, Run)]


def _resolved(cfg: ConfigDict, init_from: str | Path | None) -> ConfigDict:
    cfg = config.resolve(cfg)
    cfg.init_from = cfg.init_from if init_from is None else str(init_from)
    return cfg


def _fit(
    cfg: ConfigDict,
    folders: Mapping[int, Path | None],
    model: Model | None,
    quiet: bool,
    which: BestOrLast,
    observe: Observe | None = None,
) -> dict[int, Outcome]:
    hosts.require_alike({f"--config.{name}": value for name, value in cfg.items()})
    with hosts.together():
        prepared = _prepared(cfg, folders, model, which)
    if not isinstance(prepared, Job):
        return prepared
    quiet = quiet or not hosts.is_first()
    progress = partial(Progress, quiet=quiet, named=len(folders) > 1)
    return dict(train(prepared, folders, progress, observe, which=which))


def _prepared(
    cfg: ConfigDict,
    folders: Mapping[int, Path | None],
    model: Model | None,
    which: BestOrLast,
) -> Job | dict[int, Outcome]:
    """The job that is to be trained, or the runs that have been trained to their end."""
    if which not in get_args(BestOrLast):
        raise UserError(f"which={which!r}: there is 'best' and 'last'")
    for seed, path in folders.items():
        if path:
            claims.require_same(path, config.of_seed(cfg, seed))
    require_trackers(cfg)
    mesh_for(cfg.batch_size, config.mesh_sizes(cfg))  # also of a run that is at its end
    datasets = Datasets()
    parts = datasets.make_parts(cfg, model)
    for path in filter(None, folders.values()):
        data.require_same(path, parts, directory.USE_ANOTHER_WORKDIR)
    if runs := _trained_before(parts, folders):
        return runs
    job = make_job(cfg, model, datasets)
    starts.require_start(job, folders)
    return job


def _trained_before(parts: Parts, folders: Mapping[int, Path | None]) -> dict[int, Outcome]:
    """The runs, if each has been trained to its end: nothing is traced or compiled for them."""
    paths = {seed: path for seed, path in folders.items() if path}
    ended = [stopping.is_at_end(p, parts.cfg, parts.num_steps) for p in paths.values()]
    if len(paths) < len(folders) or not all(ended):
        return {}
    try:
        runs = {seed: load(path, "last", parts=parts) for seed, path in paths.items()}
    except UserError:  # training says what is wrong, or mends it
        return {}
    if any(run.step < directory.last_checkpoint(paths[seed]) for seed, run in runs.items()):
        return {}  # a checkpoint was damaged
    for seed, path in paths.items():
        if hosts.is_first():
            data.keep(path, parts)  # which an older version did not
        claims.keep_config(path, config.of_seed(parts.cfg, seed))
    return dict(runs)


def _chosen(run: Run, which: BestOrLast) -> Run:
    """The run with its best parameters, which a directory keeps, or as it is."""
    if which == "last" or run.workdir is None:
        return run
    return load(run.workdir, which, parts=run.parts)
