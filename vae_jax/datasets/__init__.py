"""Data sets, one a file, and what is needed to write another."""

from vae_jax.datasets._making import (
    Binarize,
    Values,
    count,
    hold_out,
    make_dataset,
    shuffled_splits,
)

__all__ = [
    "Binarize",
    "Values",
    "count",
    "hold_out",
    "make_dataset",
    "shuffled_splits",
]
