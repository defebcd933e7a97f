"""An estimator from outside the package, which gives back the x of each example."""

from vae_jax.types import Estimator


def seen():
    return Estimator(lambda model, params, keys, batch: {"x": batch.x}, {})
