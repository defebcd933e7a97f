from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpyro.distributions import constraints

from vae_jax.brought import Standardization
from vae_jax.datasets._arrays import dataset_of_arrays, load
from vae_jax.datasets._making import Binarize, Values
from vae_jax.errors import UserError
from vae_jax.places import data_file
from vae_jax.types import Dataset

SAVE = "np.save('x.npy', array) makes one"


def npy(
    *,
    path: str = "",
    binarize: Binarize = "none",
    values: Values = "greys",
    scale: Annotated[float | None, constraints.positive] = None,
    standardize: bool | Standardization = False,
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """An array in a file of any size, `np.save(path, array)`, or a folder of such files.

    Examples stay in the file, and are read as they are asked for: it may be larger than memory. A
    folder is read as a .npz file is whose arrays have the files' names: `train.npy` and `test.npy`,
    or one array, with `labels.npy`, `observed.npy` and others of one row an example beside it.
    All else is as `npz` has it.

    Raises:
        UserError: if there is no such file, it is no .npy file, or holds none of `npz`'s forms, and
            for uint8 that use a sliver of their range where no scale is given.
    """
    if not path:
        raise UserError("npy needs a file, or a folder of files: npy(path='x.npy')")
    file = data_file(path)
    files = sorted(file.glob("*.npy")) if file.is_dir() else [file]
    if not files:
        raise UserError(f"{file} holds no .npy files: {SAVE}")
    return dataset_of_arrays(
        file.name,
        {file.stem: _load(file) for file in files},
        binarize=binarize,
        values=values,
        scale=scale,
        standardize=standardize,
        validation=validation,
        test=test,
        mapped=True,
    )


def _load(file: Path) -> np.ndarray:
    """The array of a file, which stays in it unless it is empty."""
    array: Any = load(file, ".npy", SAVE, mapped=True)
    if not isinstance(array, np.ndarray):
        raise UserError(f"{file} holds several arrays: npz(path=...) reads it")
    return array
