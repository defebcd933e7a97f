from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import Gradient, draws, log_mean_exp, terms_of
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params


@checked
def iwae(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 5,
    gradient: Gradient = "standard",
) -> Bound:
    """log 1/K sum_k w_k, w_k = p(x, z_k) / q(z_k | x), z_k ~ q (Burda et al. 2016, eq. 8), nats.

    A lower bound on log p(x) that tightens with K = `num_samples`; K = 1 is the ELBO with its KL
    sampled. With w~_k = w_k / sum_j w_j held constant, the encoder learns from one of

    - `standard`: sum_k w~_k d log w_k, the bound's own gradient;
    - `stl`: sum_k w~_k (d log w_k / dz_k) dz_k, the path alone, without the score d log q / dphi
      (Roeder et al. 2017). Its noise vanishes where q is the posterior. Unbiased for K = 1; for
      K > 1 it is not the bound's gradient, even in expectation (Tucker et al. 2019);
    - `dreg`: sum_k w~_k^2 (d log w_k / dz_k) dz_k (Tucker et al. 2019): unbiased for every
      K; its signal-to-noise ratio falls less with K than that of `standard`, and not at all for
      weights with light tails (`benchmarks/gradients.py` measures it).

    The decoder learns from sum_k w~_k d log w_k with all three, and so does a prior, also by way of
    the encoder's parameters where it depends on them.

    Args beside those of `types.Objective`:
        num_samples: K.
        gradient: the estimator; value and surrogate are the same numbers with each.
    """
    weights = draws(model, params, key, batch, num_samples, gradient)
    bound = log_mean_exp(weights.log_weight)
    return Bound(bound, bound.mean(), terms_of(weights))
