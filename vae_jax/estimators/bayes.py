from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, logsumexp

from vae_jax.config.components import Family, Part, build
from vae_jax.errors import UserError
from vae_jax.estimators._grid import density_of, name_of_log_p
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Params,
    Quantity,
    Values,
)


def bayes(
    *,
    log_p: Annotated[Part, Family("estimators")] = "importance(num_samples=100, iwae_samples=())",
) -> Estimator:
    """p(y | x) = p(x | y) p(y) / p(x) of a model given a class, for all classes.

    p(y) are the shares of the training split, and `log_p` estimates log p(x | y) of each class by
    the same draws. Reported are log p(y | x) of the class that an example has, the accuracy of the
    most probable class, and log p(x) = log sum_y p(y) p(x | y), which is comparable with that of a
    model that is given nothing. One pass per class.
    """
    estimator = build("estimators", log_p)()

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def of_class(y: Array) -> Array:
            given = jnp.broadcast_to(y, batch.given.shape)
            values = estimator.of_examples(model, params, keys, batch._replace(given=given))
            return density_of(estimator, values).log_p

        classes = jnp.eye(batch.given.shape[-1])
        each = jax.lax.map(of_class, classes)
        return {"_bayes_given": batch.given, "log_p_by_class": each.T}

    quantities = {
        "log_p_label": Quantity(NATS, "log p(y|x) of the class y there is, by Bayes' rule"),
        "accuracy": Quantity("share", "of examples whose class is the most probable", "higher"),
        "log_p_marginal": Quantity(NATS, "log sum_y p(y) p(x|y)", "higher"),
    }
    held = estimator.floats_per_example
    return Estimator(
        of_examples, quantities, partial(_require, estimator), derive=_derive,
        floats_per_example=held,
    )  # fmt: skip


def _require(estimator: Estimator, facts: Facts) -> None:
    if not name_of_log_p(estimator):
        raise UserError("log_p is an estimator that gives log p(x), as importance does")
    coding = facts.dataset.coding if facts.dataset else None
    if facts.model.given_shape is None:
        raise UserError("p(y|x) is of a model that is given a class: config.given='labels'")
    if coding is None or coding.classes is None:
        raise UserError("p(y|x) is of classes: this model is given numbers")
    estimator.require(facts)


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """Bayes' rule for each example, `[n]`."""
    assert facts.dataset is not None  # `_require` has seen both
    assert facts.dataset.coding is not None
    log_joint = values["log_p_by_class"] + np.log(facts.dataset.coding.shares)
    is_class = values["_bayes_given"] > 0
    return {
        "log_p_label": log_softmax(log_joint, axis=1)[is_class],
        "accuracy": is_class[np.arange(len(log_joint)), log_joint.argmax(1)].astype(float),
        "log_p_marginal": logsumexp(log_joint, axis=1),
    }
