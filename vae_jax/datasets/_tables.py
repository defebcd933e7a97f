"""The data set of a table with named columns: what `csv` and `parquet` have in common."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from vae_jax.brought import Standardization
from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import by_split, is_all, shuffled_rows
from vae_jax.errors import UserError, unknown
from vae_jax.types import Dataset

Names = str | tuple[str, ...]
UNNAMED = ("", "__index_level_0__")  # what pandas calls an index without a name
INDEX = "index"
SHOWN = 5  # columns, in a message
LONGEST = 150  # characters of a reader's own message


class Chosen(NamedTuple):
    """The columns of a table by what they are for."""

    columns: Sequence[str]  # of x; `colour=red` is whether `colour` is red; empty: all others
    drop: Sequence[str]
    label: str
    id: str
    one_hot: Sequence[str]

    @classmethod
    def of(cls, columns: Names, drop: Names, label: str, id: str, one_hot: Names) -> "Chosen":
        """The same; one name alone need not be in a tuple."""
        several = [(name,) if isinstance(name, str) else name for name in (columns, drop, one_hot)]
        columns, drop, one_hot = (tuple(filter(None, names)) for names in several)
        return cls(columns, drop, label, id, one_hot)


def reason(error: Exception) -> str:
    """The beginning of a reader's message, in one line that a terminal can show."""
    text = " ".join(str(error).split())
    return "".join(filter(str.isprintable, text))[:LONGEST]


def dataset_of_table(
    file: str,
    table: pa.Table,
    chosen: Chosen,
    *,
    standardize: bool | Standardization,
    validation: int | float,
    test: int | float,
) -> Dataset:
    """The data set of a table, its rows shuffled and split; `test` 1.0: all of them, in order.

    Args:
        file: its name, for messages.
        table: as it was read.
        chosen: its columns; a table of which all rows are test need have those of x alone.
        standardize: True leaves a table of bits as it is.
        validation: examples held out, a count or a fraction.
        test: likewise.

    Raises:
        UserError: for columns that are not there, or no numbers, and infinite values.
    """
    has_index = any(name in UNNAMED for name in table.column_names)
    table = _plain(file, table)
    chosen, remarks = _completed(file, table, chosen, is_training=not is_all(test))
    if has_index and INDEX not in (*chosen.columns, *chosen.one_hot, chosen.label):
        remarks.append(f"{file}: its column without a name is an index, and not in x")
        chosen = chosen._replace(drop=[*chosen.drop, INDEX], id=chosen.id or INDEX)
    columns, names = _x_columns(file, table, chosen)
    x = np.stack(columns, axis=1)
    _require_finite(file, x, names)
    rows = {"": _split(file, len(x), validation, test)}
    label, beside = _beside(table, chosen)
    ids = {"": _values(table[chosen.id])} if chosen.id else None
    of_one = {name: {"": values} for name, values in beside.items()}
    parts = by_split({"": (file, x)}, {} if label is None else {"": label}, rows, of_one, ids)
    if standardize is True and np.isin(x[~np.isnan(x)], (0, 1)).all():
        standardize = False
    dataset = make_dataset(**parts, standardize=standardize, names=names)
    return dataset._replace(remarks=[*remarks, *dataset.remarks])


def _plain(file: str, table: pa.Table) -> pa.Table:
    """The table with categories as their values, and a name for an index that has none.

    Raises:
        UserError: for a table without rows, and for two columns of the same name.
    """
    if not len(table):
        raise UserError(f"{file} has no rows")
    names = [INDEX if name in UNNAMED else name for name in table.column_names]
    if double := [name for name, number in Counter(names).items() if number > 1]:
        raise UserError(f"{file} has several columns {_listed(double)}: rename them")
    decoded = {
        name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(names, table.columns, strict=True)
    }
    return pa.table(decoded)


def _completed(
    file: str, table: pa.Table, chosen: Chosen, is_training: bool
) -> tuple[Chosen, list[str]]:
    """The columns that were chosen and are there, and remarks.

    Raises:
        UserError: naming a column that is not there.
    """
    there = {*table.column_names}
    beside = [*chosen.drop, *filter(None, (chosen.label, chosen.id)), *chosen.one_hot]
    lacking = [name for name in beside if name not in there]
    if lacking and is_training:
        raise UserError(f"{file}: {unknown('column', lacking[0], there)}")
    return Chosen(
        chosen.columns,
        [name for name in chosen.drop if name in there],
        chosen.label if chosen.label in there else "",
        chosen.id if chosen.id in there else "",
        [name for name in chosen.one_hot if name in there],
    ), [f"{file} has no column {_listed(lacking)}"] * bool(lacking)


