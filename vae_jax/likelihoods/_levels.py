"""The data that likelihoods on the levels 0, ..., L - 1 accept and encode."""

from typing import Any

from numpyro.distributions import constraints


def on_levels(levels: int) -> dict[str, Any]:
    """The fields `accepts` and `inputs` of a likelihood on 0, ..., levels - 1."""
    accepts = constraints.integer_interval(0, levels - 1)
    return {"accepts": accepts, "inputs": lambda x: x / (levels - 1)}
