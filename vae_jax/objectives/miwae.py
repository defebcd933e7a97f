from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import draws, log_mean_exp, terms_of
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params


@checked
def miwae(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 5,
    num_means: Annotated[int, constraints.positive_integer] = 5,
) -> Bound:
    """1/M sum_m log 1/K sum_k w_mk (Rainforth et al. 2018), nats per example.

    The mean of M independent IWAE_K, so M K draws: the bound that IWAE_K is, with the encoder's
    gradient M^1/2 times clearer.

    Args beside those of `types.Objective`:
        num_samples: K, draws under each logarithm.
        num_means: M.
    """
    weights = draws(model, params, key, batch, num_means * num_samples)
    bound = mean_of_logs(weights.log_weight, num_means)
    return Bound(bound, bound.mean(), terms_of(weights))


def mean_of_logs(log_w: Array, num_means: int) -> Array:
    """1/M sum_m log 1/K sum_k w_mk of M K log weights along the first axis."""
    groups = log_w.reshape(num_means, -1, *log_w.shape[1:])
    return log_mean_exp(groups, axis=1).mean(0)
