from functools import partial
from typing import Annotated, Literal

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax.estimators import _annealing as annealing
from vae_jax.estimators._draws import draw_joint, require_draws
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

Several = Annotated[int, constraints.integer_greater_than(2)]


def bdmc(
    *,
    temperatures: Several = 1000,
    chains: Several = 16,
    leapfrog_steps: Annotated[int, constraints.positive_integer] = 10,
    start: Literal["posterior", "prior"] = "posterior",
) -> Estimator:
    """log p(x) between two bounds, of x that the model itself makes (Grosse et al. 2015).

    One z, x ~ p(x, z) for each example that is evaluated, whose own x is not looked at. z is an
    exact draw of p(z | x), so that annealing back from it gives 1 / p(x) without bias, and -log of
    its mean over chains an upper bound in expectation; annealing up, as `ais` does, is the lower
    one. The kernels are the same, in reverse. The width says how far `ais` is from log p(x) at
    these settings, where x is like the model's own.
    """
    what = f"{temperatures} temperatures, {chains} chains, from the {start}"
    quantities = {
        "bdmc_lower": Quantity(NATS, f"log p(x) of the model's own x, annealed up; {what}"),
        "bdmc_upper": Quantity(NATS, f"log p(x) of the model's own x, annealed back; {what}"),
        "bdmc_width": Quantity(NATS, "bdmc_upper - bdmc_lower, example by example", "lower"),
        "bdmc_acceptance": Quantity("share", "of HMC's proposals, mean over both directions"),
    }

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        rows = annealing.rows_at_once(model, params, temperatures)

        def one(key: Array, example: Batch) -> dict[str, Array]:
            draw, pilot, up, back = jax.random.split(key, 4)
            z, x = draw_joint(model, params, draw, example)
            path = annealing.path_from(start, model, params, example._replace(x=x))
            kernel = annealing.tuned(path, pilot, temperatures, leapfrog_steps)
            upwards = partial(annealing.forward, path, kernel)
            backwards = partial(annealing.backward, path, kernel, z=z)
            lower = annealing.over_chains(upwards, up, chains, rows)
            upper = annealing.over_chains(backwards, back, chains, rows)
            low = annealing.log_mean(lower.log_weight)
            high = annealing.log_mean(-upper.log_weight)
            return {
                "bdmc_lower": low.value,
                "bdmc_upper": -high.value,
                "bdmc_width": -high.value - low.value,
                "bdmc_acceptance": (lower.acceptance.mean() + upper.acceptance.mean()) / 2,
                "bdmc_lower_effective_chains": low.size,
                "bdmc_upper_effective_chains": high.size,
            }

        return annealing.over_examples(one, keys, batch, chains, rows)

    held = 2 * annealing.work(temperatures, leapfrog_steps, chains)
    return Estimator(of_examples, quantities, _require, _summary, floats_per_example=held)


def _require(facts: Facts) -> None:
    annealing.require(facts)
    require_draws(facts)


def _summary(values: Values) -> dict[str, Number]:
    """The means, and what speaks against the width."""
    numbers = means(values)
    sizes = [values[f"bdmc_{end}_effective_chains"] for end in ("lower", "upper")]
    remark = annealing.doubts(np.minimum(*sizes), values["bdmc_acceptance"])
    width = numbers["bdmc_width"]
    if width.standard_error and width.mean < -5 * width.standard_error:
        remark = "bdmc: the upper bound lies below the lower one: a density or a kernel is wrong"
    return numbers | {"bdmc_width": width._replace(remark=remark)}
