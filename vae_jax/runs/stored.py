"""Parameters and numbers as a run's directory holds them, read without making its model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from vae_jax import config
from vae_jax.batches.records import Record, record_of
from vae_jax.batches.rows import rows_of
from vae_jax.errors import UserError
from vae_jax.runs import checkpoints
from vae_jax.runs.age import age_now
from vae_jax.runs.parts import make_dataset
from vae_jax.runs.results import read_results
from vae_jax.runs.state import State, evaluated_params
from vae_jax.types import Params


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
    """A hash of the parameters and the examples: numbers of the same ones go together."""
    digest = hashlib.sha256(record.sha256.encode())
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
    parameters and the examples that are there now, which are read and hashed for that.
    """
    asked = {"checkpoint": which, "seed": seed, "is_all": True, "other_data": None}
    records: dict[tuple[str, str], Record] = {}
    known = {}
    for path in workdirs:
        results, now = read_results(path).get(split, {}), age_now(path, which)
        expected = asked | (now.entries if now else {})
        has_all = set(results.get("estimators", ())) >= set(estimators)
        is_alike = has_all and results.items() >= expected.items()
        if is_alike and results["fingerprint"] == _fingerprint_now(path, split, which, records):
            known[path] = results
    return known


def _fingerprint_now(
    path: Path, split: str, which: checkpoints.Which, records: dict[tuple[str, str], Record]
) -> str | None:
    """The fingerprint of what is there, `records` being those of data read before; None if none."""
    try:
        cfg = config.read(path / "config.json")
        data = cfg.data, cfg.given
        if data not in records:
            records[data] = record_of(rows_of(make_dataset(cfg), split))
        return fingerprint(records[data], read_params(path, which)[1])
    except UserError:  # an evaluation says what is wrong
        return None
