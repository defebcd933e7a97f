"""A run with the test examples that its figures show, and how x is shown."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution

from vae_jax import plots
from vae_jax.batches.conditions import written
from vae_jax.batches.keys import example_keys
from vae_jax.batches.rows import gather, rows_of
from vae_jax.batches.splits import codes_of, present, x_shape
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch

SPLIT = "test"
COUNTS = 50  # a largest count from which axes are logarithmic
Unit = Callable[[Any], np.ndarray]


class View(NamedTuple):
    """A run and the examples that its figures show."""

    run: Run
    batch: Batch  # test examples: of one condition, where that is asked for and some have it
    rows: np.ndarray  # [n], which of the split they are
    given: Array | None = None  # the condition `[G]` of all that is drawn; None: the examples'
    told: str = ""  # `, given labels=3`

    @property
    def x(self) -> np.ndarray:
        """x `[n, *x_shape]`, NaN where it was not observed."""
        x = np.asarray(self.batch.x)
        return x if self.batch.observed is None else np.where(self.batch.observed, x, np.nan)

    @property
    def is_image(self) -> bool:
        """Whether x is shown as an image."""
        return plots.is_image(x_shape(self.run.dataset))

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of the examples `[n]`, where there are some."""
        labels = self.run.dataset.labels.get(SPLIT)
        return None if labels is None else np.asarray(labels)[self.rows]

    def first(self, count: int) -> Batch:
        """The first examples."""
        return jax.tree.map(lambda array: array[:count], self.batch)

    def conditions(self, count: int) -> tuple[Array, ...]:
        """Conditions `[count, G]` of what is drawn, in a tuple; empty where there are none."""
        if self.batch.given is None:
            return ()
        each = self.batch.given if self.given is None else self.given[None]
        return (jnp.resize(each, (count, each.shape[-1])),)

    @property
    def condition(self) -> tuple[Array, ...]:
        """One condition `[G]` in a tuple: the one asked for, or that of the first example."""
        return tuple(each[0] for each in self.conditions(1))

    def decode(self, z: Array, conditions: tuple[Array, ...]) -> Distribution:
        """p(x | z)."""
        return self.run.model.decode(self.run.params, z, *conditions)

    def prior(self, conditions: tuple[Array, ...]) -> Any:
        """p(z)."""
        return self.run.model.prior(self.run.params, *conditions)

    def unit(self, images: Any) -> np.ndarray:
        """Images in [0, 1]: greys as they are, levels by the largest in sight; 0.5 for NaN."""
        low, high = min(0.0, float(np.nanmin(self.x))), max(1.0, float(np.nanmax(self.x)))
        return np.nan_to_num((np.asarray(images) - low) / (high - low), nan=0.5)

    def brought(self, x: Any) -> np.ndarray:
        """Vectors `[n, d]` in the units that were brought, where they were standardized."""
        done = self.run.dataset.standardization
        return flat(np.asarray(x) if done is None else done.undo(x))

    @property
    def units(self) -> str:
        """The words for them."""
        return (
            "" if self.run.dataset.standardization is None else ", in the units that were brought"
        )

    @property
    def shown(self) -> list[int]:
        """The two elements of vectors that vary most."""
        variance = np.nan_to_num(np.nanvar(flat(self.x), axis=0))
        return sorted(np.argsort(-variance, kind="stable")[:2].tolist())

    @property
    def elements(self) -> str:
        """The words for the elements of vectors that are shown, where there are more."""
        return ": the two elements that vary most" if flat(self.x).shape[1] > 2 else ""

    @property
    def names(self) -> list[str]:
        """The names of the elements of vectors."""
        size = flat(self.x).shape[1]
        named = list(self.run.dataset.names)
        return named if len(named) == size else [f"$x_{{{i + 1}}}$" for i in range(size)]

    def are_counts(self, *others: np.ndarray) -> bool:
        """Whether vectors, and what else is shown, are of counts that reach far."""
        values, has_levels = self.x, hasattr(self.run.model.accepts, "upper_bound")
        seen = values[~np.isnan(values)]
        are_counts = bool((seen >= 0).all() and (seen % 1 == 0).all())
        return are_counts and not has_levels and min(a.max() for a in (seen, *others)) > COUNTS


def flat(x: Any) -> np.ndarray:
    """Examples `[n, ...]` as vectors `[n, d]`."""
    return np.asarray(x).reshape(len(x), -1)


def view_of(run: Run, key: Array, most: int, given: str | None = None) -> View:
    """The first test examples, at most so many; of one condition, where that is given.

    Args:
        run: the run.
        key: of what is drawn as x is made.
        most: examples.
        given: a condition as text, of what is drawn.

    Raises:
        UserError: for a condition that the model does not have.
    """
    dataset = run.dataset
    data, rows = rows_of(dataset, SPLIT), np.arange(len(dataset.splits[SPLIT]))
    condition, told = None, ""
    if given is not None:
        codes = codes_of(dataset, written(dataset.coding, given), 1)
        assert dataset.coding is not None
        condition = dataset.coding.expand(jnp.asarray(codes))[0]
        told = f", given {dataset.coding.name}={given}"
        is_same = np.asarray(dataset.given[SPLIT]) == codes[0]
        same = np.flatnonzero(is_same.reshape(len(rows), -1).all(1))
        rows = same if len(same) else rows
    rows = rows[:most]
    raw = jax.tree.map(jnp.asarray, gather(data, rows))
    _, batch = present(dataset, example_keys(key, jnp.asarray(rows)), raw)
    return View(run, batch, rows, condition, told)
