import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import UserError
from vae_jax.types import Array, Model, Params


def quadrature(
    model: Model, params: Params, x: Array, *, points: int = 400, margin: float = 1.0
) -> Array:
    """Log p(x) = log int p(x|z) p(z) dz by the trapezoid rule, for a latent of 1 or 2 dimensions.

    The grid spans what 10,000 draws from the prior span, and `margin` of their standard deviations
    more. It is right to about the prior's mass outside, as long as the spacing is below the width
    of p(z | x): compare two values of `points`.

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
    prior = model.prior(params)
    if prior.event_shape[0] > 2:
        raise UserError(f"quadrature is for 1 or 2 latent dimensions, not {prior.event_shape[0]}")
    draws = prior.sample(jax.random.key(0), (10_000,))
    spread = margin * draws.std(0)
    axes = jnp.linspace(draws.min(0) - spread, draws.max(0) + spread, points, axis=1)
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    log_cell = jnp.log(axes[:, 1] - axes[:, 0]).sum()

    def some_points(z: Array) -> Array:
        joint = jax.vmap(lambda z: model.decode(params, z).log_prob(x) + prior.log_prob(z))(z)
        return logsumexp(joint, axis=0)

    return logsumexp(jax.lax.map(some_points, grid.reshape(points, -1, len(axes))), 0) + log_cell
