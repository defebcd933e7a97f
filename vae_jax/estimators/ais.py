from functools import partial
from typing import Annotated, Literal

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax.estimators import _annealing as annealing
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

Several = Annotated[int, constraints.integer_greater_than(2)]
Start = Literal["posterior", "prior"]


def ais(
    *,
    temperatures: Several = 1000,
    chains: Several = 16,
    leapfrog_steps: Annotated[int, constraints.positive_integer] = 10,
    start: Start = "posterior",
) -> Estimator:
    """log p(x) by annealed importance sampling (Neal 2001; Wu et al. 2017), in expectation below.

    Each of `chains` starts at a draw of q(z|x), or of the prior, and is moved by HMC along pi_b ~
    start^(1-b) p(x, z)^b, b from 0 to 1 in `temperatures` steps. log p^(x) is log 1/K sum_k w_k
    with log w = sum_t (b_t - b_t-1) log [p(x, z_t-1) / start(z_t-1)]. A pilot run tunes the step
    sizes, which are frozen then: what adapts while it anneals is no bound.
    """
    what = f"annealing from the {start}, {temperatures} temperatures, {chains} chains"
    quantities = {
        "log_p_ais": Quantity(NATS, what, better="higher", label="log p(x), annealing"),
        "ais_effective_chains": Quantity("chains", f"(sum w)^2 / sum w^2 of {chains} chains"),
        "ais_acceptance": Quantity("share", "of the proposals, mean over chains and temperatures"),
    }

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        rows = annealing.rows_at_once(model, params, temperatures)

        def one(key: Array, example: Batch) -> dict[str, Array]:
            pilot, run = jax.random.split(key)
            path = annealing.path_from(start, model, params, example)
            kernel = annealing.tuned(path, pilot, temperatures, leapfrog_steps)
            along = partial(annealing.forward, path, kernel)
            annealed = annealing.over_chains(along, run, chains, rows)
            log_p, error, size = annealing.log_mean(annealed.log_weight)
            return {
                "log_p_ais": log_p,
                "log_p_ais_error": error,
                "ais_effective_chains": size,
                "ais_acceptance": annealed.acceptance.mean(),
            }

        return annealing.over_examples(one, keys, batch, chains, rows)

    held = annealing.work(temperatures, leapfrog_steps, chains)
    return Estimator(of_examples, quantities, annealing.require, _summary, floats_per_example=held)


def _summary(values: Values) -> dict[str, Number]:
    """The means, that of log p(x) with the chains' error and what speaks against it."""
    numbers, errors = means(values), values["log_p_ais_error"]
    error = float(np.sqrt((errors**2).sum()) / len(errors))
    doubts = annealing.doubts(values["ais_effective_chains"], values["ais_acceptance"])
    log_p = numbers["log_p_ais"]._replace(monte_carlo_error=error, remark=doubts)
    return numbers | {"log_p_ais": log_p}
