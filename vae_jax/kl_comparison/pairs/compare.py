"""Every sampled estimator of KL(q || p) against the truth: bias, spread, coverage, time, rate."""

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import numpyro
from numpyro.distributions import Distribution

from vae_jax.batches.devices import compiled
from vae_jax.config import components
from vae_jax.errors import UserError, one_line
from vae_jax.kl_comparison.pairs import reference, verdicts
from vae_jax.kl_comparison.pairs.cells import Cell, cell, relative_to, slope
from vae_jax.kl_comparison.pairs.reference import Reference
from vae_jax.progress import Bar
from vae_jax.types import KLEstimator

BASELINE = "plain"
ELEMENTS = 2**20  # of z, drawn for an estimator and a K: a fraction of a second
AT_ONCE = 2**17  # of them in a call
CALLS, LEAST = 5, 60  # timed calls and repetitions, at least
ROUNDING = 10  # a standard deviation below this many times rounding's is no part of a rate


class EstimatorRow(NamedTuple):
    """An estimator, with its cells by K."""

    name: str
    cells: tuple[Cell, ...]
    left_out: str  # why there is no cell, or none for some K; empty where all are there
    slope: float  # of log standard deviation against log K
    slope_error: float
    verdict: str


class KLComparison(NamedTuple):
    """The KL of a pair, and each estimator of it."""

    q: str
    p: str
    truth: Reference
    quadrature: Reference | None  # beside a closed form
    rows: tuple[EstimatorRow, ...]
    approximations: dict[str, float]  # deterministic ones, of mixtures
    rounding: float  # of log q(z) - log p(z) in single precision
    threshold: float  # the p-value below which a mean counts as biased
    doubt: str  # why the truth itself is in doubt; empty where it is not
    seed: int


@numpyro.validation_enabled(False)
def compare(
    q: Distribution,
    p: Distribution,
    *,
    names: tuple[str, str] = ("q", "p"),
    estimators: Mapping[str, KLEstimator] | None = None,
    max_samples: int = 4096,
    repetitions: int = 1000,
    seed: int = 0,
    quiet: bool = False,
) -> KLComparison:
    """Every estimator at K = 1, 4, 16, ... against the truth, in single precision.

    Args:
        q: without batch axes.
        p: of the same event shape.
        names: what q and p are called.
        estimators: by name, all of `kl_estimators` if none are given.
        max_samples: the largest K is the last power of 4 up to this.
        repetitions: R at most; fewer where R x K x dimensions would be too many.
        seed: of all draws, which are the same for every estimator that makes them the same way.
        quiet: no progress on stderr.
    """
    repeat = functools.partial(_repeat, q, p, repetitions=repetitions, seed=seed)
    by_name, ks = estimators or _all_estimators(), _powers_of_4(max_samples)
    with Bar(1 + len(by_name) * len(ks), "value", "KL(q || p)", quiet=quiet) as bar:
        truth, rounding = reference.reference(q, p, seed), reference.rounding(q, p)
        bar.advance()
        studies = {
            name: _study(functools.partial(repeat, estimator), ks, truth, rounding, bar.advance)
            for name, estimator in by_name.items()
        }
    threshold = verdicts.threshold(sum(len(cells) for cells, _ in studies.values()))
    baseline = studies[BASELINE][0] if BASELINE in studies else ()
    rows = [
        EstimatorRow(
            name,
            relative_to(cells, baseline),
            left_out,
            *slope(cells, floor=ROUNDING * rounding),
            verdicts.verdict(cells, truth.method, threshold),
        )
        for name, (cells, left_out) in studies.items()
    ]
    return KLComparison(
        *names,
        truth,
        reference.quadrature(q, p) if truth.method == "closed form" else None,
        tuple(rows),
        reference.approximations(q, p),
        rounding,
        threshold,
        verdicts.doubt([row.cells for row in rows], truth.method, threshold),
        seed,
    )


def _all_estimators() -> dict[str, KLEstimator]:
    names = components.names("kl_estimators")
    return {name: components.build("kl_estimators", name) for name in names}


def _powers_of_4(most: int) -> list[int]:
    return [4**i for i in range(most.bit_length()) if 4**i <= most]


def _study(
    repeat: Callable[[int], tuple[np.ndarray, np.ndarray, float]],
    ks: Sequence[int],
    truth: Reference,
    rounding: float,
    on_cell: Callable[[], object],
) -> tuple[list[Cell], str]:
    """The cells of an estimator, and the reasons for those that are missing."""
    cells: list[Cell] = []
    reasons: dict[str, list[int]] = {}
    for k in ks:
        try:
            cells.append(cell(k, *repeat(k), truth, rounding))
        except (UserError, NotImplementedError) as error:  # the second is NumPyro's
            reasons.setdefault(one_line(error), []).append(k)
        on_cell()
    with_ks = [f"K = {', '.join(map(str, some))}: {why}" for why, some in reasons.items()]
    return cells, "; ".join(with_ks if cells else reasons)


def _repeat(
    q: Distribution,
    p: Distribution,
    estimator: KLEstimator,
    num_samples: int,
    *,
    repetitions: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Values and the errors they report, `[R]` each, and the seconds of one in the fastest call.

    Raises:
        UserError: where the estimator cannot estimate this KL with so few samples.
    """
    calls, batch = _calls(num_samples * max(1, math.prod(q.event_shape)), repetitions)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), num_samples), (calls, batch))
    many = jax.vmap(lambda key: estimator(key, q, p, num_samples))
    program = compiled(jax.jit(many), keys[0])
    estimates, seconds = [], []
    for some in keys:
        began = time.perf_counter()
        estimates.append(jax.block_until_ready(program(some)))
        seconds.append(time.perf_counter() - began)
    values, errors = (np.concatenate(parts).astype(float) for parts in zip(*estimates, strict=True))
    return values, errors, min(seconds) / batch


def _calls(elements: int, repetitions: int) -> tuple[int, int]:
    """The number of calls, and of repetitions in each; R is their product."""
    total = min(repetitions, max(LEAST, ELEMENTS // elements))
    batch = max(1, min(total // CALLS, AT_ONCE // elements))
    return math.ceil(total / batch), batch
