"""Arrays as files: `exports/<what>-<split>.npz` of a run, and `.csv` of what has two dimensions."""

import csv
import inspect
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.batches.conditions import written
from vae_jax.config import components
from vae_jax.config.calls import Call, alternatives
from vae_jax.errors import UserError, counted
from vae_jax.evaluation.arrays._pass import Arrays
from vae_jax.runs.directory import make_directory
from vae_jax.runs.results import stem_of
from vae_jax.runs.run import Run

FAMILY, FOLDER = "evaluation.arrays", "exports"
TAKEN_AS = {"split": ("examples",), "num_samples": ("num_samples", "n")}  # flag -> arguments
DIGITS = 5.7  # decimal ones of a standard deviation that float32 keeps, with a margin


class Asked(NamedTuple):
    """One kind of arrays, and the arguments of its function."""

    call: Call  # with those that a text may set
    more: Mapping[str, Any]  # the others, such as the split

    @property
    def split(self) -> str:
        """The split that the examples are of; empty where there are none."""
        return self.more.get("examples", "")


class Export(NamedTuple):
    """Arrays of examples as they are written, x in the units that were brought."""

    stem: str  # `latents-test`
    arrays: Arrays  # [n, ...]
    ids: np.ndarray  # [n], names or rows of what was brought; of samples their numbers
    labels: np.ndarray | None  # [n]
    columns: Sequence[str]  # the names of the elements of x; empty: they have none
    about: Mapping[str, Any]


def asked(what: str, flags: Mapping[str, Any], needed: Collection[str] = ()) -> list[Asked]:
    """The arrays that a text names, `"latents|log_p(num_samples=100)"`, with flags as arguments.

    Args:
        what: the names, with arguments or without.
        flags: by name; those that are None go to no function, the others to all that take them.
        needed: the names of the flags that something has to take.

    Raises:
        UserError: for unknown arrays or arguments, and for a flag that nothing takes.
    """
    calls = [components.parse(text) for text in alternatives(what)]
    functions = [components.find(FAMILY, call.name) for call in calls]
    takes = [inspect.signature(function).parameters for function in functions]
    given = {name: value for name, value in flags.items() if value is not None}
    for name in given.keys() & set(needed):
        wanted = TAKEN_AS.get(name, (name,))
        if not any(argument in parameters for argument in wanted for parameters in takes):
            raise UserError(f"--{name}={given[name]}: {what} takes no --{name}")
    arguments = {arg: v for name, v in given.items() for arg in TAKEN_AS.get(name, (name,))}
    return [_asked(*pair, arguments) for pair in zip(calls, functions, strict=True)]


def _asked(call: Call, function: Any, arguments: Mapping[str, Any]) -> Asked:
    """The call with the arguments that its function takes and it does not set itself."""
    parameters, settable = inspect.signature(function).parameters, components.options(function)
    taken = {n: v for n, v in arguments.items() if n in parameters and n not in call.arguments}
    of_text = {n: v for n, v in taken.items() if n in settable}
    full = call._replace(arguments=call.arguments | of_text)
    components.check(full, function)
    return Asked(full, {n: v for n, v in taken.items() if n not in settable})


def computed(run: Run, one: Asked) -> Export:
    """The arrays of a run.

    Raises:
        UserError: for a split that is not there, and for what the model cannot give.
    """
    function = components.build(FAMILY, str(one.call))
    more = dict(one.more)
    if "given" in more:
        more["given"] = written(run.dataset.coding, more["given"])
    arrays = function(run, quiet=False, **more)
    count = len(next(iter(arrays.values())))
    rows, labels = _rows(run, one.split, count)
    return Export(
        _stem(run, one, count),
        {name: _brought(run, a) if name[0] == "x" else a for name, a in arrays.items()},
        rows,
        labels,
        run.dataset.names,
        {**_about(one), "data": run.data, **run.age.entries},
    )


def _about(one: Asked) -> dict[str, Any]:
    """The arrays' name, with the arguments that are no defaults, and what decides the draws."""
    return {"what": components.brief(FAMILY, str(one.call)), "split": one.split or None,
            "given": one.more.get("given"), "seed": one.call.arguments.get("seed", 0)}  # fmt: skip


