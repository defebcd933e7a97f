"""Sentences on parts of a report that are of another step than would be taken now."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_jax.reporting import run_plots, samples
from vae_jax.runs.age import Age, age_now, checkpoint_flags, outdated
from vae_jax.runs.results import Name


def of_results(workdir: Path, split: str, results: Mapping[str, Any]) -> str:
    """A sentence on old numbers of a split, with the command that renews them, or empty."""
    age = Age.read(results)
    command = " ".join([f"evaluate{_taken(age)}", *Name.read(split).flags])
    return _renewed(workdir, age, command) or _early(age)


def of_comparison(workdir: Path, compared: Mapping[str, Any]) -> str:
    """A sentence on an old comparison of KLs, or empty; its gradients are of the last step too."""
    age = Age.read(compared)
    last, now = compared["gradients"]["stages"][-1]["step"], age_now(workdir, "last")
    if now and now.step != last and not outdated(workdir, age):
        age = Age("last", last)
    return _renewed(workdir, age, "compare-kl") or _early(age)


def of_figure(workdir: Path, name: str, about: Mapping[str, Any]) -> str:
    """A sentence on an old figure, or one whose age is not known, or empty."""
    age = Age.read(about)
    command = "sample" if name in samples.NAMES else "compare-kl"
    command = "evaluate" if name in run_plots.NAMES else command
    if age is None and about == {} and age_now(workdir):
        return f"Its step is not known: {_command(workdir, command)} draws it again."
    return _renewed(workdir, age, command + _taken(age)) or _early(age)


def _taken(age: Age | None) -> str:
    return "".join(f" {flag}" for flag in checkpoint_flags(age.checkpoint)) if age else ""


def _renewed(workdir: Path, age: Age | None, command: str) -> str:
    old = outdated(workdir, age)
    return f"This is {old}: {_command(workdir, command)} again." if old else ""


def _command(workdir: Path, command: str) -> str:
    name, _, flags = command.partition(" ")
    return " ".join(
        filter(None, ["vae-jax", name, f"--workdir={shlex.quote(str(workdir))}", flags])
    )


def _early(age: Age | None) -> str:
    return f"The run was {age.unfinished}." if age and age.left else ""
