"""Early stopping: a run ends when validations have not bettered its bound for long enough.

Nothing is stored for it. The validation bounds are in metrics.jsonl, and a run that goes on after
a kill finds them there; so the step at which it stops depends on nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vae_jax.runs.directory import last_checkpoint, read_metrics

Records = Sequence[Mapping[str, Any]]


def waited(bounds: Sequence[float]) -> int:
    """Validations since the best bound; of equal ones the first is the best."""
    finite = [bound if math.isfinite(bound) else -math.inf for bound in bounds]
    return len(finite) - 1 - finite.index(max(finite)) if finite else 0


def is_over(bounds: Sequence[float], patience: int) -> bool:
    """Whether a run with these validation bounds has ended; a patience of 0 ends none."""
    return bool(patience) and waited(bounds) >= patience


def regular(records: Records, every: int) -> list[tuple[float, float]]:
    """The epoch and the bound of each validation but for those at the end of a shorter run.

    Args:
        records: of metrics.jsonl.
        every: updates from one validation to the next, as `eval_every` has it.
    """
    points, before, step = [], 0, 0
    for record in records:
        if record["step"] > step:
            before, step = step, record["step"]
        if "validation_bound" in record and step // every > before // every:
            points.append((record["epoch"], record["validation_bound"]))
    return points


def steps_per_epoch(records: Records) -> int | None:
    """Updates of an epoch, as the records have it; None without any."""
    late = [record for record in records if record.get("epoch")]
    return round(late[-1]["step"] / late[-1]["epoch"]) if late else None


def eval_every(cfg: ConfigDict, per_epoch: int) -> int:
    """Updates from one validation, and checkpoint, to the next."""
    return max(1, round(cfg.eval_every_epochs * per_epoch))


def validations(records: Records, cfg: ConfigDict) -> list[tuple[float, float]]:
    """The `regular` validations among the records of a run with that config."""
    per_epoch = steps_per_epoch(records)
    return regular(records, eval_every(cfg, per_epoch)) if per_epoch else []


def kept_records(workdir: Path) -> Records:
    """The records of a run up to its last checkpoint, from which it would go on."""
    trained = last_checkpoint(workdir)
    return [record for record in read_metrics(workdir) if record["step"] <= trained]


def in_words(epoch: float, cfg: ConfigDict) -> str:
    """`stopped early at epoch 37 of 100 by patience 5`."""
    return f"stopped early at epoch {epoch:g} of {cfg.num_epochs} by patience {cfg.patience}"


def early_end(records: Records, cfg: ConfigDict) -> str:
    """The words for a run that has ended before its last epoch; empty for one that has not."""
    points = validations(records, cfg) if cfg.patience else []
    if not is_over([bound for _, bound in points], cfg.patience):
        return ""
    epoch = points[-1][0]
    return in_words(epoch, cfg) if epoch < cfg.num_epochs else ""


def stopped(workdir: Path, cfg: ConfigDict) -> str:
    """The `early_end` of the run in a directory."""
    return early_end(kept_records(workdir), cfg) if cfg.patience else ""


def is_at_end(workdir: Path, cfg: ConfigDict, num_steps: int) -> bool:
    """Whether a run has made all of its updates, or has ended before."""
    trained = last_checkpoint(workdir)
    return trained >= num_steps or bool(trained and stopped(workdir, cfg))
