import jax.numpy as jnp

from vae_jax.types import Array


def ramp(step: Array | int | None, rise: int, cycle: int = 0) -> Array | float:
    """A factor that rises from 0 to 1 over `rise` updates, once or in every `cycle`; 1 for None."""
    if step is None or rise == 0:
        return 1.0
    return jnp.minimum(1.0, (step % cycle if cycle else step) / rise)
