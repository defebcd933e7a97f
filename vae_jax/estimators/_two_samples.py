"""A test of whether two samples are of one distribution, by kernel and permutations."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from vae_jax.standard_errors import standard_error

PERMUTATIONS = 1000


class TwoSamples(NamedTuple):
    """The squared maximum mean discrepancy of two samples, its error, and the p-value of 0."""

    mmd: float  # unbiased, so that it may be negative
    error: float
    p: float


def two_samples(
    x: np.ndarray, y: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> TwoSamples:
    """MMD^2 of two samples `[n, d]` and the p-value of their being of one distribution.

    MMD^2 = E k(x, x') + k(y, y') - k(x, y') - k(x', y), k(a, b) = exp(-|a - b|^2 / 2 s^2) with s
    the median distance (Gretton et al. 2012, eq. 4). The p-value is the share of permutations of
    all 2 n points, the one that is there among them, with an MMD^2 as large: of equal distributions
    P(p <= a) <= a for every n. The error is that of a U-statistic, 2 / sqrt(n) times the spread of
    its n terms; of equal distributions it is too large.

    Args:
        x: one sample, at least 2.
        y: the other, of the same size.
        seed: of the permutations.
        permutations: how many, beside the one that is there.
    """
    n, points = len(x), np.concatenate([x, y])
    squares = cdist(points, points, "sqeuclidean")
    scale = np.median(squares[np.triu_indices(2 * n, 1)])
    kernel = np.exp(-squares / (2 * scale if scale > 0 else 1.0))
    h = kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]
    terms = (h.sum(1) - np.diag(h)) / (n - 1)
    sides = np.repeat([1.0, -1.0], n)
    draws = np.random.default_rng(seed).permuted(np.tile(sides, (permutations, 1)), axis=1)
    shuffled = np.concatenate([sides[None], draws])
    discrepancy = ((shuffled @ kernel) * shuffled).sum(1)  # grows as MMD^2 does
    as_large = discrepancy >= discrepancy[0] * (1 - 1e-12)
    return TwoSamples(float(terms.mean()), float(2 * standard_error(terms)), float(as_large.mean()))
