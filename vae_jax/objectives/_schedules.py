import jax.numpy as jnp

from vae_jax.types import Array


def ramp(step: Array | int | None, rise: int, cycle: int = 0) -> Array | float:
    """From 0 to 1 over the first `rise` updates, again in every `cycle`; 1 where step is None."""
    if step is None or rise == 0:
        return 1.0
    return jnp.minimum(1.0, (step % cycle if cycle else step) / rise)
