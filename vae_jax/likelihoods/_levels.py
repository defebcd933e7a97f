"""What likelihoods on the levels 0, ..., L - 1 share: the data they accept and encode."""

from typing import Any

from numpyro.distributions import constraints

from vae_jax.errors import UserError


def on_levels(levels: int) -> dict[str, Any]:
    """The fields `accepts` and `inputs` of a likelihood on 0, ..., levels - 1.

    Raises:
        UserError: if there are fewer than two levels.
    """
    if levels < 2:
        raise UserError(f"levels={levels}: at least 2 are needed")
    accepts = constraints.integer_interval(0, levels - 1)
    return {"accepts": accepts, "inputs": lambda x: x / (levels - 1)}
