from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import MultivariateNormal

from vae_jax.types import Array, Shape


class CholeskyNormal(MultivariateNormal):
    """N(z; m, LL'), where the density of a draw m + L e is computed from e, without solving for it.

    Args:
        loc: m, `[..., D]`.
        scale_tril: L, lower triangular with a positive diagonal, `[..., D, D]`.
    """

    def __init__(self, loc: Array, scale_tril: Array):
        """As NumPyro's, by its Cholesky factor."""
        super().__init__(loc, scale_tril=scale_tril)

    def sample_with_intermediates(
        self, key: Array, sample_shape: Shape = ()
    ) -> tuple[Array, list[Any]]:
        """z and e, `[*sample_shape, ..., D]` each."""
        e = jax.random.normal(key, (*sample_shape, *self.batch_shape, *self.event_shape))
        return self.loc + jnp.einsum("...ij,...j->...i", self.scale_tril, e), [e]

    def log_prob(self, value: Array, intermediates: list[Any] | None = None) -> Array:
        """-|e|^2 / 2 - sum_j log L_jj - D/2 log 2 pi, nats, `[...]`."""
        if not intermediates:
            return super().log_prob(value)
        (e,) = intermediates
        diagonal = jnp.diagonal(self.scale_tril, axis1=-2, axis2=-1)
        constant = 0.5 * jnp.log(2 * jnp.pi)
        return -(0.5 * e**2 + constant).sum(-1) - jnp.log(diagonal).sum(-1)
