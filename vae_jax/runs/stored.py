"""Parameters and numbers as a run's directory holds them, read without making its model."""

import hashlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from vae_jax import config
from vae_jax.batches.records import Record, record_of
from vae_jax.batches.rows import rows_of
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.runs import checkpoints, data
from vae_jax.runs.age import age_now
from vae_jax.runs.parts import OF_MODEL, make_dataset
from vae_jax.runs.results import read_results
from vae_jax.runs.state import State, evaluated_params
from vae_jax.types import Params

Records = dict[tuple[str, str], dict[str, Record]]  # data and condition -> split -> record


def read_params(workdir: Path, which: checkpoints.Which) -> tuple[int, Params]:
    """The step of a run's checkpoint, and the parameters that an evaluation would take.

    Raises:
        UserError: if there is no readable one.
    """
    with checkpoints.opened(workdir) as manager:
        step, stored = checkpoints.restore(manager, None, which)
    average = optax.EmaState(**stored["average"]) if stored.get("average") else ()
    state = State(stored["step"], stored["params"], None, average)
    return step, evaluated_params(state, config.stored(workdir / "config.json").ema_decay)


def fingerprint(record: Record, params: Params) -> str:
    """A hash of parameters, examples and version: numbers of the same ones go together."""
    version = importlib.metadata.version("vae-jax")
    digest = hashlib.sha256(f"{version} {record.sha256}".encode())
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def known_results(
    workdirs: Sequence[Path],
    split: str,
    estimators: Sequence[str],
    which: checkpoints.Which,
    seed: int,
) -> dict[Path, dict[str, Any]]:
    """The results of those runs of which an evaluation would give the same again, by directory.

    They are of a whole split of the run's own data, have all of the estimators, and are of the
    parameters and the examples that are there now, which are read and hashed for that. A part
    named by a dotted path may have been edited since: nothing is known of what it would give.
    """
    asked = {"checkpoint": which, "seed": seed, "is_all": True, "other_data": None}
    records: Records = {}
    known = {}
    for path in () if any(map(_is_own_code, estimators)) else workdirs:
        results, now = read_results(path).get(split, {}), age_now(path, which)
        expected = asked | (now.entries if now else {})
        has_all = set(results.get("estimators", ())) >= set(estimators)
        is_alike = has_all and results.items() >= expected.items()
        if is_alike and results["fingerprint"] == _fingerprint_now(path, split, which, records):
            known[path] = results
    return known


def _is_own_code(text: str) -> bool:
    """Whether a text may name a part by a dotted path, itself or in an argument."""
    return bool(re.search(r"[A-Za-z_]\w*\.[A-Za-z_]", text))


def _fingerprint_now(
    path: Path, split: str, which: checkpoints.Which, records: Records
) -> str | None:
    """The fingerprint of what is there, `records` being those of data read before.

    None where it is not known, or where a split is not what the run was trained on.
    """
    try:
        cfg = config.read(path / "config.json")
        texts = (str(cfg[field]) for field in ("objective", *OF_MODEL) if field in cfg)
        if _is_own_code(components.parse(cfg.data).name) or any(map(_is_own_code, texts)):
            return None
        key = cfg.data, cfg.given
        if key not in records:
            dataset = make_dataset(cfg)
            records[key] = {name: record_of(rows_of(dataset, name)) for name in dataset.splits}
        if not records[key].items() >= data.records(path).items():
            return None  # an evaluation says so
        return fingerprint(records[key][split], read_params(path, which)[1])
    except UserError:  # likewise
        return None
