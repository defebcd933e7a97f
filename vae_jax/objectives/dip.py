from typing import Annotated, Literal

import jax.numpy as jnp
from numpyro.distributions import Distribution, Independent, constraints

from vae_jax.config.components import checked
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.objectives._draws import require_several
from vae_jax.objectives.elbo import elbo
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params


@checked
def dip(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    kind: Literal[1, 2] = 2,
    off_diagonal: Annotated[float, constraints.nonnegative] = 10.0,
    diagonal: Annotated[float, constraints.nonnegative] = 10.0,
) -> Bound:
    """ELBO - off_diagonal sum_i!=j C_ij^2 - diagonal sum_i (C_ii - 1)^2, in nats.

    DIP-VAE (Kumar et al. 2018): C is the covariance over the batch, with divisor n, of
    E[z|x] (kind 1), or that of z ~ q(z), which is E_x Cov[z|x] more (kind 2). Reported is the
    ELBO, as by `elbo`, a lower bound whatever the weights.

    Args beside those of `types.Objective`:
        kind: DIP-VAE-I or DIP-VAE-II.
        off_diagonal: weight of the covariances.
        diagonal: weight of the variances' distances from 1.

    Raises:
        UserError: for a batch of one, or a q(z|x) without the moments in closed form.
    """
    bound, q = elbo(model, params, key, batch), model.encode(params, batch)
    require_several(q.batch_shape, "dip")
    mean = _mean(q).reshape(-1, *q.event_shape)
    centred = mean - mean.mean(0)
    covariance = (centred[:, :, None] * centred[:, None]).mean(0)
    covariance += _mean_covariance(q) if kind == 2 else 0.0
    one = jnp.eye(len(covariance))
    squares = jnp.square(covariance - one) * (off_diagonal * (1 - one) + diagonal * one)
    return bound._replace(surrogate=bound.surrogate - squares.sum())


def _mean(q: Distribution) -> Array:
    try:
        return q.mean
    except NotImplementedError as error:
        raise UserError(f"dip needs E[z|x], which {describe(q)} does not know") from error


def _mean_covariance(q: Distribution) -> Array:
    """The mean over examples of Cov[z|x], `[latent_dim, latent_dim]`."""
    size = q.event_shape[0]
    if hasattr(q, "covariance_matrix"):
        return q.covariance_matrix.reshape(-1, size, size).mean(0)
    if isinstance(q, Independent) and q.base_dist.event_shape == ():
        return jnp.diag(q.variance.reshape(-1, size).mean(0))
    raise UserError(f"dip(kind=2) needs Cov[z|x], which {describe(q)} does not know: take kind=1")
