from functools import partial
from typing import Annotated

import numpy as np
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.divergences.layers import require_few_layers
from vae_jax.errors import UserError
from vae_jax.estimators._imputing import impute
from vae_jax.estimators._rows import decoded_rows
from vae_jax.estimators.importance import LARGEST
from vae_jax.evaluation.arrays._pass import (
    Arrays,
    Count,
    First,
    How,
    Seed,
    as_computed,
    of_examples,
)
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Estimator, Examples, Model, Params


@checked
def imputations(
    run: Run,
    examples: Examples | str = "test",
    *,
    num_samples: Annotated[int, constraints.integer_interval(1, LARGEST)] = 1000,
    num_draws: Count = 5,
    seed: Seed = 0,
    batch_size: Count = 100,
    num_examples: First = None,
    quiet: bool = True,
) -> Arrays:
    """Each example with its missing values filled in: by their mean, and by draws of them.

    With z_k ~ q(z | x_o) and w_k = p(x_o, z_k) / q(z_k | x_o) the mean is sum_k w_k E[x_m | z_k] /
    sum_k w_k, of bits their probability; a draw is x_m ~ p(x_m | z_k), k in proportion to w_k
    (Mattei & Frellsen 2019). What was observed stays as it is.

    Args:
        run: the run.
        examples: the name of a split, or a `Batch` with `observed` as `run.present` makes it.
        num_samples: draws of z for each example.
        num_draws: of x_m for each example: multiple imputation.
        seed: of all draws.
        batch_size: examples at a time; changes no number.
        num_examples: the first of them; None: all.
        quiet: no progress on stderr.

    Returns:
        `x_mean` `[n, *x_shape]`, `x_draws` `[n, num_draws, *x_shape]`, and `effective_sample_size`
        `[n]`, how many draws of z the weights are worth.

    Raises:
        UserError: where nothing is missing, and for examples that the model does not take.
    """
    _require_missing(run, examples)
    sizes = {"num_samples": num_samples, "num_draws": num_draws}

    def values(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        filled = impute(model, params, keys, batch, rows=decoded_rows(model, params), **sizes)
        return {
            "x_mean": filled.mean,
            "x_draws": filled.draws,
            "effective_sample_size": filled.effective_sample_size,
        }

    floats = num_samples + num_draws * int(np.prod(run.parts.x_shape))
    require = partial(require_few_layers, taker="imputation takes")
    estimator = Estimator(values, {}, require, floats_per_example=floats)
    name = f"imputations(num_samples={num_samples}, num_draws={num_draws})"
    how = How(seed, batch_size, num_examples, quiet)
    return as_computed(
        of_examples(run, examples, name, estimator, how),
        "x_mean",
        "x_draws",
        "effective_sample_size",
    )


def _require_missing(run: Run, examples: Examples | str) -> None:
    if isinstance(examples, str):
        if not run.dataset.missing:
            raise UserError("nothing is missing in this data: NaN is what imputations fill in")
    elif not isinstance(examples, Batch) or examples.observed is None:
        raise UserError("nothing is missing: Batch(x, observed=...) says what is")
