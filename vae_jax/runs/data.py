"""The data of a run: `data.json` says which it is; other data is shown to the run by name only."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vae_jax.batches.conditions import conditioned, written
from vae_jax.batches.records import Record, moments, record_of, same_x
from vae_jax.batches.rows import rows_of
from vae_jax.batches.splits import require_shapes, x_of
from vae_jax.brought import Coding, Standardization
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.runs import directory
from vae_jax.runs.parts import Parts
from vae_jax.types import Dataset

logger = logging.getLogger(__name__)
FILE = "data.json"
SIZES = {"validation", "test"}  # arguments of data sets: examples that are held out
WHICH = {*SIZES, "path", "name", "train", "seed", "cache"}  # arguments that say which are read


def keep(workdir: Path, parts: Parts) -> None:
    """Writes which data a run is trained on, or checks that it is what was written before.

    Raises:
        UserError: if it is other data.
    """
    require_same(workdir, parts, directory.USE_ANOTHER_WORKDIR)
    if (workdir / FILE).exists():
        return
    known: dict[str, Any] = {"data": parts.cfg.data}
    known["splits"] = {
        name: {**parts.record(name)._asdict(), "x": parts.moments(name)}
        for name in parts.dataset.splits
    }
    if (done := parts.dataset.standardization) is not None:
        known["standardization"] = _lists(done)
    known |= {"missing": True} if parts.dataset.missing else {}
    known |= {"columns": list(parts.dataset.names)} if parts.dataset.names else {}
    if (coding := parts.dataset.coding) is not None:
        known["given"] = _entries(coding)
    directory.write_json(workdir / FILE, known)


def _entries(coding: Coding) -> dict[str, Any]:
    """A coding as JSON keeps it."""
    if coding.classes is not None:
        shares = coding.shares.tolist()
        return {"name": coding.name, "classes": coding.classes.tolist(), "shares": shares}
    assert coding.standardization is not None
    return {"name": coding.name, **_lists(coding.standardization)}


def _lists(done: Standardization) -> dict[str, Any]:
    return {"mean": done.mean.tolist(), "scale": done.scale.tolist()}


def coding(workdir: Path) -> Coding | None:
    """The way in which a run's conditions became numbers, None if it has none."""
    if not (known := _read(workdir).get("given")):
        return None
    if "classes" in known:
        return Coding(known["name"], np.array(known["classes"]), None, np.array(known["shares"]))
    return Coding(known["name"], None, _standardization(known))


def require_condition(workdir: Path, text: str | None) -> None:
    """Refuses a condition that a run does not have, before its data is read.

    Args:
        workdir: of a run, or of many. One of an older version does not say what it is given.
        text: the condition; None: none is asked for.

    Raises:
        UserError: as `Coding.codes` does.
    """
    many = directory.many_runs(workdir)
    every = [path for paths in many.values() for path in paths.values()] or [workdir]
    for path in every if text is not None else ():
        if (known := coding(path)) is not None:
            known.codes(np.atleast_1d(np.asarray(written(known, str(text)))))
        elif records(path):
            raise UserError(f"given={text}: the model of {path} is not conditioned on anything")


def records(workdir: Path) -> dict[str, Record]:
    """The records of the splits that a run was trained on; none of a run of an older version."""
    splits = _read(workdir).get("splits", {})
    return {name: Record.read(record) for name, record in splits.items()}


def _moments(workdir: Path) -> dict[str, dict[str, float]]:
    """The moments of x when a run was trained, by split."""
    return {name: record["x"] for name, record in _read(workdir).get("splits", {}).items()}


def standardization(workdir: Path) -> Standardization | None:
    """The numbers by which a run's data was standardized, None if it was not."""
    numbers = _read(workdir).get("standardization")
    return numbers and _standardization(numbers)


def _standardization(numbers: Mapping[str, Any]) -> Standardization:
    return Standardization(np.array(numbers["mean"]), np.array(numbers["scale"]))


def _read(workdir: Path) -> dict[str, Any]:
    path = workdir / FILE
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def is_own(workdir: Path, dataset: Dataset) -> bool:
    """Whether a data set is, under whatever name, the one that a run was trained on: x and all."""
    known = records(workdir)
    if not known or known.keys() != dataset.splits.keys():
        return False
    if not all(record_of(rows_of(dataset, name)) == known[name] for name in known):
        return False
    present_x = jax.jit(lambda keys, raw: x_of(dataset, keys, raw)[0])
    now = {name: moments(present_x, split) for name, split in dataset.splits.items()}
    return all(same_x(now[name], x_then) for name, x_then in _moments(workdir).items())


