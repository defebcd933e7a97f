"""Data sets, one a file, and what is needed to write another."""

from vae_jax.datasets._doubts import columns
from vae_jax.datasets._lazy import Lazy
from vae_jax.datasets._making import Binarize, Values, make_dataset, shuffled_dataset
from vae_jax.datasets._splitting import count, hold_out, shuffled_rows, shuffled_splits, take
from vae_jax.datasets._storing import require_examples, storable

__all__ = [
    "Binarize",
    "Lazy",
    "Values",
    "columns",
    "count",
    "hold_out",
    "make_dataset",
    "require_examples",
    "shuffled_dataset",
    "shuffled_rows",
    "shuffled_splits",
    "storable",
    "take",
]
