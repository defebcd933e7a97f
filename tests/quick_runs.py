"""Trainings of a small model of the digits that take a second, and comparisons of what they give."""

import jax
import numpy as np

from vae_jax import default_config
from vae_jax.runs.directory import read_metrics


def quick_config(**changes):
    """Four epochs of twelve updates each."""
    config = default_config()
    config.encoder = config.decoder = "mlp(hidden=(16,))"
    config.latent_dim, config.num_epochs = 2, 4
    config.update(changes)
    return config


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def best_step(workdir):
    validated = [r for r in read_metrics(workdir) if "validation_bound" in r]
    return max(validated, key=lambda r: r["validation_bound"])["step"]
