"""`results.json` and `per_example/*.npz`: the numbers of a run, added to and read back."""

import json
import os
import re
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.runs.agreement import agreement
from vae_jax.runs.directory import locked, write_json

COMPARISON = "compare_kl"  # in results.json, beside the splits
FIRST = re.compile(r"first (\d+) of ")  # before the split, of a part of it
OF_EVALUATION = ("checkpoint", "finished", "seed", "fingerprint")  # of what draws it is


def read_results(workdir: Path) -> dict[str, Any]:
    """The numbers in `results.json`, by split and under `COMPARISON`; empty without the file."""
    path = workdir / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_splits(workdir: Path) -> dict[str, Any]:
    """The numbers in `results.json` by split."""
    return {name: part for name, part in read_results(workdir).items() if name != COMPARISON}


def add_to_results(workdir: Path, entries: Mapping[str, Any]) -> None:
    """Adds entries to `results.json`, or replaces them, beside others that do so at this moment."""
    with locked(workdir, ".results.lock"):
        write_json(workdir / "results.json", read_results(workdir) | dict(entries))


def name_of(split: str, results: Mapping[str, Any]) -> str:
    """The name of a split in `results.json`: `test`, `first 100 of test`, `test of npz(...)`."""
    of_part = "" if results.get("is_all", True) else f"first {results['num_examples']} of "
    of_other = f" of {results['other_data']}" if results["other_data"] else ""
    return f"{of_part}{split}{of_other}"


def stem_of(split: str, sha256: str = "", first: int | None = None) -> str:
    """The name of a file of a split: `test`, `test-first-100`; other data by its hash.

    Args:
        split: of the data.
        sha256: of its record, where it is not the run's own.
        first: of a part: so many examples.
    """
    of_other = f"-{sha256[:12]}" if sha256 else ""
    return f"{split}{of_other}{'' if first is None else f'-first-{first}'}"


class Name(NamedTuple):
    """The parts of what `name_of` gives."""

    split: str
    first: int | None  # of a part: so many examples
    data: str  # another than the run's, by its name; empty: the run's

    @classmethod
    def read(cls, name: str) -> "Name":
        """`first 100 of test of npz(...)` -> test, 100, npz(...)."""
        part = FIRST.match(name)
        split, _, data = name[part.end() if part else 0 :].partition(" of ")
        return cls(split, int(part[1]) if part else None, data)

    @property
    def flags(self) -> list[str]:
        """The flags of an evaluation of these examples, as a shell takes them."""
        flags = [f"--split={self.split}"] if self.split != "test" else []
        flags += [f"--num_examples={self.first}"] if self.first else []
        return flags + ([f"--data={shlex.quote(self.data)}"] if self.data else [])


def save_results(workdir: Path, split: str, results: dict[str, Any]) -> None:
    """Adds a split's numbers to `results.json`, and its arrays to `per_example/<split>.npz`.

    Numbers that other estimators gave of the same parameters and examples by the same draws stay.
    """
    (workdir / "per_example").mkdir(exist_ok=True)
    name, sha256 = name_of(split, results), results["data"]["sha256"]
    first = None if results.get("is_all", True) else results["num_examples"]
    stem = stem_of(split, sha256 if results["other_data"] else "", first)
    arrays = workdir / "per_example" / f"{stem}.npz"
    before, values = read_results(workdir).get(name, {}), results["per_example"]
    texts, kept = _kept(before, results)
    if texts and (stored := read_arrays(arrays)) is not None:
        results = results | {"estimators": [*results["estimators"], *texts]}
        results["numbers"] = results["numbers"] | kept
        dropped = before["numbers"].keys() - kept.keys()
        values = {n: stored[n] for n in stored if n not in dropped} | values
        results["agreement"] = agreement(results["numbers"], values)
    new = arrays.with_name(f"{stem}.{os.getpid()}.tmp.npz")
    np.savez_compressed(new, **values)
    new.replace(arrays)
    numbers = {key: value for key, value in results.items() if key != "per_example"}
    numbers["arrays"] = str(arrays.relative_to(workdir))
    add_to_results(workdir, {name: numbers})


def _kept(before: dict[str, Any], results: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The estimators of an earlier evaluation that stay, and their numbers.

    One of whose numbers one is now computed otherwise is replaced, and all its numbers go.
    """
    if "estimators" not in before or any(before.get(n) != results[n] for n in OF_EVALUATION):
        return [], {}
    new, replaced = results["numbers"], set()
    for name, number in before["numbers"].items():
        if name in new and new[name]["method"] != number["method"]:
            replaced.add(number["estimator"])
    stay = {n: v for n, v in before["numbers"].items() if v["estimator"] not in replaced}
    others = set(before["estimators"]) - set(results["estimators"]) - replaced
    return sorted(others), {name: number for name, number in stay.items() if name not in new}


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz, None where it is not there or damaged."""
    try:
        with np.load(path) as stored:
            return dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
