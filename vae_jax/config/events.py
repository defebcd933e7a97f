"""Event shapes: what a density is evaluated on is held against them, or it would be broadcast."""

import copy
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution

from vae_jax.errors import UserError
from vae_jax.types import Array, Shape


def require_event(what: str, value: Any, event: Shape) -> None:
    """Raises UserError unless a value has shape `[..., *event]`.

    Args:
        what: its name.
        value: an array, which may be traced.
        event: the shape of one.
    """
    shape = jnp.shape(value)
    if shape[max(0, len(shape) - len(event)) :] != tuple(event):
        wanted = ", ".join(["...", *map(str, event)])
        raise UserError(f"{what} has shape {list(shape)}, and [{wanted}] is needed")


def require_same_event(q: Distribution, p: Distribution) -> None:
    """Raises UserError unless two distributions are of values of one shape."""
    if q.event_shape != p.event_shape:
        shapes = f"{list(q.event_shape)} and {list(p.event_shape)}"
        raise UserError(f"q and p are of values of different shapes, {shapes}")


def strict(what: str, distribution: Distribution) -> Distribution:
    """The same distribution, whose `log_prob` takes values of its event shape and no others.

    Args:
        what: the name of such a value, for the message.
        distribution: any; the result is of a subclass of its type.
    """
    result: Any = copy.copy(distribution)
    result.__class__ = _strict(what, result.__class__)
    return result


@functools.cache
def _strict(what: str, kind: Any) -> Any:
    """The type whose `log_prob` looks at shapes first."""

    def log_prob(self: Distribution, value: Array, *args: Any, **kwargs: Any) -> Array:
        require_event(what, value, self.event_shape)
        leading = jnp.shape(value)[: jnp.ndim(value) - len(self.event_shape)]
        try:
            np.broadcast_shapes(leading, self.batch_shape)
        except ValueError as error:
            shapes = f"{list(leading)} and {list(self.batch_shape)}"
            raise UserError(f"{what} and its distribution have batch axes {shapes}") from error
        return kind.log_prob(self, value, *args, **kwargs)

    return type(kind.__name__, (kind,), {"log_prob": log_prob, "__doc__": kind.__doc__})
