from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from vae_jax.divergences.layers import require_few_layers
from vae_jax.errors import UserError
from vae_jax.estimators._baselines import by_means, by_neighbours, training_x
from vae_jax.estimators._imputing import impute
from vae_jax.estimators._rows import decoded_rows
from vae_jax.types import (
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Shape,
    Values,
    means,
)
from vae_jax.weights import log_likelihood

OF_MASK = 2**32 - 5  # the number of the key that hides values; those of z count from 0
Pattern = Literal["random", "lower_half", "upper_half", "left_half", "right_half"]
SIDES: Mapping[str, tuple[int, bool]] = {  # axis of x, whether its second half
    "lower_half": (0, True),
    "upper_half": (0, False),
    "left_half": (1, False),
    "right_half": (1, True),
}
RMSE, WRONG, ENTROPY = "imputation_rmse", "imputation_errors", "imputation_nats"
UNITS = {RMSE: "units of x", WRONG: "share of bits", ENTROPY: "nats per bit"}
UNTOLD = {(ENTROPY, "_draw"), (ENTROPY, "_knn")}  # infinite, where 0 or 1 is wrong
LEAST = 1e-6  # probability of a bit
SURE = 3  # standard errors


def imputation(
    *,
    hidden: Annotated[float, constraints.open_interval(0.0, 1.0)] = 0.5,
    pattern: Pattern = "random",
    num_samples: Annotated[int, constraints.positive_integer] = 200,
    neighbours: Annotated[int, constraints.positive_integer] = 5,
    train_examples: Annotated[int, constraints.positive_integer] = 1000,
) -> Estimator:
    """The error of imputed values that were hidden on purpose, beside that of simpler ways.

    Of what was observed of an example, the share `hidden` is hidden at random, or a half of x by
    `pattern`; the model fills it in by E[x_hidden | x_seen] from `num_samples` importance-weighted
    draws (Mattei & Frellsen 2019), and, as `draw`, by one draw of p(x_hidden | x_seen). The same
    values are filled in by the training means, and by the mean of the nearest `neighbours` of
    `train_examples` (scikit-learn's SimpleImputer and KNNImputer). `imputation_rmse` is the root
    of the mean square over all hidden values, in units of x. Of bits there are also
    `imputation_errors`, the share that is on the wrong side of 1/2, and `imputation_nats`,
    the cross-entropy of a hidden bit by itself.
    """

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        seen = jnp.ones(batch.x.shape, bool) if batch.observed is None else batch.observed
        hide = jax.vmap(partial(_mask, hidden, pattern, batch.x.shape[1:]))(keys) & seen
        kept = seen & ~hide
        left = Batch(jnp.where(hide, 0.0, batch.x), batch.given, kept)
        sizes = {"num_samples": num_samples, "num_draws": 1, "rows": decoded_rows(model, params)}
        by_model = impute(model, params, keys, left, **sizes)
        return {
            "imputation_sample_size": by_model.effective_sample_size,
            "_imputation_x": batch.x,
            "_imputation_seen": kept.astype(float),
            "_imputation_hidden": hide.astype(float),
            "_imputation_model": by_model.mean,
            "_imputation_draw": by_model.draws[:, 0],
        }

    part = f"a random {hidden:.0%}" if pattern == "random" else f"the {pattern.replace('_', ' ')}"
    how = f"{part} of x hidden"
    names = {
        "": f"E[x_hidden|x_seen] by importance sampling, K = {num_samples}",
        "_draw": f"a draw of p(x_hidden|x_seen), K = {num_samples}",
        "_means": "the means of the training set",
        "_knn": f"the nearest {neighbours} of at most {train_examples} training examples",
    }
    quantities = {f"{n}{way}": Quantity(unit, f"{how}, filled in by {text}", "lower")
                  for n, unit in UNITS.items() for way, text in names.items()
                  if (n, way) not in UNTOLD}  # fmt: skip
    quantities["imputation_sample_size"] = Quantity(
        "draws", f"(sum w)^2 / sum w^2 of {num_samples} weights given x_seen, {how}"
    )
    derive = partial(_derive, neighbours=neighbours, count=train_examples)
    floats = 3 * num_samples
    return Estimator(of_examples, quantities, partial(_require, pattern), _summary, derive, floats)


