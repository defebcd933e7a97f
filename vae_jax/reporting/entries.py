"""The numbers of a run, by the examples that they are of: differences are of one set of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.errors import counted
from vae_jax.estimators._best import BEST, best_of
from vae_jax.evaluation.warnings import of_given
from vae_jax.runs.results import Name, read_arrays, read_splits
from vae_jax.standard_errors import known_error

ROUNDING = 1e-9  # relative
LITTLE = 0.1  # nats, that are not told
GAPS = ("amortization_gap", "approximation_gap")
GAP = "log_p_minus_elbo"  # of the best log p(x) that the same evaluation had
SPLITS = ("test", "validation", "train")  # the first that was evaluated is told


class Amount(NamedTuple):
    """A mean and its standard error, which shows itself with the decimals that the error allows."""

    mean: float
    error: float | None = None  # None: of a single example, or none is known

    def __str__(self) -> str:
        if not self._known:
            return f"{self.mean:.0f}" if float(self.mean).is_integer() else f"{self.mean:.3g}"
        figures, power = f"{self._known:.1e}".split("e")
        digits = max(1, (figures[0] == "1") - int(power))  # two figures where the first is 1
        return f"{self.mean:.{digits}f} ± {self._known:.{digits}f}"

    @property
    def _known(self) -> float:
        """The error, 0 where it is not known or is rounding."""
        error = self.error or 0.0
        return error if math.isfinite(error) and error > ROUNDING * abs(self.mean) else 0.0

    @property
    def is_positive(self) -> bool:
        """Whether it is over zero by more than two standard errors."""
        return self.mean > 2 * self._known


class Entry(NamedTuple):
    """An entry of `results.json`: numbers of one set of examples, and arrays over these."""

    name: str  # `test`, `first 100 of test`
    results: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The records by name."""
        return self.results.get("numbers", {})

    @property
    def size(self) -> int:
        """How many examples they are."""
        return int(self.results.get("num_examples", 0))

    @property
    def is_part(self) -> bool:
        """Whether they are the first of a split alone."""
        return Name.read(self.name).first is not None

    @property
    def log_p(self) -> str:
        """The words for what its bounds are on."""
        return of_given("log p(x)", self.results)

    @property
    def split(self) -> tuple[str, str]:
        """The split, and the data that it is of where this is not the run's."""
        return Name.read(self.name)[::2]

    @property
    def examples(self) -> str:
        """`test (10,000 examples)` or `first 100 of test`, the head of a column."""
        return self.name if self.is_part else f"{self.name} ({counted_in_words(self.size)})"

    @property
    def where(self) -> str:
        """The same within a sentence: `the first 100 of test`."""
        return f"the {self.name}" if self.is_part else self.examples

    @property
    def best(self) -> str | None:
        """The best log p(x) of it; one that carries a doubt counts only without another."""
        means = {name: self.numbers[name]["mean"] for name in BEST if name in self.numbers}
        unsure = [n for n in ("log_p_quadrature",) if self.numbers.get(n, {}).get("remark")]
        sure = {name: mean for name, mean in means.items() if name not in unsure}
        return best_of(sure) or best_of(means) or None

    def amount(self, name: str) -> Amount:
        """A number of it with its error."""
        number = self.numbers[name]
        return Amount(number["mean"], number.get("standard_error"))

    def difference(self, name: str, other: str) -> Amount:
        """`name` minus `other`: paired over examples where the arrays are there, else no error."""
        pair = self.arrays.get(name), self.arrays.get(other)
        if pair[0] is not None and pair[1] is not None and pair[0].shape == pair[1].shape:
            apart = pair[0] - pair[1]
            return Amount(float(apart.mean()), known_error(apart))
        return Amount(self.amount(name).mean - self.amount(other).mean)

    @property
    def gap(self) -> Amount | None:
        """The best log p(x) minus the ELBO; None where one of them is missing."""
        if self.best is None or "elbo" not in self.numbers:
            return None
        gap, known = self.difference(self.best, "elbo"), self.numbers.get(GAP)
        if gap.error is None and known and math.isclose(gap.mean, known["mean"], rel_tol=1e-4):
            return self.amount(GAP)
        return gap

    @property
    def shares(self) -> tuple[Amount, Amount] | None:
        """The two gaps; None if they are of another log p(x), or of one below the best q's ELBO."""
        if self.gap is None or not all(name in self.numbers for name in GAPS):
            return None
        shares = self.amount(GAPS[0]), self.amount(GAPS[1])
        off = self.gap.mean - sum(share.mean for share in shares)
        return shares if abs(off) < LITTLE and shares[1].mean > 0 else None

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """The names of its numbers that match one of the patterns, in the order of these."""
        return [n for p in patterns for n in self.numbers if fnmatchcase(n, p)]


def counted_in_words(count: int) -> str:
    """`10,000 examples`, `1 example`."""
    return counted(count, "example").replace(str(count), f"{count:,}", 1)


def read_entries(workdir: Path) -> list[Entry]:
    """The entries of a run's `results.json`, each with its arrays; damaged arrays are left out."""
    entries = []
    for name, results in read_splits(workdir).items():
        path = workdir / results.get("arrays", f"per_example/{name}.npz")
        entries.append(Entry(name, results, read_arrays(path) or {}))
    return entries


def told(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of the split that a page tells, that of most examples first.

    The test split goes before the others. An entry is left out where one of more examples has all
    its numbers.
    """
    ranked = {name: i for i, name in enumerate(SPLITS)}
    splits = sorted({e.split for e in entries}, key=lambda s: (s[1], ranked.get(s[0], 9), s))
    mine = sorted((e for e in entries if [e.split] == splits[:1]), key=lambda e: -e.size)
    return [e for i, e in enumerate(mine) if not any(_covers(more, e) for more in mine[:i])]


def _covers(more: Entry, entry: Entry) -> bool:
    return entry.numbers.keys() <= more.numbers.keys()


def richest(entries: Iterable[Entry], names: Sequence[str], needed: str = "") -> Entry | None:
    """The entry with most of the numbers; of those with as many, that of most examples.

    Args:
        entries: of one split.
        names: of the numbers.
        needed: one of them that it must have; empty: any.
    """
    held = {e.name: sum(name in e.numbers for name in names) for e in entries}
    able = [e for e in entries if held[e.name] and (not needed or needed in e.numbers)]
    return max(able, key=lambda e: (held[e.name], e.size), default=None)
