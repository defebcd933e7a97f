"""Missing values filled in without a model: by means, and by the nearest training examples."""

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.types import Dataset

MOST = 2**27  # numbers of training examples, 512 MiB


def training_x(dataset: Dataset) -> np.ndarray:
    """x of training examples in a random order that is always the same, `[n, d]`, NaN if missing.

    Args:
        dataset: with a training split; of a very large one a part is taken.
    """
    split = dataset.splits["train"]
    size = int(np.prod(np.shape(split[0])))
    rows = np.random.default_rng(0).permutation(len(split))[: max(1, MOST // size)]
    is_array = isinstance(split, np.ndarray)
    raw = split[rows] if is_array else np.stack([split[int(i)] for i in rows])
    seen = ~np.isnan(raw)
    keys = jax.random.split(jax.random.key(len(split)), len(rows))
    x = jax.jit(jax.vmap(dataset.preprocess))(keys, jnp.asarray(np.where(seen, raw, 0)))
    return np.where(seen, np.asarray(x), np.nan).reshape(len(rows), -1)


def by_means(train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x `[n, d]` with the training means where it is NaN; 0 where no mean is known."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer(keep_empty_features=True).fit(train).transform(x)


def by_neighbours(train: np.ndarray, x: np.ndarray, neighbours: int) -> np.ndarray:
    """x `[n, d]` with the means of its nearest training examples where it is NaN.

    Distances are Euclidean, over the elements that both have.
    """
    from sklearn.impute import KNNImputer

    imputer = KNNImputer(n_neighbors=neighbours, keep_empty_features=True)
    return imputer.fit(train).transform(x)
