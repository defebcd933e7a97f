"""The condition of a model: named in a config, taken from a data set."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vae_jax.batches.splits import example_name
from vae_jax.brought import Coding
from vae_jax.config.calls import parse
from vae_jax.errors import UserError, counted, unknown
from vae_jax.types import Dataset

LABELS = "labels"


class Given(NamedTuple):
    """A condition: its name in the data, and the size in which networks see it; 0: as it is."""

    name: str
    embedding: int = 0

    @classmethod
    def read(cls, text: str) -> "Given | None":
        """`labels`, `age` or `labels(embedding=8)`; None for an empty text.

        Raises:
            UserError: for another argument, or an embedding that is no size.
        """
        if not text:
            return None
        name, arguments = parse(text)
        size = arguments.get("embedding", 0)
        for argument in arguments.keys() - {"embedding"}:
            raise unknown("argument of given", argument, ["embedding"])
        if type(size) is not int or size < 0:
            raise UserError(f"embedding={size!r}: a whole number is needed, 0 for none")
        return cls(name, size)


def conditioned(dataset: Dataset, text: str, coding: Coding | None = None) -> Dataset:
    """The data set with what its examples are conditioned on.

    Args:
        dataset: with labels and covariates.
        text: as `Given.read` has it; empty: nothing.
        coding: of a run, for other data; None: that of the training split.

    Raises:
        UserError: where the data has no such labels or covariate for a split, or not one for each
            example.
    """
    if (given := Given.read(text)) is None:
        return dataset
    by_split = _by_split(dataset, given.name)
    for split, x in dataset.splits.items():
        if split not in by_split:
            raise UserError(f"given={given.name}: the {split} split has none")
        if len(by_split[split]) != len(x):
            sizes = f"{len(by_split[split])} for {len(x)} examples"
            raise UserError(f"given={given.name}: the {split} split has {sizes}")
    coding = coding or Coding.of(given.name, by_split["train"])
    name_of = partial(example_name, dataset)
    codes = {s: coding.codes(by_split[s], partial(name_of, s)) for s in dataset.splits}
    return dataset._replace(given=codes, coding=coding)


def _by_split(dataset: Dataset, name: str) -> dict[str, Any]:
    there = {LABELS: dataset.labels} if dataset.labels else {}
    there |= dataset.covariates
    if name not in there:
        if not there:
            raise UserError(f"given={name}: this data has neither labels nor other columns")
        raise unknown("condition", name, there)
    return {split: np.asarray(values) for split, values in there[name].items()}


def written(coding: Coding | None, text: str) -> Any:
    """A condition as it was brought, of its text: the name of a class, or numbers with commas.

    Raises:
        UserError: for other numbers than the condition has.
    """
    if coding is None or coding.classes is not None:
        return text
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != coding.size:
        raise UserError(f"given={text}: {counted(coding.size, 'number')} of {coding.name!r} needed")
    return np.array([numbers])
