import gzip
import importlib.util
from pathlib import Path

import numpy as np

from vae_jax.datasets._making import Binarize, Values, shuffled_dataset
from vae_jax.types import Dataset


def digits(
    *,
    binarize: Binarize = "dynamic",
    values: Values = "greys",
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """1,797 handwritten digits, 8 x 8 with 17 greys (Alpaydin & Kaynak 1998), from scikit-learn.

    x is grey / 16, `[8, 8, 1]`, binarized; with binarize='none' `values` may be levels, integers
    0 to 16, or dequantized, (level + u) / 17. `test` and `validation` are counts or fractions,
    held out after a shuffle that is always the same.
    """
    images, labels = _read()
    how = {"scale": 16.0, "binarize": binarize, "values": values}
    return shuffled_dataset("digits", images, labels, (validation, test), **how)


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Images `[1797, 8, 8, 1]` and labels, from scikit-learn's file.

    That is what `sklearn.datasets.load_digits` reads, whose import takes a second, and more with
    SciPy's statistics and pandas, which come with it.
    """
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None, "scikit-learn is a dependency"
    assert spec.origin is not None, "scikit-learn is a package"
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1].astype(int)