def _x_columns(file: str, table: pa.Table, chosen: Chosen) -> tuple[list[np.ndarray], list[str]]:
    """The columns of x, `[n]` float64 each with NaN where there is no value, and their names.

    Raises:
        UserError: for one that is not there or no numbers.
    """
    beside = {*chosen.drop, chosen.label, chosen.id}
    asked = chosen.columns or [name for name in table.column_names if name not in beside]
    there, columns = {*table.column_names}, dict[str, np.ndarray]()
    unfit: list[str] = []
    for name in asked:
        whole, _, category = name.partition("=")
        if name in chosen.one_hot:
            values = _text(table[name])
            columns |= {f"{name}={c}": _is(values, c) for c in sorted({*filter(None, values)})}
        elif name in there and _is_number(table[name].type):
            columns[name] = _numbers(table[name])
        elif name in there:
            unfit.append(name)
        elif category and whole in there:
            columns[name] = _is(_text(table[whole]), category)
        else:
            lacking = unknown("column", name, table.column_names)
            raise UserError(f"{file}: {lacking}; x is made of {_listed(asked)}")
    if unfit:
        raise UserError(_refusal(file, table, unfit))
    if not columns:
        raise UserError(f"{file}: no column is left for x of {_listed(table.column_names)}")
    return list(columns.values()), list(columns)


def _is_number(kind: pa.DataType) -> bool:
    """Whether values are numbers, True or False, or there are none at all."""
    types = pa.types
    tests = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _numbers(column: Any) -> np.ndarray:
    """Values `[n]`, float64; NaN where there is none."""
    wide = column if pa.types.is_floating(column.type) else column.cast(pa.float64(), safe=False)
    return wide.to_numpy().astype(np.float64)


def _text(column: Any) -> list[str | None]:
    return column.cast(pa.string()).to_pylist()


def _is(values: list[str | None], category: str) -> np.ndarray:
    """Whether values are of a category, `[n]` 1 or 0; NaN where there is none."""
    return np.array([np.nan if v is None else float(v == category) for v in values])


def _refusal(file: str, table: pa.Table, unfit: Sequence[str]) -> str:
    """The message about columns that are no numbers: those of text, or else of one other kind."""
    text = [name for name in unfit if _is_text(table[name].type)]
    if not text:
        kind, name = table[unfit[0]].type, unfit[0]
        is_date = pa.types.is_temporal(kind)
        what = "dates or times" if is_date else f"values of type {kind}"
        other = "save numbers, as days from one of them" if is_date else "save numbers"
        return f"{file}: column {name!r} holds {what}: drop={name!r} leaves it out, or {other}"
    first = next((name for name in text if _has_commas(table[name])), text[0])
    cell = next((c for c in _text(table[first]) if c is not None and not _is_float(c)), "")
    many = [c for c in _text(table[first]) if c is not None]
    what = f"{file}: text in {_listed(text)}, such as {cell!r}"
    if sum(map(_is_float, many)) > len(many) / 2:
        return f"{what}: missing={cell!r} if that stands for no value, else drop={first!r}"
    if cell and _is_float(cell.replace(",", ".")):
        return f"{what}: decimal=',' if that is a number"
    named = repr(first) if len(unfit) == 1 else str(tuple(unfit))
    leaves = f"drop={named} leaves {'it' if len(unfit) == 1 else 'all of no numbers'} out of x"
    names = next((name for name in text if _names_rows(table[name])), None)
    classes = next((name for name in text if name != names), first)
    identity = f"id={names!r} names the rows by it, " if names else ""
    of_x = f"{leaves}, {identity}one_hot={classes!r} makes bits of it"
    return f"{what}: {of_x}, label={classes!r} keeps it for colours and conditions"


def _has_commas(column: Any) -> bool:
    """Whether the first cell is a number with a decimal comma."""
    cell = next(filter(None, _text(column)), "")
    return not _is_float(cell) and _is_float(cell.replace(",", "."))


def _names_rows(column: Any) -> bool:
    """Whether each row has another value."""
    return not column.null_count and len(column.unique()) == len(column)


def _is_float(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def _require_finite(file: str, x: np.ndarray, names: Sequence[str]) -> None:
    """Refuses values that are infinite; those that are missing are not."""
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        where = f"{file}: row {row} (counted from 0), column {names[column]!r}"
        raise UserError(f"{where} is {x[row, column]}: finite values are read, and empty cells")


def _split(file: str, total: int, validation: int | float, test: int | float) -> dict[str, Any]:
    try:
        return shuffled_rows(total, validation, test)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _beside(table: pa.Table, chosen: Chosen) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """The label, and all columns that are no part of x as they are, by their names."""
    label = _values(table[chosen.label]) if chosen.label else None
    in_x = {*chosen.columns, *(name.partition("=")[0] for name in chosen.columns)}
    names = chosen.drop if not chosen.columns else table.column_names
    others = [n for n in names if n not in in_x and n != chosen.id and n not in chosen.one_hot]
    kept = {n: _values(table[n]) for n in others if _can_be_kept(table[n].type)}
    return label, kept | ({} if label is None else {chosen.label: label})


def _can_be_kept(kind: pa.DataType) -> bool:
    return _is_text(kind) or (_is_number(kind) and not pa.types.is_null(kind))


def _values(column: Any) -> np.ndarray:
    """Values `[n]` as they are: numbers, True and False, or text, which is empty where none is."""
    if not _is_number(column.type):
        return np.array([cell or "" for cell in _text(column)])
    if pa.types.is_decimal(column.type) or column.null_count:
        return _numbers(column)
    return column.to_numpy()
