from typing import Annotated

import numpy as np
from numpyro.distributions import Distribution, constraints

from vae_jax.estimators._rows import decoded_rows
from vae_jax.estimators.importance import FEW, LARGEST, importance_sampling
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Examples,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)


def prior_sampling(
    *, num_samples: Annotated[int, constraints.integer_interval(2, LARGEST)] = 5000
) -> Estimator:
    """log p(x) = log E_p(z) p(x|z) as it stands, by K draws of the prior; `log_p_prior`.

    log p^(x) = log 1/K sum_k p(x|z_k), in expectation below. It fails where few z of the prior make
    x, as in more than a few latents: then a draw or two make the sum, which is said.
    """
    K = num_samples
    how = f"the mean of p(x|z) over {K} draws of the prior"
    size = f"(sum p(x|z))^2 / sum p(x|z)^2 of {K}"
    quantities = {
        "log_p_prior": Quantity(NATS, how, better="higher", label="log p(x), prior's draws"),
        "prior_effective_draws": Quantity("draws", size),
    }

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def blind(params: Params, example: Examples) -> Distribution:
            given = example.conditions if isinstance(example, Batch) else ()
            return model.prior(params, *given)

        blinded, rows = model._replace(encode=blind), decoded_rows(model, params)
        sampled = importance_sampling(
            blinded, params, keys, batch, num_samples=num_samples, rows=rows
        )
        return {
            "log_p_prior": sampled["log_p"],
            "log_p_prior_error": sampled["log_p_error"],
            "prior_effective_draws": sampled["effective_sample_size"],
        }

    return Estimator(of_examples, quantities, summary=_summary, floats_per_example=num_samples)


def _summary(values: Values) -> dict[str, Number]:
    """The means, and the share of the examples that few draws of the prior can make."""
    numbers, errors = means(values), values["log_p_prior_error"]
    error = float(np.sqrt((errors**2).sum()) / len(errors))
    few = (values["prior_effective_draws"] < FEW).mean()
    told = f"of {few:.1%} of the examples fewer than {FEW} draws of the prior make log_p_prior"
    remark = f"{told}: it is too low" if few else ""
    log_p = numbers["log_p_prior"]._replace(monte_carlo_error=error, remark=remark)
    return numbers | {"log_p_prior": log_p}
