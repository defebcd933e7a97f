from typing import Annotated

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import BernoulliProbs, constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Dataset


def coin(
    *,
    heads: Annotated[float, constraints.open_interval(0.0, 1.0)] = 0.5,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Tosses of a coin, x = 1 for heads, 0 for tails, `[1]`: p(x = 1) = `heads`, log p(x) known."""
    x = (np.random.default_rng(seed).uniform(size=(size, 1)) < heads).astype(np.float32)
    density = BernoulliProbs(jnp.full(1, heads)).to_event(1)
    return make_dataset(shuffled_splits(x, validation, test)[0], log_prob=density.log_prob)
