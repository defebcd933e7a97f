from typing import Annotated

import jax
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import draws, log_mean_exp, taught_by, terms_of
from vae_jax.objectives.miwae import mean_of_logs
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params

INFERENCE = ("encoder", "posterior")


@checked
def piwae(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 5,
    num_means: Annotated[int, constraints.positive_integer] = 5,
) -> Bound:
    """log 1/MK sum_mk w_mk, while the encoder learns from MIWAE (Rainforth et al. 2018), nats.

    The reported value is IWAE_MK, a lower bound on log p(x). The branches `encoder` and `posterior`
    of the parameters ascend the mean of M IWAE_K of the same draws, all others IWAE_MK.

    Args beside those of `types.Objective`:
        num_samples: K, draws under each logarithm that the encoder learns from.
        num_means: M.
    """
    held = jax.lax.stop_gradient(params)
    inference = {name: params[name] if name in INFERENCE else held[name] for name in params}
    generative = {name: held[name] if name in INFERENCE else params[name] for name in params}
    weights = draws(model, generative, key, batch, num_means * num_samples)
    bound = log_mean_exp(weights.log_weight)
    same = draws(model, inference, key, batch, num_means * num_samples).log_weight
    teacher = bound + mean_of_logs(same, num_means)
    return Bound(bound, taught_by(bound, teacher).mean(), terms_of(weights))
