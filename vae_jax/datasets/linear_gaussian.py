from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from numpyro.distributions import MultivariateNormal, constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Array, Dataset


def linear_gaussian(
    *,
    x_dim: Annotated[int, constraints.positive_integer] = 8,
    z_dim: Annotated[int, constraints.positive_integer] = 2,
    scale: Annotated[float, constraints.positive] = 0.5,
    classes: Annotated[int, constraints.nonnegative_integer] = 0,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """x = Wz + b + s e with z, e ~ N(0, I): log p(x) = log N(x; b, WW' + s^2 I) is known.

    The model of probabilistic PCA (Tipping & Bishop 1999). W and b are drawn from N(0, 1) by
    `seed`, s is `scale`. With `classes` C there is a b for each of C labels y, of equal
    probabilities: log p(x | y) is known, log p(x) = log sum_y p(x | y) / C, and so p(y | x).
    """
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(x_dim, z_dim)), rng.normal(size=x_dim)
    noise = scale * rng.normal(size=(size, x_dim))
    x = (rng.normal(size=(size, z_dim)) @ W.T + b + noise).astype(np.float32)
    covariance = jnp.asarray(W @ W.T + scale**2 * np.eye(x_dim))
    if not classes:
        density = MultivariateNormal(jnp.asarray(b), covariance)
        return make_dataset(shuffled_splits(x, validation, test)[0], log_prob=density.log_prob)
    B, labels = rng.normal(size=(classes, x_dim)), rng.integers(classes, size=size)
    splits, kept = shuffled_splits((x + B[labels]).astype(np.float32), validation, test, labels)
    means = jnp.asarray(b + B)

    def log_prob_given(x: Array, y: Array) -> Array:
        return MultivariateNormal(y @ means, covariance).log_prob(x)

    def log_prob(x: Array) -> Array:
        each = MultivariateNormal(means, covariance).log_prob(x[..., None, :])
        return logsumexp(each, axis=-1) - jnp.log(classes)

    dataset = make_dataset(splits, log_prob=log_prob, labels=kept)
    return dataset._replace(log_prob_given=log_prob_given)
