import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import UserError
from vae_jax.types import Array, Model, Params


def quadrature(
    model: Model, params: Params, x: Array, *, points: int = 400, margin: float = 1.0
) -> Array:
    """log p(x) = log int p(x|z) p(z) dz on an even grid, for a latent of 1 or 2 dimensions.

    The grid spans what 10,000 draws from the prior span, and `margin` of their standard deviations
    more. It is right where p(z | x) lies well inside and is wider than the spacing: compare two
    values of `points`, and see `prior_mass`.

    Args:
        model: the model.
        params: its parameters.
        x: `[batch, *x_shape]`.
        points: points per latent dimension.
        margin: standard deviations added on each side.

    Returns:
        nats, `[batch]`.

    Raises:
        UserError: if the latent has more dimensions.
    """
    z, log_cell = _grid(model, params, points, margin)
    prior = model.prior(params)

    def some_points(z: Array) -> Array:
        joint = jax.vmap(lambda z: model.decode(params, z).log_prob(x) + prior.log_prob(z))(z)
        return logsumexp(joint, axis=0)

    return logsumexp(jax.lax.map(some_points, z), 0) + log_cell


def prior_mass(model: Model, params: Params, *, points: int = 400, margin: float = 1.0) -> Array:
    """The prior's mass by the same grid, which is 1 unless it is too coarse or too small."""
    z, log_cell = _grid(model, params, points, margin)
    return jnp.exp(logsumexp(model.prior(params).log_prob(z)) + log_cell)


def _grid(model: Model, params: Params, points: int, margin: float) -> tuple[Array, Array]:
    """Points `[points, ..., dimensions]` and the log of the volume each stands for."""
    prior = model.prior(params)
    if prior.event_shape[0] > 2:
        raise UserError(f"quadrature is for 1 or 2 latent dimensions, not {prior.event_shape[0]}")
    draws = prior.sample(jax.random.key(0), (10_000,))
    spread = margin * draws.std(0)
    axes = jnp.linspace(draws.min(0) - spread, draws.max(0) + spread, points, axis=1)
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    log_cell = jnp.log(axes[:, 1] - axes[:, 0]).sum()
    return grid.reshape(points, -1, len(axes)), log_cell
