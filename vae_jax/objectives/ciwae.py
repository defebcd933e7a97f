from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import draws, log_mean_exp, terms_of
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params


@checked
def ciwae(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 5,
    beta: Annotated[float, constraints.unit_interval] = 0.5,
) -> Bound:
    """beta 1/K sum_k log w_k + (1 - beta) log 1/K sum_k w_k (Rainforth et al. 2018), nats.

    Between the ELBO with its KL sampled, beta = 1, and IWAE_K, beta = 0: a lower bound as they are.

    Args beside those of `types.Objective`:
        num_samples: K.
        beta: weight of the ELBO, from 0 to 1.
    """
    weights = draws(model, params, key, batch, num_samples)
    log_w = weights.log_weight
    bound = beta * log_w.mean(0) + (1 - beta) * log_mean_exp(log_w)
    return Bound(bound, bound.mean(), terms_of(weights))
