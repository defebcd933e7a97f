"""The age of what is shown of a run: the step it is of, and how far the run has come since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vae_jax import config
from vae_jax.runs import checkpoints, directory
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.stopping import steps_per_epoch, stopped


class Age(NamedTuple):
    """The step that numbers or a figure are of, and how far the run had come."""

    checkpoint: checkpoints.Which
    step: int  # of the parameters
    trained: int | None = None  # updates that the run had made; None: of an older version
    num_steps: int | None = None  # of the whole run; None: unknown
    stopped: str = ""  # that it ended early, in words

    @property
    def entries(self) -> dict[str, Any]:
        """The entries of a record in `results.json`."""
        return {
            "checkpoint": self.checkpoint,
            "checkpoint_step": self.step,
            "trained_steps": self.trained,
            "num_steps": self.num_steps,
            "finished": not self.left,
            **({"stopped": self.stopped} if self.stopped else {}),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Age | None":
        """The age that a record's entries say; None where they say none."""
        if "checkpoint_step" not in record:
            return None
        trained, length = record.get("trained_steps"), record.get("num_steps")
        which, step = record.get("checkpoint", "best"), record["checkpoint_step"]
        return cls(which, step, trained, length, record.get("stopped", ""))

    @property
    def taken(self) -> str:
        """`best checkpoint`, `checkpoint 36`."""
        named = isinstance(self.checkpoint, str)
        return f"{self.checkpoint} checkpoint" if named else f"checkpoint {self.checkpoint}"

    @property
    def left(self) -> int:
        """Updates that were still to be made, as far as is known."""
        if self.trained is None or self.num_steps is None or self.stopped:
            return 0
        return max(0, self.num_steps - self.trained)

    @property
    def unfinished(self) -> str:
        """The words for a run that was not at its end; empty if it was."""
        return f"unfinished: step {_of(self.trained, self.num_steps)}" if self.left else ""

    @property
    def doubtful(self) -> str:
        """The step, and that the run was not at its end where it was not."""
        return f"{self}; the run is {self.unfinished}" if self.left else str(self)

    def __str__(self) -> str:
        return f"step {_of(self.step, self.num_steps)}"


def checkpoint_flags(which: checkpoints.Which) -> list[str]:
    """The flags of a command that takes a checkpoint; none of the best."""
    return [] if which == "best" else [f"--checkpoint={which}"]


def _of(step: int | None, num_steps: int | None) -> str:
    """`10 of 3,600`."""
    return f"{step or 0:,}" + (f" of {num_steps:,}" if num_steps else "")


def age_now(workdir: Path, checkpoint: checkpoints.Which = "best") -> Age | None:
    """The age that an evaluation would have now; None without checkpoints. No data is read."""
    step = checkpoints.taken(workdir, checkpoint)
    if step is None:
        return None
    trained, per_epoch = directory.last_checkpoint(workdir), steps_per_epoch(read_metrics(workdir))
    if per_epoch is None:
        return Age(checkpoint, step, trained)
    cfg = config.stored(workdir / "config.json")
    return Age(checkpoint, step, trained, per_epoch * int(cfg.num_epochs), stopped(workdir, cfg))


def outdated(workdir: Path, age: Age | None) -> str:
    """The words for something that would be of another step now; empty where it would not be."""
    step = checkpoints.taken(workdir, age.checkpoint) if age else None
    if age is None or step is None or step == age.step:
        return ""
    now = Age(age.checkpoint, step, directory.last_checkpoint(workdir))
    taken = f", its {now.taken} at {now.step:,}" if now.step != now.trained else ""
    return f"of step {age.step:,}; the run is at step {now.trained:,}{taken}"
