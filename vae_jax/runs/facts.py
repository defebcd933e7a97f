"""The facts of a model that are known before anything is computed."""

import jax
import jax.numpy as jnp

from vae_jax.divergences import closed_form_kl
from vae_jax.types import Array, Batch, Facts, Model, Params, Shape, shaped


def find_facts(model: Model, params: Params, x_shape: Shape) -> Facts:
    """The model's distributions with shapes in place of arrays, and whether their KL is known.

    Args:
        model: the model.
        params: its parameters, or their shapes alone.
        x_shape: of an example.

    Raises:
        UserError: by the parts, for shapes that they cannot work with.
    """
    example = shaped(model, x_shape)
    posterior = jax.eval_shape(model.encode, params, example)
    prior = jax.eval_shape(model.prior, params, *example.conditions)
    z = jax.ShapeDtypeStruct(prior.event_shape, jnp.float32)
    likelihood = jax.eval_shape(model.decode, params, z, *example.conditions)

    def kl(params: Params, example: Batch) -> Array | None:
        prior = model.prior(params, *example.conditions)
        return closed_form_kl(model.encode(params, example), prior)

    has_closed_form = jax.eval_shape(kl, params, example) is not None
    return Facts(model, params, x_shape, posterior, prior, likelihood, has_closed_form)
