import jax.numpy as jnp
import numpy as np
from numpyro.distributions import BernoulliProbs

from vae_jax.datasets._making import generator, make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def coin(
    *,
    heads: float = 0.5,
    size: int = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: int = 0,
) -> Dataset:
    """Tosses of a coin, x = 1 for heads and 0 for tails, `[1]`: p(x = 1) = `heads`, log p(x) known.

    Raises:
        UserError: if the probability is not between 0 and 1, or the size not positive.
    """
    if not 0 < heads < 1 or size <= 0:
        raise UserError(f"heads={heads}, size={size}: between 0 and 1, and positive")
    x = (generator(seed).uniform(size=(size, 1)) < heads).astype(np.float32)
    density = BernoulliProbs(jnp.full(1, heads)).to_event(1)
    return make_dataset(shuffled_splits(x, validation, test)[0], log_prob=density.log_prob)
