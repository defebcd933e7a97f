from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from numpyro.distributions import Distribution, Independent, constraints

from vae_jax.config.components import checked
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.objectives._draws import first_draws, require_several
from vae_jax.objectives.elbo import elbo
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params, as_batch

Weights = Literal["stratified", "weighted"]


@checked
def beta_tc(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    alpha: Annotated[float, constraints.nonnegative] = 1.0,
    beta: Annotated[float, constraints.nonnegative] = 6.0,
    gamma: Annotated[float, constraints.nonnegative] = 1.0,
    weights: Weights = "stratified",
) -> Bound:
    """E_q[log p(x|z)] - alpha I(x; z) - beta TC(z) - gamma sum_j KL(q(z_j) || p(z_j)), nats.

    The mean KL over the N = `context.num_examples` training examples taken apart (Chen et al.
    2018, eq. 2), with q(z) = 1/N sum_n q(z | x_n):

    - I(x; z) = E[log q(z|x) - log q(z)],
    - TC(z) = KL(q(z) || prod_j q(z_j)) = E[log q(z) - sum_j log q(z_j)],
    - and E[sum_j log q(z_j) - log p(z)].

    They are maximized as the batch estimates them, with one draw of z; all weights 1 are the ELBO
    with its KL sampled. Reported is the ELBO, as by `elbo`, a lower bound whatever the weights.

    Args beside those of `types.Objective`:
        alpha: weight of the mutual information.
        beta: weight of the total correlation.
        gamma: weight of the KL dimension by dimension.
        weights: of the batch's examples in q(z): `stratified` estimates it without bias,
            `weighted`, 1 / (N B) for each of B, is off by a factor (Chen et al. 2018, appendix C).

    Raises:
        UserError: for a batch of one, or a q(z|x) that does not factorize.
    """
    bound = elbo(model, params, key, batch)
    q, z = first_draws(model, params, key, batch)
    latent_dim = z.shape[-1]
    require_several(z.shape[:-1], "beta_tc")
    pairs = _pairwise(q, z).reshape(-1, z.size // latent_dim, latent_dim)
    log_weights = jnp.log(batch_weights(len(pairs), context.num_examples, weights))
    log_q_z = logsumexp(pairs.sum(-1) + log_weights, axis=1).mean()
    log_q_each = logsumexp(pairs + log_weights[..., None], axis=1).sum(-1).mean()
    information = q.log_prob(z).mean() - log_q_z
    rest = log_q_each - model.prior(params, *as_batch(batch).conditions).log_prob(z).mean()
    penalty = alpha * information + beta * (log_q_z - log_q_each) + gamma * rest
    return bound._replace(surrogate=bound.terms["log_likelihood"].mean() - penalty)


def _pairwise(q: Distribution, z: Array) -> Array:
    """log q(z_ij | x_k) of draw i and example k in dimension j, `[i, k, j]`, nats."""
    if not (isinstance(q, Independent) and q.base_dist.event_shape == ()):
        raise UserError(f"beta_tc needs independent latent dimensions: {describe(q)} has none")
    return q.base_dist.log_prob(z.reshape(-1, *(1,) * (z.ndim - 1), z.shape[-1]))


def batch_weights(size: int, num_examples: int | None, kind: Weights = "stratified") -> np.ndarray:
    """W_ik, `[size, size]`, with which sum_k W_ik q(z | x_k) estimates q(z) for a z drawn of x_i.

    `stratified`, for a batch of M + 1 examples out of N (Chen et al. 2018, appendix C): 1/N for
    the example itself, (N - M) / (N M) for one other, 1/M for the rest. The rows sum to 1, and the
    others' weights to (N - 1) / N, which makes the estimate unbiased over batches with x_i.
    With all N in the batch they are 1/N, and q(z) is exact.
    """
    n, m = max(size, num_examples or 0), size - 1
    if kind == "weighted" or n == size:
        return np.full((size, size), 1 / (n * size if kind == "weighted" else n))
    first_row = np.array([1 / n, (n - m) / (n * m), *[1 / m] * (m - 1)])
    return np.stack([np.roll(first_row, i) for i in range(size)])
