"""A run -> its numbers: a list of estimators in one exact pass over a split."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax import hosts
from vae_jax.batches.devices import compiler_options, copy_to_devices, fitting_devices, mesh_for
from vae_jax.batches.few_values import advice, few_values
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.passes import exact_pass
from vae_jax.batches.rows import first, gather, rows_of
from vae_jax.batches.splits import present
from vae_jax.config import components
from vae_jax.config.ranges import require
from vae_jax.errors import UserError, unknown
from vae_jax.evaluation.asked import WHERE_POSSIBLE, asked_estimators
from vae_jax.evaluation.numbers import Results, numbers, require_distinct, require_examples
from vae_jax.evaluation.of_data import of_data
from vae_jax.evaluation.of_layers import of_layers
from vae_jax.evaluation.warnings import warnings
from vae_jax.progress import Bar, said_when_late
from vae_jax.runs.agreement import agreement
from vae_jax.runs.chunks import Chunks
from vae_jax.runs.data import warn_of_other_x
from vae_jax.runs.parts import Parts
from vae_jax.runs.run import Run
from vae_jax.runs.state import num_parameters
from vae_jax.runs.stored import fingerprint
from vae_jax.types import Array, Dataset, Estimator, Facts, Params, Values
from vae_jax.weights import filled

IN_FLIGHT = 2**25  # numbers of estimators held at a time, 128 MiB each of two terms


def evaluate(
    run: Run,
    split: str = "test",
    *,
    estimators: str | Sequence[str] | None = None,
    num_importance_samples: int | None = None,
    iwae_samples: tuple[int, ...] | None = None,
    quadrature_points: int | None = None,
    num_examples: int | None = None,
    batch_size: int = 100,
    seed: int = 0,
    quiet: bool = False,
) -> Results:
    """The numbers that a list of estimators give of a split, paired: all see the same draws.

    Neither `batch_size` nor the number of devices changes a result beyond rounding: draw k of
    example i is a function of (seed, i, k).

    Args:
        run: the run.
        split: train, validation or test.
        estimators: `"importance(num_samples=5000)|quadrature(points=300)"`, or a list of such; by
            default `importance`, with ELBO and log p(x). Beside them come, where they are possible,
            the KL in closed form, an exact log p(x), and what the data set knows of itself.
        num_importance_samples: short for `importance(num_samples=...)`, K draws of z per example.
        iwae_samples: short for `importance(iwae_samples=...)`, the k of the IWAE bounds.
        quadrature_points: short for `quadrature(points=...)` beside it; 0: none.
        num_examples: the first of the split, for estimators that take long; None: all.
        batch_size: examples evaluated together.
        seed: of the draws of z and of dynamic binarization.
        quiet: no progress on stderr.

    Returns:
        the content of `results.json` for a split, and under `per_example` the arrays `[n, ...]`, in
        a dict that shows itself as a table.

    Raises:
        UserError: for a split that is not there, more examples than it has, or an estimator that
            cannot be computed.
    """
    asked = asked_estimators(estimators, num_importance_samples, iwae_samples, quadrature_points)
    _require_possible(run.dataset, split, batch_size, seed)
    count, began = _count(run.dataset, split, num_examples), time.monotonic()
    facts = _facts_of(run.facts, run.dataset, split, is_own=run.other_data is None)
    chosen = _chosen(asked, facts)
    every = chosen | _unasked(run.dataset, facts)
    kept = _kept(run, split, count, chosen, seed)
    examined = _pass(run, split, count, chosen, batch_size, seed, quiet, kept)
    values = _with_derived(every, facts, examined)
    probability = "mass" if facts.likelihood.support.is_discrete else "density"
    doubts = _doubts(run, split, values, probability)
    results = Results(
        {
            "warning": "; ".join(warnings(doubts)) or None,
            **doubts,
            "num_examples": count,
            "is_all": count == len(run.dataset.splits[split]),
            "data": _identity(run, split),
            "other_data": run.other_data,
            "fingerprint": fingerprint(run.parts.record(split), run.params),
            "estimators": list(chosen),
            "seed": seed,
            "num_parameters": num_parameters(run.params),
            "seconds": round(time.monotonic() - began, 3),
            "probability": probability,
            "numbers": (of_split := numbers(every, values, doubts)),
            "agreement": agreement(of_split, values),
            "per_example": {n: v for n, v in values.items() if n[0] != "_" and n != "in_support"},
        }
    )
    kept.clear()
    return results


def require_evaluable(
    parts: Parts,
    facts: Facts,
    *,
    split: str,
    batch_size: int,
    seed: int = 0,
    **asked: Any,
) -> None:
    """Traces what `evaluate` would compute, for parameters of which the shapes are enough.

    Args:
        parts: of the runs.
        facts: of their model.
        split: as `evaluate` has it, like the rest.
        batch_size: likewise.
        seed: likewise.
        asked: the arguments of `asked_estimators`.

    Raises:
        UserError: for what is not possible, whatever the parameters.
    """
    _require_possible(parts.dataset, split, batch_size, seed)
    facts = _facts_of(facts, parts.dataset, split)
    program = _program(parts, facts, tuple(_chosen(asked_estimators(**asked), facts)), seed)
    raw = gather(rows_of(parts.dataset, split), slice(0, 1))
    jax.eval_shape(program, facts.params, raw, np.arange(1))


def _facts_of(facts: Facts, dataset: Dataset, split: str, *, is_own: bool = True) -> Facts:
    return facts._replace(dataset=dataset, split=split, is_own=is_own)


def _require_possible(dataset: Dataset, split: str, batch_size: int, seed: int) -> None:
    if split not in dataset.splits:
        raise unknown("split", split, dataset.splits)
    if min(batch_size, seed + 1) < 1:
        raise UserError(f"batch_size={batch_size}, seed={seed}: a batch is at least 1, a seed 0")


def _count(dataset: Dataset, split: str, num_examples: int | None) -> int:
    """How many examples of a split are evaluated."""
    most = len(dataset.splits[split])
    if num_examples is None:
        return most
    require(f"num_examples={num_examples}", num_examples, constraints.integer_interval(1, most))
    return num_examples


@functools.lru_cache
def _built(text: str) -> Estimator:
    estimator = components.build("estimators", text)()
    if not isinstance(estimator, Estimator):
        raise UserError(f"{text} makes a {type(estimator).__name__}, where an Estimator is needed")
    return estimator


def _chosen(asked: Sequence[str], facts: Facts) -> dict[str, Estimator]:
    """The estimators that were asked for, and those that are computed where it is possible."""
    chosen = {text: _built(text) for text in asked}
    for text, estimator in chosen.items():
        if reason := _refusal(estimator, facts):
            raise UserError(f"{text}: {reason}")
    more = {text: _built(text) for text in WHERE_POSSIBLE if text not in chosen}
    chosen |= {text: e for text, e in more.items() if not _refusal(e, facts)}
    require_distinct(chosen)
    return chosen


def _refusal(estimator: Estimator, facts: Facts) -> str:
    """Why an estimator cannot be computed; empty if it can."""
    try:
        estimator.require(facts)
    except UserError as error:
        return str(error)
    return ""


def _unasked(dataset: Dataset, facts: Facts) -> dict[str, Estimator]:
    """The estimators that only such data, or such layers, can have."""
    every = [*of_layers(facts), *of_data(dataset)]
    return {f"unasked ({i})": estimator for i, estimator in enumerate(every)}


def _program(
    parts: Parts, facts: Facts, texts: tuple[str, ...], seed: int
) -> Callable[..., dict[str, Array]]:
    """(params, raw, ids) -> values `[batch, ...]` of examples, compiled once for all seeds."""
    if (texts, seed) not in parts.programs:
        parts.programs[texts, seed] = _make_program(parts, facts, texts, seed)
    return parts.programs[texts, seed]


def _make_program(
    parts: Parts, facts: Facts, texts: tuple[str, ...], seed: int
) -> Callable[..., dict[str, Array]]:
    key, model = keys_of(seed).evaluate, parts.model
    estimators = {text: _built(text) for text in texts}
    estimators |= _unasked(parts.dataset, facts)

    def values(params: Params, raw: Array, ids: Array) -> dict[str, Array]:
        keys, batch = present(parts.dataset, example_keys(key, ids), raw)
        z = jax.vmap(lambda key, one: model.encode(params, one).sample(key))(keys, batch)
        p = model.decode(params, z, *batch.conditions)
        every = {"in_support": p.support(filled(p, batch))}
        for text, estimator in estimators.items():
            of_examples = estimator.of_examples(model, params, keys, batch)
            shared = [name for name in every if name in estimator.quantities]
            require_examples(text, of_examples, len(ids), every.keys() - set(shared))
            every |= of_examples
        return every

    return jax.jit(values, compiler_options=compiler_options())


def _pass(
    run: Run,
    split: str,
    count: int,
    estimators: Mapping[str, Estimator],
    batch_size: int,
    seed: int,
    quiet: bool,
    kept: Chunks,
) -> Values:
    """The values of each of the first examples of a split, `[n, ...]`."""
    program = _program(run.parts, run.facts, tuple(estimators), seed)
    data = first(rows_of(run.dataset, split), count)
    held = max((e.floats_per_example for e in estimators.values()), default=1)
    batch = fitting_devices(max(1, min(batch_size, IN_FLIGHT // held, len(data))))
    with Bar(len(data), "example", split, quiet=quiet or not hosts.is_first()) as bar:
        mesh = mesh_for(batch)
        params = copy_to_devices(run.params, mesh)
        of_batch = functools.partial(program, params)
        return exact_pass(of_batch, data, batch, mesh, bar.advance, kept)


def _kept(run: Run, split: str, count: int, estimators: Iterable[str], seed: int) -> Chunks:
    """The place for the values of batches of this evaluation, and of no other."""
    what = (split, count, seed, run.other_data, *estimators)
    return Chunks(run.workdir, fingerprint(run.parts.record(split), run.params), *what)


def _doubts(run: Run, split: str, values: Values, probability: str) -> dict[str, Any]:
    few = _few_values(run.dataset, split) if probability == "density" else ""
    return {
        "in_support": bool(values["in_support"].all()),
        "few_values": few,
        **({"advice": advice(run.data)} if few else {}),
        "remarks": list(run.dataset.remarks),
        "given": run.dataset.coding and run.dataset.coding.name,
        "missing": run.dataset.missing,
        **run.age.entries,
    }


def _identity(run: Run, split: str) -> dict[str, Any]:
    """The name of the evaluated data, its record and the moments of its x."""
    record, moments = run.parts.record(split), run.parts.moments(split)
    if run.workdir and run.other_data is None:
        warn_of_other_x(run.workdir, split, moments)
    return {"name": run.data, **record._asdict(), "x": moments}


def _few_values(dataset: Dataset, split: str) -> str:
    """The elements of x that take few values, in the split or where the model was trained."""
    return few_values(dataset, dict.fromkeys((split, "train")))


def _with_derived(
    estimators: Mapping[str, Estimator], facts: Facts, values: Values
) -> dict[str, np.ndarray]:
    """The values, and those that estimators make of them."""
    every = dict(values)
    for name, estimator in estimators.items():
        with said_when_late(f"{name}: looking at all examples together"):
            every |= estimator.derive(facts, every)
    return every
