import numpy as np
from scipy.stats import mannwhitneyu

from vae_jax.errors import UserError
from vae_jax.estimators._draws import draws, require_draws
from vae_jax.estimators._neighbours import nearest
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
    means,
)

SURE = 0.01  # a smaller p is no chance
RANKS = "Mann-Whitney, ties counted half"


def memorization() -> Estimator:
    """Whether samples are nearer to the training set than data that was held out.

    One x ~ p(z) p(x|z) for each evaluated example. d is the Euclidean distance to the nearest
    training example, all x as the model sees it: bits to bits. `nearer_than_test` is P(d(sample) <
    d(example)), 1/2 if the samples are as the data, more if they copy (the global test of Meehan,
    Chaudhuri & Dasgupta 2020), less if they are off; its error is that of a U statistic.
    """
    quantities = {
        "nearer_than_test": Quantity(
            "probability", f"a sample is nearer to the training set than an example; {RANKS}"
        ),
        "nearer_than_test_p": Quantity("probability", f"of that or more by chance; {RANKS}"),
        "exact_copies": Quantity("share", "of the samples that equal a training example", "lower"),
        "exact_copies_of_test": Quantity("share", "of the examples that equal a training example"),
        "sample_to_train": Quantity("distance of x", "of samples to the nearest training example"),
        "test_to_train": Quantity("distance of x", "of examples to the nearest training example"),
    }

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        samples = draws(model, params, keys, batch)
        return {"_memorization_x": batch.x, "_memorization_draws": samples}

    return Estimator(of_examples, quantities, _require, _summary, _derive)


def _require(facts: Facts) -> None:
    require_draws(facts)
    if facts.split == "train":
        raise UserError("samples are compared with data that was not trained on: --split=test")
    if not facts.is_own:
        raise UserError("the training set is not there: evaluate the run's own data, no --data")
    if facts.dataset is not None and facts.dataset.missing:
        raise UserError("distances to the training set need x without missing values")
    if facts.dataset is None or "train" not in facts.dataset.splits:
        raise UserError("the training set is not there, to which distances would be")


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """Distances, and for each sample the share of the examples that are farther from the set."""
    assert facts.dataset is not None  # `_require` has seen it
    x, samples = values["_memorization_x"], values["_memorization_draws"]
    every = nearest(facts.dataset, np.concatenate([samples, x]).astype(np.float32))
    sample, test = every[: len(x)], every[len(x) :]
    return {
        "sample_to_train": sample,
        "test_to_train": test,
        "exact_copies": (sample == 0).astype(float),
        "exact_copies_of_test": (test == 0).astype(float),
        "nearer_than_test": 1 - _share_below(test, sample),
        "_nearer_than_test_of_test": _share_below(sample, test),
    }


def _share_below(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The share of the values that are below each of others, ties counted half."""
    values = np.sort(values)
    sides = [np.searchsorted(values, of, side) for side in ("left", "right")]
    return np.add(*sides) / (2 * len(values))


def _summary(values: Values) -> dict[str, Number]:
    """The means; that of the ranks has the errors of both sets of distances in it."""
    numbers, n = means(values), len(values["nearer_than_test"])
    ranks = (values["nearer_than_test"], values["_nearer_than_test_of_test"])
    share = numbers["nearer_than_test"].mean
    error = float(np.sqrt(sum(r.var(ddof=1) / n for r in ranks))) if n > 1 else None
    sides = values["sample_to_train"], values["test_to_train"]
    p = float(mannwhitneyu(*sides, alternative="less", method="asymptotic").pvalue)
    copies = [numbers[name].mean for name in ("exact_copies", "exact_copies_of_test")]
    told = f"memorization: of {share:.1%} of pairs the sample is nearer to the training set"
    remark = f"{told} than the test example (p = {p:.2g}): {_verdict(p)}{_copies(*copies)}"
    number = Number(share, error, n, remark=remark)
    return numbers | {"nearer_than_test": number, "nearer_than_test_p": Number(p, None, n)}


def _verdict(p: float) -> str:
    if p < SURE:
        return "the model copies"
    if p > 1 - SURE:
        return "samples are off the data, and no sign of copies"
    return "no sign of copies"


def _copies(samples: float, test: float) -> str:
    if not samples:
        return ""
    told = f"{samples:.1%} of the samples equal a training example"
    return f"; {told}, as do {test:.1%} of the test data"
