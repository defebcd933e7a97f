from typing import Annotated

import numpy as np
from numpyro.distributions import constraints
from sklearn.datasets import load_sample_images

from vae_jax.datasets._making import Values, make_dataset
from vae_jax.errors import UserError
from vae_jax.types import Dataset

BANDS = {"train": (0.0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1.0)}  # of the width


def patches(
    *,
    values: Values = "greys",
    side: Annotated[int, constraints.positive_integer] = 8,
    train: Annotated[int, constraints.positive_integer] = 10_000,
    validation: Annotated[int, constraints.nonnegative_integer] = 1_000,
    test: Annotated[int, constraints.positive_integer] = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Colour patches `[side, side, 3]` of scikit-learn's two photographs, china and flower.

    Patches lie at random places, all different, of upright bands of each photograph: the left 70%
    for training, the next 10% for validation, the right 20% for testing. No test patch shares a
    pixel with a training patch. 256 levels; `values` is greys, level / 255, or levels, or
    dequantized, (level + u) / 256; `validation=0` makes no such split. The photographs: 427 x 640,
    CC BY 2.0.

    Raises:
        UserError: if a band does not have that many places.
    """
    photographs, rng = np.stack(load_sample_images().images), np.random.default_rng(seed)
    counts = {"train": train, "validation": validation, "test": test}
    splits = {k: _cut(rng, photographs, side, n, *BANDS[k]) for k, n in counts.items() if n}
    return make_dataset(splits, scale=255.0, values=values)


def _cut(
    rng: np.random.Generator,
    photographs: np.ndarray,
    side: int,
    count: int,
    low: float,
    high: float,
) -> np.ndarray:
    """`count` patches of the band of columns between two fractions of the width."""
    width = photographs.shape[2]
    band = photographs[:, :, round(low * width) : round(high * width)]
    if side > min(band.shape[1:3]):
        raise UserError(f"side={side}: a band has {band.shape[1]} rows, {band.shape[2]} columns")
    windows = np.lib.stride_tricks.sliding_window_view(band, (side, side), (1, 2))
    places = int(np.prod(windows.shape[:3]))
    if count > places:
        raise UserError(f"{count} patches of side {side}: a band has only {places} places")
    where = np.unravel_index(rng.choice(places, count, replace=False), windows.shape[:3])
    return np.ascontiguousarray(np.moveaxis(windows[where], 1, -1))
