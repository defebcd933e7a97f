from typing import Annotated

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import draws, taught_by, terms_of
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params
from vae_jax.weights import LogWeights


@checked
def tvo(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.integer_greater_than(2)] = 10,
    partitions: Annotated[int, constraints.positive_integer] = 5,
    first_beta: Annotated[float, constraints.open_interval(0, 1)] = 0.08,
) -> Bound:
    """sum_s (beta_s+1 - beta_s) E_s[log w], E_s over p(x, z)^beta_s q(z|x)^(1 - beta_s), nats.

    The left Riemann sum of an integral over beta that equals log p(x), and so a lower bound
    (Masrani et al. 2019). The expectations are self-normalized over the same K draws from q,
    which makes the value at most IWAE_K's, draw by draw; one partition is the ELBO with its KL
    sampled. Gradients are E_s[d log w] + Cov_s[log w, d log p(x, z)^beta_s q(z|x)^(1 - beta_s)],
    not through z: z need not be reparameterized.

    Args beside those of `types.Objective`:
        num_samples: K, 2 at least, since one draw has no covariance.
        partitions: terms of the sum; their beta are 0, and evenly spaced in log beta from
            `first_beta` to 1, which is left out.
        first_beta: the least beta but 0.
    """
    weights = draws(model, params, key, batch, num_samples, "score")
    betas = _betas(partitions, first_beta)
    terms = [_term(weights, *pair) for pair in zip(betas, np.diff(betas), strict=False)]
    value, teacher = jax.tree.map(lambda *term: sum(term), *terms)
    return Bound(value, taught_by(value, teacher).mean(), terms_of(weights))


def _betas(partitions: int, first: float) -> np.ndarray:
    """0, and `partitions` values from `first` to 1 with even ratios."""
    return np.append(0.0, np.geomspace(1.0, first, partitions)[::-1])


def _term(weights: LogWeights, beta: float, width: float) -> tuple[Array, Array]:
    """`width` E_beta[log w], and something with the covariance estimate of its gradient."""
    log_w = weights.log_weight
    held = jax.lax.stop_gradient(log_w)
    normalized = jax.nn.softmax(beta * held, axis=0)
    mean = (normalized * held).sum(0)
    path = beta * (weights.log_likelihood + weights.log_prior) + (1 - beta) * weights.log_posterior
    return width * mean, width * (normalized * (log_w + (held - mean) * path)).sum(0)