def _mask(hidden: float, pattern: str, shape: Shape, key: Array) -> Array:
    """Which elements of an example are hidden, `[*x_shape]`."""
    if pattern == "random":
        return jax.random.bernoulli(jax.random.fold_in(key, OF_MASK), hidden, shape)
    axis, is_second = SIDES[pattern]
    place = jnp.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return jnp.broadcast_to((place >= shape[axis] // 2) == is_second, shape)


def _require(pattern: str, facts: Facts) -> None:
    require_few_layers(facts, "imputation takes")
    if pattern in SIDES and len(facts.x_shape) <= SIDES[pattern][0]:
        raise UserError(f"pattern={pattern!r} is of images: x has shape {list(facts.x_shape)}")
    if facts.split == "train":
        raise UserError("values of examples that were trained on are no test: --split=test")
    if not facts.is_own:
        raise UserError("the training set is not there: evaluate the run's own data, no --data")
    if facts.dataset is None or "train" not in facts.dataset.splits:
        raise UserError("the training set is not there, of which the simpler ways are")
    z = jax.ShapeDtypeStruct(facts.prior.event_shape, jnp.float32)
    seen: Any = jax.ShapeDtypeStruct(facts.x_shape, jnp.bool_)
    example = facts.example._replace(observed=seen)
    jax.eval_shape(partial(log_likelihood, facts.model), facts.params, z, example)


def _derive(facts: Facts, values: Values, *, neighbours: int, count: int) -> dict[str, np.ndarray]:
    """The errors of each way to fill in, summed over the hidden values of an example, `[n]`."""
    assert facts.dataset is not None  # `_require` has seen it
    x, seen, hidden = (_flat(values[f"_imputation_{n}"]) for n in ("x", "seen", "hidden"))
    train, gaps = training_x(facts.dataset), np.where(seen > 0, x, np.nan)
    ways = {
        "": _flat(values["_imputation_model"]),
        "_draw": _flat(values["_imputation_draw"]),
        "_means": by_means(train, gaps),
        "_knn": by_neighbours(train[:count], gaps, min(neighbours, len(train[:count]))),
    }
    arrays = {"_imputation_count": hidden.sum(1)}
    is_bits = np.isin(x[hidden > 0], (0, 1)).all()
    for way, filled in ways.items():
        arrays[f"_{RMSE}{way}"] = ((filled - x) ** 2 * hidden).sum(1)
        if is_bits:
            arrays[f"_{WRONG}{way}"] = (((filled > 0.5) != (x > 0.5)) * hidden).sum(1)
            arrays[f"_{ENTROPY}{way}"] = (_surprise(filled, x) * hidden).sum(1)
    return arrays


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _surprise(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """-log of the probability of each bit, nats."""
    p = np.clip(p, LEAST, 1 - LEAST)
    return -np.where(x > 0.5, np.log(p), np.log1p(-p))


def _summary(values: Values) -> dict[str, Number]:
    """The numbers over all hidden values, with errors over examples."""
    count = values["_imputation_count"]
    size = values["imputation_sample_size"]
    numbers = means({"imputation_sample_size": size})
    if not count.sum():
        return numbers
    for name in UNITS:
        for way in ("", "_draw", "_means", "_knn"):
            if (name, way) not in UNTOLD and f"_{name}{way}" in values:
                numbers[f"{name}{way}"] = _ratio(values[f"_{name}{way}"], count, name == RMSE)
    remark = _remark(values, numbers)
    return numbers | {RMSE: numbers[RMSE]._replace(remark=remark)}


def _ratio(total: np.ndarray, count: np.ndarray, root: bool) -> Number:
    """sum(total) / sum(count), or its root, with its error over examples by the delta method."""
    n, mean = len(total), float(total.sum() / count.sum())
    error = (
        float(np.std(total - mean * count, ddof=1) / np.sqrt(n) / count.mean()) if n > 1 else None
    )
    if not root:
        return Number(mean, error, n)
    value = float(np.sqrt(mean))
    return Number(value, error / (2 * value) if error is not None and value else error, n)


def _remark(values: Values, numbers: Mapping[str, Number]) -> str:
    """A line on whether the model fills in better than the better one of the simpler ways."""
    simple = {"_means": "training means", "_knn": "nearest neighbours"}
    best = min(simple, key=lambda way: numbers[f"{RMSE}{way}"].mean)
    apart = values[f"_{RMSE}{best}"] - values[f"_{RMSE}"]
    error = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.inf
    far = apart.mean() / error if error else 0.0
    verdict = "lower" if far > SURE else "higher" if far < -SURE else "not different for sure"
    mine, theirs = (numbers[f"{RMSE}{way}"].mean for way in ("", best))
    return f"imputation: the error is {mine:.3g}, by {simple[best]} {theirs:.3g}: {verdict}"
