from typing import Annotated

import numpy as np
from numpyro.distributions import constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.types import Dataset

TURNS, LEVELS = 3, 256


def swirl(
    *,
    size: Annotated[int, constraints.positive_integer] = 1_024,
    test: Annotated[int, constraints.positive_integer] = 1_024,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Points of a spiral in the plane of three turns, x on 256 x 256 levels, integers as floats.

    Training has `size` points evenly along it, validation and test others at random places. The
    data on which VDM was first shown is such (Kingma et al. 2021).
    """
    rng = np.random.default_rng(seed)
    splits = {
        "train": _on_spiral((np.arange(size) + 0.5) / size),
        "validation": _on_spiral(rng.uniform(size=test)),
        "test": _on_spiral(rng.uniform(size=test)),
    }
    return make_dataset(splits, scale=LEVELS - 1, values="levels")


def _on_spiral(place: np.ndarray) -> np.ndarray:
    """Levels `[n, 2]`; places from 0 to 1 are about evenly dense along the curve."""
    radius = np.sqrt(place)
    angle = 2 * np.pi * TURNS * radius
    curve = 0.9 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.round((curve + 1) / 2 * (LEVELS - 1)).astype(np.uint8)
