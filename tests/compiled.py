"""Functions of a model compiled whole: each operation by itself takes a test many compilations."""

from functools import partial

import jax

from vae_jax.config import components
from vae_jax.types import Context


def compiled(function):
    """`function(model, *arrays, **options)`, its numbers, context and options known to the compiler."""

    def call(model, *arguments, **options):
        numbers = [i for i, value in enumerate(arguments) if isinstance(value, int | Context)]
        return jax.jit(partial(function, model, **options), static_argnums=numbers)(*arguments)

    return call


def objective_of(text):
    """An objective by its call in a config, compiled."""
    return compiled(components.build("objectives", text))
