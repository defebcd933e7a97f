from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from vae_jax.brought import Standardization
from vae_jax.datasets._tables import Chosen, Names, dataset_of_table, reason
from vae_jax.errors import UserError
from vae_jax.places import data_file
from vae_jax.types import Dataset


def parquet(
    *,
    path: str = "",
    columns: Names = (),
    drop: Names = (),
    label: str = "",
    id: str = "",
    one_hot: Names = (),
    standardize: bool | Standardization = True,
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """A table in a .parquet file, or a folder of them: x is its columns of numbers, `[d]`.

    `columns`, `drop`, `label`, `id`, `one_hot`, `standardize` and the splits are as `csv` has them.
    A null and NaN are values that were not observed.

    Raises:
        UserError: if the file cannot be read, has no such column, or x would hold anything but
            numbers.
    """
    if not path:
        raise UserError("parquet needs a file: parquet(path='table.parquet')")
    file = data_file(path)
    return dataset_of_table(
        file.name,
        _read(file),
        Chosen.of(columns, drop, label, id, one_hot),
        standardize=standardize,
        validation=validation,
        test=test,
    )


def _read(file: Path) -> pa.Table:
    """The table in a file.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        return pa.parquet.read_table(file)
    except FileNotFoundError as error:
        raise UserError(f"{file.absolute()}: there is no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} is no .parquet file: {reason(error)}") from error
