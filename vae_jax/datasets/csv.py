import contextlib
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from vae_jax.brought import Standardization
from vae_jax.datasets._tables import Chosen, Names, dataset_of_table, reason
from vae_jax.errors import UserError
from vae_jax.places import data_file
from vae_jax.types import Dataset

SEPARATORS = ",;\t|"
BLOCK_BYTES = 2**26  # read at a time: more than a row of the widest tables


def csv(
    *,
    path: str = "",
    columns: Names = (),
    drop: Names = (),
    label: str = "",
    id: str = "",
    one_hot: Names = (),
    missing: Names = (),
    separator: str = "",
    decimal: str = ".",
    standardize: bool | Standardization = True,
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """A table in a text file: x is its columns of numbers, `[d]`; its first line names them.

    `columns` are those of x, in their order; if none are named, all but `drop`, `label` and `id`.
    Numbers, and True and False as 1 and 0, are read; text and dates are refused by name. `one_hot`
    columns become bits, one for each of their categories, `colour=red`. `label` gives colours to
    plots. Columns outside x can be conditions, by their names. `id` names the rows; without it they
    are counted from 0. An empty cell is a value that was not observed, and so are NA, NaN, null and
    what `missing` lists. `separator` is by default the one of , ; tab | that the first line has
    most of. Rows are shuffled, always in the same way, and split by `validation` and `test`, counts
    or fractions; `test` 1.0 takes all of them, in their order.

    `standardize` takes each column less its mean, over its standard deviation, both of the training
    split; a table of 0 and 1 alone is left as it is. Counts and levels need standardize=False.

    Raises:
        UserError: if the file cannot be read, has no such column, or x would hold anything but
            numbers.
    """
    if not path:
        raise UserError("csv needs a file: csv(path='table.csv')")
    file = data_file(path)
    extra = (missing,) if isinstance(missing, str) else missing
    table, remarks = _read(file, separator, decimal, [text for text in extra if text])
    chosen = Chosen.of(columns, drop, label, id, one_hot)
    how: dict[str, Any] = {"standardize": standardize, "validation": validation, "test": test}
    dataset = dataset_of_table(file.name, table, chosen, **how)
    return dataset._replace(remarks=[*remarks, *dataset.remarks])


def _read(
    file: Path, separator: str, decimal: str, missing: list[str]
) -> tuple[pa.Table, list[str]]:
    """The table in a file, and remarks on how it was read.

    Raises:
        UserError: if it cannot be read.
    """
    first = _first_line(file)
    separator = separator or _separator(first)
    has_names = _has_names(first, separator)
    known = pa.csv.ConvertOptions().null_values
    options = {
        "parse_options": pa.csv.ParseOptions(delimiter=separator),
        "convert_options": pa.csv.ConvertOptions(
            null_values=[*known, *missing], strings_can_be_null=True, decimal_point=decimal
        ),
    }
    line = f"{file.name}: the first line has no names: columns are f0, f1, ..."
    remarks = [] if has_names else [line]
    for encoding in ("utf8", "latin1"):
        names = {"autogenerate_column_names": not has_names, "encoding": encoding}
        how = pa.csv.ReadOptions(block_size=BLOCK_BYTES, **names)
        try:
            table = pa.csv.read_csv(file, how, **options)
        except (pa.ArrowInvalid, OSError, UnicodeError) as error:
            raise UserError(f"{file} is no table: {reason(error)}") from error
        if not any(pa.types.is_binary(kind) for kind in table.schema.types):
            return table, remarks
        remarks.append(f"{file.name} is not UTF-8: it is read as Latin-1")
    raise UserError(f"{file} is no text file")


def _first_line(file: Path) -> str:
    """The first line; empty for a file that is compressed or no text.

    Raises:
        UserError: if there is no such file.
    """
    try:
        with pa.input_stream(file, compression="detect") as stream:
            text = stream.read(2**22).decode("utf-8-sig", errors="replace")
    except FileNotFoundError as error:
        raise UserError(f"{file.absolute()}: there is no such file") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    return next(filter(None, map(str.strip, text.splitlines())), "")


def _separator(line: str) -> str:
    """The one that a first line has most of; a space where it has no other."""
    often = max(SEPARATORS, key=line.count)
    return often if often in line or " " not in line else " "


def _has_names(line: str, separator: str) -> bool:
    """Whether a first line names columns: by text alone, or numbers in a row, as 0, 1 and 2."""
    cells = [cell.strip().strip("\"'") for cell in line.split(separator)]
    numbers: list[float] = []
    for cell in filter(None, cells):
        with contextlib.suppress(ValueError):
            numbers.append(float(cell))
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return steps == {1.0} or numbers in ([], [0.0])
