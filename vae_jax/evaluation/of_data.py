"""Numbers that a data set makes possible: its own density, and log-probabilities of its levels."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_jax.brought import Standardization
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Dataset,
    Estimator,
    Facts,
    Model,
    Params,
    Quantity,
    Values,
)

LOG_P_DATA = Quantity(
    NATS, "the density the data was simulated from", label="the data's own density"
)
OF_LEVELS = {
    "log_p_levels": Quantity(
        NATS,
        "log_p of stored levels; of a density, a lower bound: + D ln bin width",
        better="higher",
        of_levels=True,
    ),
    "bits_per_dim": Quantity(
        "bits",
        "-log_p, or -log_p_levels, / (ln 2 x dimensions of x, those observed)",
        better="lower",
        of_levels=True,
    ),
    "bits_per_dim_elbo": Quantity(
        "bits", "-elbo / (ln 2 x dimensions of x)", better="lower", of_levels=True
    ),
}

LOG_P_BROUGHT = Quantity(
    NATS, "log p of the values as they were brought: log_p + ln |dx / d brought|", better="higher"
)


def of_data(dataset: Dataset) -> list[Estimator]:
    """The estimators that only this data set can have; they are computed unasked."""
    counted = _observed if dataset.missing else _no_values
    levels = Estimator(counted, OF_LEVELS, derive=partial(_of_levels, dataset.bin_width))
    known = [levels]
    if (done := dataset.standardization) is not None:
        brought = partial(_of_brought, done.log_jacobian)
        scales = partial(_observed_log_scales, done) if dataset.missing else _no_values
        known.append(Estimator(scales, {"log_p_brought": LOG_P_BROUGHT}, derive=brought))
    log_prob = dataset.log_prob if dataset.coding is None else dataset.log_prob_given
    if log_prob is None or dataset.missing:
        return known

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        return {"log_p_data": log_prob(batch.x, *batch.conditions)}

    return [Estimator(of_examples, {"log_p_data": LOG_P_DATA}), *known]


def _observed(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
    """The number of elements that were observed, `[batch]`."""
    assert batch.observed is not None  # the data set has missing values
    return {"_observed": batch.observed.sum(range(1, batch.observed.ndim)).astype(float)}


def _no_values(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
    return {}


def _of_brought(log_jacobian: float, facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The log density in the units in which the data was brought; a mass has no units."""
    if "log_p" not in values or facts.likelihood.support.is_discrete:
        return {}
    return {"log_p_brought": values["log_p"] + values.get("_log_jacobian", log_jacobian)}


def _observed_log_scales(
    done: Standardization, model: Model, params: Params, keys: Array, batch: Batch
) -> dict[str, Array]:
    """ln |dx / d brought| of the elements that were observed, `[batch]`."""
    assert batch.observed is not None  # the data set has missing values
    log_scale = jnp.asarray(np.log(done.scale), jnp.float32)
    axes = range(1, batch.observed.ndim)
    return {"_log_jacobian": -jnp.where(batch.observed, log_scale, 0.0).sum(axes)}


def _of_levels(width: float | None, facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The log-probability of what is stored, and bits per dimension, where log p(x) is that.

    A density of dequantized data is: the mass of a bin is, by Jensen's inequality, at least its
    volume times exp E log p (Theis et al. 2016). `width` is that of a bin, None without levels.
    """
    dimensions: Any = np.prod(facts.x_shape)
    if "_observed" in values:
        dimensions = np.maximum(values["_observed"], 1)
    if "log_p" not in values and "elbo" in values and facts.likelihood.support.is_discrete:
        return {"bits_per_dim_elbo": -values["elbo"] / np.log(2) / dimensions}
    if "log_p" not in values or not values["in_support"].all():
        return {}
    log_p = values["log_p"]
    if facts.likelihood.support.is_discrete:
        levels = {} if width is None else {"log_p_levels": log_p}
    elif width is None or width == 1:
        return {}
    else:
        log_p = log_p + dimensions * np.log(width)
        levels = {"log_p_levels": log_p}
    return levels | {"bits_per_dim": -log_p / np.log(2) / dimensions}
