from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints
from scipy.stats import binom

from vae_jax.config.components import Family, Part, build
from vae_jax.errors import UserError
from vae_jax.estimators._classifier import LOOKS, classifier
from vae_jax.estimators._draws import draws, require_draws
from vae_jax.types import (
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
)

FEWEST = 4  # examples: two to learn from, two to judge
SURE = 0.01  # a smaller p says that samples can be told from data


def two_sample(
    *,
    network: Annotated[Part, Family("networks")] = "mlp(hidden=(200,), activation='relu')",
    updates: Annotated[int, constraints.integer_greater_than(LOOKS - 1)] = 2000,
) -> Estimator:
    """Whether a classifier tells the model's samples from the data (Lopez-Paz & Oquab 2017).

    One x ~ p(z) p(x|z) for each of the n examples. `network`, any that takes x, learns from half
    of both, drawn at random, which is which; the other half judges it. `two_sample_accuracy` is 1/2
    where model and data are one, and at most 1/2 plus half their total variation distance;
    `two_sample_p` is the one-sided probability of as many right answers by a coin.
    """
    how = f"of a network after {updates} updates, on the half that it did not see"
    quantities = {
        "two_sample_accuracy": Quantity("share", f"samples and data told apart {how}", "lower"),
        "two_sample_p": Quantity("probability", "of that accuracy or more by chance, binomial"),
    }
    classifying = build("networks", network)
    programs: dict[tuple[int, ...], Any] = {}

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        samples = draws(model, params, keys, batch)
        return {"_two_sample_x": batch.x, "_two_sample_draws": samples}

    def require(facts: Facts) -> None:
        require_draws(facts)
        classifying(facts.x_shape, (1,))

    def derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
        if facts.x_shape not in programs:
            programs[facts.x_shape] = classifier(classifying(facts.x_shape, (1,)), updates)
        pairs = [values["_two_sample_x"], values["_two_sample_draws"]]
        return {"_two_sample_right": _judged(programs[facts.x_shape], *pairs)}

    return Estimator(of_examples, quantities, require, _summary, derive)


def _judged(program: Any, x: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Whether each of the judged half, data and samples, was taken for what it is, as 0 or 1."""
    count = len(x)
    if count < FEWEST:
        raise UserError(f"two_sample learns from half: {FEWEST} examples are needed, not {count}")
    rng = np.random.default_rng(0)  # the order in which data is stored may say what it is of
    order, half = rng.permutation(count), count // 2
    learned, judged = order[:half], order[half:]
    mixed = rng.permutation(2 * half)
    both = np.concatenate([x[learned], samples[learned]]).astype(np.float32)[mixed]
    y = np.repeat([0.0, 1.0], half).astype(np.float32)[mixed]
    others = np.concatenate([x[judged], samples[judged]]).astype(np.float32)
    taken = np.asarray(program(*map(jnp.asarray, (both, y, others)))) > 0
    return (taken == np.repeat([False, True], len(judged))).astype(float)


def _summary(values: Values) -> dict[str, Number]:
    """The accuracy with its binomial error, and whether a coin would do as well."""
    right = values["_two_sample_right"]
    n, accuracy = len(right), float(right.mean())
    p = float(binom.sf(right.sum() - 1, n, 0.5))
    error = float(np.sqrt(accuracy * (1 - accuracy) / n))
    told = f"two_sample: a classifier is right about {accuracy:.1%} ± {error:.1%} (p = {p:.2g})"
    verdict = (
        "samples of the model can be told from the data"
        if p < SURE
        else "it finds no difference between samples of the model and data; another one may"
    )
    return {
        "two_sample_accuracy": Number(accuracy, error, n, remark=f"{told}: {verdict}"),
        "two_sample_p": Number(p, None, n),
    }
