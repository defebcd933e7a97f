"""`fit`: from a config to a trained run, going on where an earlier call was stopped."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vae_jax import checkpoints, config, runs, training
from vae_jax.datasets import gather, require_valid, x_shape
from vae_jax.divergences import closed_form_kl, describe
from vae_jax.errors import DivergedError, UserError
from vae_jax.logs import Log
from vae_jax.passes import exact_pass, mesh_for, replicated
from vae_jax.runs import Run
from vae_jax.streaming import windows
from vae_jax.training import State
from vae_jax.types import Dataset, Model, Objective, Params

logger = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run after its state was saved."""

    def __init__(self, signum: int, message: str):
        """`signum` is the signal that ended it."""
        super().__init__(message)
        self.signum = signum


class _Job(NamedTuple):
    """What stays the same while a run trains."""

    cfg: ConfigDict
    dataset: Dataset
    model: Model
    objective: Objective
    keys: training.Keys
    steps_per_epoch: int

    @property
    def num_steps(self) -> int:
        return self.cfg.num_epochs * self.steps_per_epoch

    @property
    def eval_every(self) -> int:
        """Updates from one validation, and checkpoint, to the next."""
        return max(1, round(self.cfg.eval_every_epochs * self.steps_per_epoch))


def fit(
    cfg: ConfigDict,
    workdir: str | Path | None = None,
    *,
    model: Model | None = None,
    quiet: bool = False,
) -> Run:
    """Trains what a config describes, with checkpoints and logs in `workdir` where one is given.

    Called again with the same config and workdir it goes on after the last checkpoint, and ends
    with the parameters that an uninterrupted run ends with, bit for bit on the same machine.

    Args:
        cfg: the config; missing fields have their defaults.
        workdir: the run directory; None keeps nothing on disk.
        model: in place of the model that the config names.
        quiet: no progress on stderr.

    Returns:
        the run with its last parameters (`runs.load` gives those with the best validation bound).

    Raises:
        UserError: for a mistake in the config, the data or the workdir, before training starts.
        DivergedError: when the bound stops being finite; the last good state is saved.
        Interrupted: a KeyboardInterrupt, after Ctrl-C or SIGTERM, once the state is saved.
    """
    cfg, path = config.resolve(cfg), None if workdir is None else Path(workdir)
    if path:
        runs.require_same(path, cfg)
    job = _make_job(cfg, model)
    initial = runs.make_state(cfg, job.dataset, job.model)
    _dry_run(job, initial)
    if path:
        runs.claim(path, cfg)
    mesh = mesh_for(cfg.batch_size)
    with contextlib.ExitStack() as stack:
        manager = path and stack.enter_context(checkpoints.opened(path, write=True))
        state = jax.device_put(initial, replicated(mesh))
        state = checkpoints.restore_last_or(manager, state) if manager else state
        log = stack.enter_context(Log(path, int(state.step), job.num_steps, quiet))
        state = _train(job, state, mesh, log, manager, stack.enter_context(_signals()))
    params = training.evaluated_params(state, job.cfg.ema_decay)
    return Run(job.cfg, job.dataset, job.model, params, int(state.step), path)


def _make_job(cfg: ConfigDict, model: Model | None) -> _Job:
    """The parts that a config names, checked against the data."""
    dataset = runs.make_dataset(cfg)
    model = model or runs.make_model(cfg, dataset)
    require_valid(dataset, model)
    keys = training.keys_of(cfg.seed)
    steps = runs.steps_per_epoch(cfg, dataset)
    return _Job(cfg, dataset, model, runs.make_objective(cfg), keys, steps)


def _dry_run(job: _Job, state: State) -> None:
    """Traces the objective, so that what cannot work fails here; says what the user should know."""
    raw = jnp.asarray(gather(job.dataset.splits["train"], slice(0, runs.INIT_BATCH)))

    def in_support(params: Params) -> Any:
        keys = training.example_keys(job.keys.start, jnp.arange(len(raw)))
        _, x = training.presented(job.dataset, keys, raw)
        z = jnp.zeros(job.model.prior(params).event_shape)
        return job.model.decode(params, z).support(x).all()

    def trace(params: Params) -> Any:
        x = jnp.zeros((2, *x_shape(job.dataset)))
        q, p = job.model.encode(params, x), job.model.prior(params)
        bound = job.objective(job.model, params, jax.random.split(job.keys.train), x, 0)
        form = "no closed form: sampled" if closed_form_kl(q, p) is None else "in closed form"
        logger.info("KL(q(z|x) || p(z)) of %s and %s: %s", describe(q), describe(p), form)
        if not {"log_likelihood", "kl"} <= bound.terms.keys():
            raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
        return bound

    jax.eval_shape(trace, state.params)
    if not jax.jit(in_support)(state.params):
        logger.warning(
            "the data is not in the support of p(x|z), so the numbers are no log-likelihoods: "
            "binarize the data or choose another likelihood"
        )


