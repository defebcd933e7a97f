import jax
import jax.numpy as jnp

from vae_jax.types import Array


def whitening(covariance: Array) -> Array:
    """The lower triangular W of W S W' = I, `[..., D, D]`, so that S^-1 = W'W.

    By elimination, [S, 1] -> [U, M], W = diag(U)^-1/2 M: no step of it is a call of LAPACK, of
    which XLA on a CPU (jaxlib 0.10) runs batches on the threads that wait for them, so that two at
    a time may wait for ever.
    """
    size = covariance.shape[-1]
    rows = jnp.arange(size)[:, None]

    def eliminate(j: Array, both: Array) -> Array:
        row = jax.lax.dynamic_index_in_dim(both, j, -2)
        column = jax.lax.dynamic_index_in_dim(both, j, -1)
        pivot = jax.lax.dynamic_index_in_dim(row, j, -1)
        return both - jnp.where(rows > j, column / pivot, 0.0) * row

    identity = jnp.broadcast_to(jnp.eye(size, dtype=covariance.dtype), covariance.shape)
    both = jnp.concatenate([covariance, identity], -1)
    upper, multipliers = jnp.split(jax.lax.fori_loop(0, size, eliminate, both), 2, axis=-1)
    pivots = jnp.diagonal(upper, axis1=-2, axis2=-1)
    return multipliers / jnp.sqrt(pivots)[..., None]


def log_det(whitening: Array) -> Array:
    """log |S|, `[...]`."""
    return -2 * jnp.log(jnp.diagonal(whitening, axis1=-2, axis2=-1)).sum(-1)