def stand_in(workdir: Path, other: Dataset) -> Dataset | None:
    """A data set of the sizes that a run was trained on, all zeros, to be read in its place.

    x is made as that of the other data is. None where the run does not know what it was trained on.
    """
    known = records(workdir)
    if not known:
        return None
    zeros: Any = {n: np.broadcast_to(np.zeros((), r.dtype), r.shape) for n, r in known.items()}
    codes = {n: _no_codes(r.shape[0], other.coding) for n, r in known.items() if other.coding}
    return other._replace(splits=zeros, given=codes, missing=_read(workdir).get("missing", False))


def _no_codes(count: int, coding: Coding) -> np.ndarray:
    """Zeros in place of the codes of `count` conditions."""
    is_class = coding.classes is not None
    return np.zeros(count, np.int32) if is_class else np.zeros((count, coding.size), np.float32)


def require_same(workdir: Path, parts: Parts, advice: str) -> None:
    """Refuses a data set that is not the one that a run was trained on.

    Raises:
        UserError: naming the split that differs, and ending with the advice.
    """
    for name, then in records(workdir).items():
        if name not in parts.dataset.splits:
            raise UserError(_changed(workdir, parts, f"it has no {name} split any more", advice))
        now = parts.record(name)
        if now != then:
            what = f"its {name} split was {then}, and is {now} now"
            raise UserError(_changed(workdir, parts, what, advice))


def warn_of_other_x(workdir: Path, split: str, now: Mapping[str, float]) -> None:
    """Warns of an x that is made otherwise, of the same stored examples, than in training.

    Args:
        workdir: the run's directory.
        split: of its data.
        now: the `moments` of x.
    """
    then = _moments(workdir).get(split)
    if then and not same_x(then, now):
        message = "x of the %s split is made otherwise than when %s was trained: its moments differ"
        logger.warning(message, split, workdir)


def _changed(workdir: Path, parts: Parts, what: str, advice: str) -> str:
    name = components.brief("datasets", parts.cfg.data)
    return f"{name} is not what {workdir} was trained on: {what}; {advice}"


def named(workdir: Path, cfg: ConfigDict, text: str) -> tuple[str, Dataset]:
    """Other data for a run, by name: it has what the name leaves open as the run's data has it.

    These are the arguments that both take, but for those that say which examples are read; the
    numbers by which the run's data was standardized; and the columns of its x. One array or table
    that is not the run's own is to be evaluated, all of it: its rows are the test split.

    Args:
        workdir: the run's directory.
        cfg: its config.
        text: `npz(path='new.npz')`.

    Returns:
        the name with those of these arguments that are no defaults, and the data set.

    Raises:
        UserError: if it cannot be read.
    """
    call, of_run = components.parse(text), components.parse(cfg.data).arguments
    takes = components.options(components.find("datasets", call.name))
    both = of_run.keys() & takes.keys() - call.arguments.keys()
    inherited = {n: v for n, v in of_run.items() if n in both - WHICH and v != takes[n].default}
    arguments, fixed = call.arguments | inherited, {n: of_run[n] for n in both & SIZES}
    if "standardize" in takes:
        numbers, asked = standardization(workdir), call.arguments.get("standardize")
        if numbers and asked is not False:
            arguments, fixed = arguments | {"standardize": True}, fixed | {"standardize": numbers}
        elif asked is None:
            arguments |= {"standardize": False}
    if "columns" in takes and "columns" not in call.arguments and (names := _columns(workdir)):
        fixed |= {"columns": names}
    arguments = {n: v for n, v in arguments.items() if n in call.arguments or v != takes[n].default}
    full = str(call._replace(arguments=arguments))

    def read(**more: Any) -> Dataset:
        dataset = require_shapes(components.build("datasets", full)(**fixed | more))
        try:
            return conditioned(dataset, cfg.given, coding(workdir))
        except UserError as error:
            raise UserError(f"{text}: {error}") from error

    if takes.keys() >= {"path", *SIZES} and not SIZES & call.arguments.keys():
        whole = read(test=1.0)
        return full, _as_trained_on(workdir, whole, read) or whole
    return full, read()


def _as_trained_on(workdir: Path, whole: Dataset, read: Callable[[], Dataset]) -> Dataset | None:
    """The run's own data, which it may be under another name, split as it was; None if it is not.

    Args:
        workdir: the run's directory.
        whole: the data, which is the test split alone if it had to be split.
        read: makes the data set with its splits.
    """
    total = sum(record.shape[0] for record in records(workdir).values())
    if whole.splits.keys() != {"test"} or len(whole.splits["test"]) != total:
        return None
    split = read()
    return split if is_own(workdir, split) else None


def _columns(workdir: Path) -> tuple[str, ...]:
    """The names of the columns of a run's x, none where they have none."""
    return tuple(_read(workdir).get("columns", ()))
