from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.programs import operations
from vae_jax.types import Array, Model, Params

ROWS = {"cpu": 2000}
ROWS_ELSEWHERE = 2**16
HELD = {"cpu": 2000 * 784}  # numbers of an array that the caches of two cores hold
HELD_ELSEWHERE = 2**27
SEVERAL = 16  # z: their arrays are larger than those of parameters alone


def decoded_rows(model: Model, params: Params) -> int:
    """How many z the decoder is given at a time: speed and memory, not results.

    So many that the largest array on the way from z to the distribution of x, such as the channels
    of a convolution, stays in the caches.
    """
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    platform = getattr(device, "platform", None) or jax.default_backend()
    held = HELD.get(platform, HELD_ELSEWHERE)
    rows = ROWS.get(platform, ROWS_ELSEWHERE)
    return min(rows, max(1, held * SEVERAL // max(_sizes(model, params), default=1)))


def _sizes(model: Model, params: Params) -> Iterator[int]:
    """Numbers in each array that decoding `SEVERAL` z makes."""

    def some(params: Params, *given: Array) -> Array:
        return jnp.zeros(model.prior(params, *given).event_shape)

    def decoded(params: Params, z: Array, *given: Array) -> Any:
        return jax.tree.leaves(model.decode(params, z, *given))

    given = [jnp.zeros((SEVERAL, *model.given_shape))] if model.given_shape else []
    z = jnp.zeros((SEVERAL, *jax.eval_shape(some, params, *given).shape))
    for operation in operations(jax.make_jaxpr(decoded)(params, z, *given).jaxpr):
        yield from (int(np.prod(variable.aval.shape)) for variable in operation.outvars)