def _rows(run: Run, split: str, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The names of the first examples, or their rows in what was brought, and their labels."""
    origin, labels = run.dataset.origins.get(split), run.dataset.labels.get(split)
    ids = range(count) if origin is None else origin.rows if origin.ids is None else origin.ids
    return np.asarray(ids)[:count], None if labels is None else np.asarray(labels)[:count]


def _stem(run: Run, one: Asked, count: int) -> str:
    """The name of the file: `latents-test`, `samples`, `samples-given-3`."""
    if not one.split:
        given = one.more.get("given")
        of_given = "" if given is None else re.sub(r"[^A-Za-z0-9.,+-]", "_", f"-given-{given}")
        return f"{one.call.name}{of_given}"
    sha256 = run.parts.record(one.split).sha256 if run.other_data else ""
    first = count if count < len(run.dataset.splits[one.split]) else None
    return f"{one.call.name}-{stem_of(one.split, sha256, first)}"


def _brought(run: Run, x: np.ndarray) -> np.ndarray:
    """x in the units that were brought; of standardized x the digits that float32 has."""
    values, done = np.asarray(run.restore(x)), run.dataset.standardization
    if done is None:
        return values
    decimals = np.broadcast_to(np.floor(DIGITS - np.log10(done.scale)).astype(int), values.shape)
    for kept in np.unique(decimals):
        values = np.where(decimals == kept, np.round(values, kept), values)
    return values


def save(export: Export, workdir: Path) -> list[Path]:
    """Writes `exports/<stem>.npz` and its tables, and returns their paths.

    Beside the arrays the .npz has `ids`, `labels` where there are some, and `about`, a JSON text of
    the run's step, the seed and the data. A table has a row for each example: all arrays `[n]` are
    in `<stem>.csv`, and each `[n, d]` is in `<stem>-<name>.csv`; `[n, draws, d]` has a row a draw.
    """
    folder = workdir / FOLDER
    make_directory(folder)
    labels = {} if export.labels is None else {"labels": export.labels}
    about = {"about": np.array(json.dumps(export.about))}
    every: dict[str, Any] = {**export.arrays, "ids": export.ids, **labels, **about}
    path = folder / f"{export.stem}.npz"
    new = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npz")
    np.savez_compressed(new, **every)
    new.replace(path)
    return [path, *(_write(folder / name, *table) for name, table in _tables(export))]


def sentence(one: Asked, export: Export, paths: Sequence[Path]) -> str:
    """A line that says what was written where: `z_mean, z_scale of 359 test examples; ...`."""
    what = f"{one.split} example" if one.split else one.call.name.removesuffix("s")
    tables = f", and {counted(len(paths) - 1, 'table')} .csv" if len(paths) > 1 else ""
    return f"{', '.join(export.arrays)} of {counted(len(export.ids), what)}; {paths[0]}{tables}"


Table = tuple[Sequence[str], Sequence[Sequence[Any]]]  # names of columns, columns


def _tables(export: Export) -> Iterator[tuple[str, Table]]:
    """The tables of an export by the names of their files."""
    heads = {"id": export.ids} | ({} if export.labels is None else {"label": export.labels})
    single = {name: a for name, a in export.arrays.items() if a.ndim == 1}
    heads |= {"given": single.pop("given")} if "given" in single else {}
    if single:
        yield f"{export.stem}.csv", _columns(heads | single)
    for name, array in export.arrays.items():
        columns, stem = _named(export, name, array.shape[-1]), f"{export.stem}-{name}.csv"
        if array.ndim == 2:
            yield stem, _columns(heads, columns, array)
        elif array.ndim == 3 and name == "x_draws":
            draws = array.shape[1]
            heads = {n: np.repeat(column, draws) for n, column in heads.items()}
            heads["draw"] = np.tile(np.arange(1, draws + 1), len(array))
            yield stem, _columns(heads, columns, array.reshape(-1, array.shape[-1]))


def _named(export: Export, name: str, size: int) -> list[str]:
    """The names of the columns of an array: those of x as brought, or `z_1`, `z_2`."""
    if name[0] == "x" and len(export.columns) == size:
        return list(export.columns)
    return [f"{name[0]}_{i + 1}" for i in range(size)]


def _columns(
    heads: Mapping[str, Any], names: Sequence[str] = (), array: np.ndarray | None = None
) -> Table:
    more = [] if array is None else list(array.T)
    return [*heads, *names], [*heads.values(), *more]


def _write(path: Path, names: Sequence[str], columns: Sequence[Any]) -> Path:
    new = path.with_suffix(f".{os.getpid()}.tmp.csv")
    with open(new, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))
    new.replace(path)
    return path
