"""Whether a run may go on with another config: which fields may differ, and why others may not."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.config import optimizers
from vae_jax.errors import UserError
from vae_jax.runs import stopping
from vae_jax.runs.directory import last_checkpoint, read_metrics

ADVICE = "choose another --workdir"
Rule = Callable[[Path, ConfigDict, ConfigDict], str]  # (workdir, before, now) -> why it may not


def require_going_on(workdir: Path, now: ConfigDict) -> list[str]:
    """Refuses a config with which the run in a directory cannot go on.

    It may have more epochs or fewer, validate less often, or have another patience, where the
    updates that were made are those that it would have made from the start.

    Returns:
        `field: before -> now` for each field in which it goes on differently.

    Raises:
        UserError: naming the fields, and saying why.
    """
    before = config.read(workdir / "config.json")
    differing, where = config.differences(before, now), f"--workdir={workdir} holds a run"
    if differing.keys() - RULES.keys():
        message = f"{where} of another config ({'; '.join(differing.values())})"
        raise UserError(f"{message}: {ADVICE}")
    for name, text in differing.items():
        if reason := RULES[name](workdir, before, now):
            raise UserError(f"{where} that cannot go on with {text}: {reason}")
    return list(differing.values())


def _epochs(workdir: Path) -> float:
    """Epochs that a run has made, as far as its checkpoints and metrics tell."""
    per_epoch = stopping.steps_per_epoch(read_metrics(workdir))
    return last_checkpoint(workdir) / per_epoch if per_epoch else 0.0


def _of_length(workdir: Path, before: ConfigDict, now: ConfigDict) -> str:
    done = _epochs(workdir)
    if done > now.num_epochs:
        return f"it has made {done:g} epochs; --checkpoint=STEP reads an earlier one, or {ADVICE}"
    if done and optimizers.knows_length(now.optimizer):
        new = f"another --workdir with --init_from={workdir} starts from its parameters"
        return f"num_steps, the run's length, is in config.optimizer={now.optimizer}; {new}"
    return ""


def _of_validation(workdir: Path, before: ConfigDict, now: ConfigDict) -> str:
    if now.eval_every_epochs < before.eval_every_epochs:
        return f"it may validate less often from now on, not more often; or {ADVICE}"
    return ""


def _of_patience(workdir: Path, before: ConfigDict, now: ConfigDict) -> str:
    points = stopping.validations(stopping.kept_records(workdir), before)
    bounds = [bound for _, bound in points]
    for i, (epoch, _) in enumerate(points[:-1], 1):
        if stopping.is_over(bounds[:i], now.patience):
            done = points[-1][0]
            return f"it would have ended at epoch {epoch:g} and has made {done:g}; {ADVICE}"
    return ""


RULES: Mapping[str, Rule] = {
    "num_epochs": _of_length,
    "eval_every_epochs": _of_validation,
    "patience": _of_patience,
}