def _train(
    job: _Job, state: State, mesh: Any, log: Log, manager: Any, received: list[int]
) -> State:
    rule = runs.make_rule(job.cfg, job.dataset)
    run_steps = training.make_run_steps(
        training.make_update(job.model, job.objective, rule, job.dataset)
    )
    validate = _make_validate(job, mesh)
    if int(state.step) < job.num_steps:
        logger.info("compiling, then steps %s to %s", int(state.step) + 1, job.num_steps)
    for window in _windows_left(job, int(state.step), mesh):
        before, start = int(state.step), time.monotonic()
        state, stacked = run_steps(state, job.keys.train, *window)
        step = int(state.step)
        metrics = {name: np.asarray(values) for name, values in stacked.items()}
        _require_finite(job, state, metrics, before, manager)
        shown = _log_window(job, log, step, metrics, time.monotonic() - start)
        if step // job.eval_every > before // job.eval_every or step == job.num_steps:
            bound = validate(state, log, shown)
            if manager:
                checkpoints.save(manager, step, state, bound)
        if received and step < job.num_steps:
            _stop(state, manager, received[0])
    return state


def _windows_left(job: _Job, step: int, mesh: Any) -> Iterator[Any]:
    """The windows of steps from `step` to the end, cut where the config says and nowhere else."""
    cfg, split = job.cfg, job.dataset.splits["train"]
    longest = min(cfg.log_every_steps, job.eval_every)
    cut = windows(split, mesh, cfg.batch_size, longest, cfg.max_device_bytes)
    for epoch in range(step // job.steps_per_epoch, cfg.num_epochs):
        order = training.epoch_order(job.keys.order, epoch, len(split), cfg.batch_size)
        yield from cut(order[max(0, step - epoch * job.steps_per_epoch) :])


def _log_window(
    job: _Job, log: Log, step: int, metrics: dict[str, np.ndarray], seconds: float
) -> dict[str, float]:
    """Means over the window's steps, into the log; what of them is shown."""
    means = {name: float(values.mean(dtype=np.float64)) for name, values in metrics.items()}
    rate = len(metrics["bound"]) * job.cfg.batch_size / seconds
    log.write(step, step / job.steps_per_epoch, {**means, "examples_per_second": rate})
    shown = {"bound": means["bound"], "kl": means["kl"]}
    log.progress(step, shown)
    return shown


def _make_validate(job: _Job, mesh: Any) -> Callable[[State, Log, dict[str, float]], float | None]:
    """The mean bound on the validation split, nats per example, always with the same draws."""
    split = job.dataset.splits.get("validation")

    @partial(jax.jit, compiler_options=training.COMPILER_OPTIONS)
    def bounds(state: State, raw: Any, ids: Any) -> dict[str, Any]:
        params = training.evaluated_params(state, job.cfg.ema_decay)
        keys = training.example_keys(job.keys.validate, ids)
        keys, x = training.presented(job.dataset, keys, raw)
        return {"bound": job.objective(job.model, params, keys, x).value}

    def validate(state: State, log: Log, shown: dict[str, float]) -> float | None:
        step, epoch = int(state.step), int(state.step) / job.steps_per_epoch
        if split is None:
            log.line(step, epoch, shown)
            return None
        size = job.cfg.batch_size
        values = exact_pass(lambda raw, ids: bounds(state, raw, ids), split, size, mesh)["bound"]
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        log.write(step, epoch, {"validation_bound": values.mean(), "validation_error": error})
        log.line(step, epoch, {**shown, "validation": values.mean()})
        return float(values.mean())

    return validate


def _require_finite(
    job: _Job, state: State, metrics: dict[str, np.ndarray], before: int, manager: Any
) -> None:
    """Raises DivergedError, the last good state saved, if a step's metrics were not finite."""
    finite = np.all([np.isfinite(values) for values in metrics.values()], axis=0)
    if finite.all():
        return
    first = int(np.argmin(finite))
    terms = ", ".join(f"{n} is {v[first]}" for n, v in metrics.items() if not np.isfinite(v[first]))
    kept = "; nothing was kept"
    if manager:
        checkpoints.save(manager, int(state.step), state)
        kept = f"; the state before it is kept in {manager.directory}"
    advice = "a smaller learning rate or config.clip_norm may help, in another --workdir"
    raise DivergedError(f"step {before + first + 1}: {terms}{kept}; {advice}")


def _stop(state: State, manager: Any, signum: int) -> None:
    message = f"stopped after step {int(state.step)}"
    if manager:
        checkpoints.save(manager, int(state.step), state)
        message += "; the same command goes on from here"
    raise Interrupted(signum, message)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM, for the loop to stop between two calls of the device.

    A second one of a kind has its usual effect.
    """
    received: list[int] = []
    previous: dict[signal.Signals, Any] = {}

    def receive(signum: int, frame: Any) -> None:
        del frame
        received.append(signum)
        signal.signal(signum, previous[signal.Signals(signum)])
        logger.info("saving; once more to stop at once")

    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, receive)
    except ValueError:  # not in the main thread: its signals are the caller's affair
        pass
    try:
        yield received
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
