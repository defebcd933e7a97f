"""x that the model itself makes."""

import jax
import jax.numpy as jnp

from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Facts, Model, Params


def draw_joint(model: Model, params: Params, key: Array, example: Batch) -> tuple[Array, Array]:
    """z ~ p(z) and x ~ p(x | z), bits where x is bits, for one key and one example's conditions."""
    key_z, key_x = jax.random.split(key)
    z = model.prior(params, *example.conditions).sample(key_z)
    return z, model.decode(params, z, *example.conditions).sample(key_x).astype(float)


def draws(model: Model, params: Params, keys: Array, batch: Batch) -> Array:
    """One x ~ p(x) of the model for each example, `[batch, *x_shape]`; the examples' x is not used.

    It is p(x | y) by the examples' conditions, and 0 where they were not observed, as they are.

    Args:
        model: the model.
        params: its parameters.
        keys: one per example, `[batch]`.
        batch: the examples.
    """
    x = jax.vmap(lambda key, one: draw_joint(model, params, key, one)[1])(keys, batch)
    return x if batch.observed is None else jnp.where(batch.observed, x, 0.0)


def require_one_prior(facts: Facts, name: str) -> None:
    """Raises UserError where p(z | y) depends on what is given, for an estimator of that name."""
    try:
        jax.eval_shape(facts.model.prior, facts.params)
    except UserError as error:
        raise UserError(f"{name} is of one p(z) for all x: here it is p(z|y)") from error


def require_draws(facts: Facts) -> None:
    """Raises UserError where p(x | z) cannot be sampled."""
    try:
        jax.eval_shape(lambda p, key: p.sample(key), facts.likelihood, jax.random.key(0))
    except NotImplementedError as error:
        raise UserError("x is drawn from the model: this p(x|z) has no draws") from error
