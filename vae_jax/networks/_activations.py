from collections.abc import Callable

import jax

from vae_jax.errors import unknown
from vae_jax.types import Array

ELEMENTWISE = (
    *("tanh", "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "softplus"),
    *("sigmoid", "soft_sign", "identity"),
)


def activation_named(name: str) -> Callable[[Array], Array]:
    """The function of `jax.nn` that has this name.

    Raises:
        UserError: if it is none of those that act on each element.
    """
    if name not in ELEMENTWISE:
        raise unknown("activation", name, ELEMENTWISE)
    return getattr(jax.nn, name)
