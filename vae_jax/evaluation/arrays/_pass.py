"""The one exact pass that all arrays come from."""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax.batches.devices import compiler_options, copy_to_devices, fitting_devices, mesh_for
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.passes import exact_pass
from vae_jax.batches.rows import gather, rows_of
from vae_jax.batches.splits import present
from vae_jax.errors import UserError, unknown
from vae_jax.progress import Bar
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Estimator, Examples, Facts, Params
from vae_jax.weights import checked_batch

IN_FLIGHT = 2**25  # numbers held at a time, 128 MiB
Arrays = dict[str, np.ndarray]
Count = Annotated[int, constraints.positive_integer]
Seed = Annotated[int, constraints.nonnegative_integer]
First = Annotated[int | None, constraints.positive_integer]
Program = Callable[..., dict[str, Array]]


class How(NamedTuple):
    """The options that all arrays have."""

    seed: int = 0  # of all draws
    batch_size: int = 100  # examples at a time
    num_examples: int | None = None  # the first of them; None: all
    quiet: bool = True  # no progress on stderr


def of_examples(
    run: Run, examples: Examples | str, name: str, estimator: Estimator, how: How
) -> Arrays:
    """The values that an estimator gives of examples, `[n, ...]` float64, hidden ones too.

    Args:
        run: the run.
        examples: the name of a split, or examples as `run.present` makes them.
        name: of the arrays, with what decides them.
        estimator: `of_examples` and `require` of it are called.
        how: the seed, and how many at a time.

    Raises:
        UserError: for a split that is not there, examples that the model does not take, and what
            the estimator refuses.
    """
    _require_estimator(run, examples, estimator)
    read = _of_split if isinstance(examples, str) else _of_batch
    rows, data, batch_of = read(run, examples, how)
    count = len(rows) if how.num_examples is None else how.num_examples
    if count > len(rows):
        raise UserError(f"num_examples={count}: there are {len(rows)} examples")

    def values(params: Params, data: Any, raw: Array, ids: Array) -> dict[str, Array]:
        keys, batch = batch_of(data, raw, ids)
        return estimator.of_examples(run.model, params, keys, batch)

    program = compiled(run, (name, how.seed, read.__name__), values)
    rows = rows if count == len(rows) else gather(rows, slice(0, count))
    return passed(run, rows, program, data, name, how, estimator.floats_per_example)


def passed(
    run: Run, rows: Any, program: Program, data: Any, name: str, how: How, floats: int = 1
) -> Arrays:
    """`program(params, data, raw [batch, ...], ids [batch])` on each of the rows once.

    Args:
        run: the run.
        rows: one for each example.
        program: compiled.
        data: that every batch may read.
        name: of what is computed, for the progress.
        how: how many at a time.
        floats: held at a time for each example.
    """
    size = fitting_devices(max(1, min(how.batch_size, IN_FLIGHT // floats, len(rows))))
    mesh = mesh_for(size)
    params, data = copy_to_devices((run.params, data), mesh)
    with Bar(len(rows), "example", name.partition("(")[0], quiet=how.quiet) as bar:
        function = functools.partial(program, params, data)
        return exact_pass(function, rows, size, mesh, bar.advance)


def compiled(run: Run, what: tuple[Any, ...], values: Program) -> Program:
    """The program of a function, compiled once for these parts and what decides it."""
    programs = run.parts.programs
    if what not in programs:
        programs[what] = jax.jit(values, compiler_options=compiler_options())
    return programs[what]


def _require_estimator(run: Run, examples: Examples | str, estimator: Estimator) -> None:
    """Raises UserError where the estimator cannot be computed of these examples."""
    split = examples if isinstance(examples, str) else ""
    is_own = bool(split) and run.other_data is None
    facts: Facts = run.facts._replace(dataset=run.dataset, split=split, is_own=is_own)
    estimator.require(facts)


def _of_split(run: Run, split: Any, how: How) -> tuple[Any, Any, Callable[..., Any]]:
    """The rows of a split, and what presents them with the keys that `evaluate` has."""
    if split not in run.dataset.splits:
        raise unknown("split", split, run.dataset.splits)
    key = keys_of(how.seed).evaluate

    def batch_of(data: Any, raw: Array, ids: Array) -> tuple[Array, Batch]:
        return present(run.dataset, example_keys(key, ids), raw)

    return rows_of(run.dataset, split), (), batch_of


def _of_batch(run: Run, examples: Any, how: How) -> tuple[Any, Any, Callable[..., Any]]:
    """The numbers of examples that are there already, and what takes them, with the same keys."""
    batch, shape = checked_batch(run.model, examples), run.parts.x_shape
    if batch.x.ndim != len(shape) + 1:
        needed = ", ".join(map(str, ("n", *shape)))
        raise UserError(f"x has shape {list(batch.x.shape)}, where [{needed}] is needed")
    if batch.given is not None and len(batch.given) != len(batch.x):
        raise UserError(f"batch.given: {len(batch.given)} conditions for {len(batch.x)} examples")
    key = keys_of(how.seed).evaluate

    def batch_of(batch: Batch, raw: Array, ids: Array) -> tuple[Array, Batch]:
        return example_keys(key, ids)[:, 0], jax.tree.map(lambda array: array[ids], batch)

    return np.arange(len(batch.x)), batch, batch_of


def as_computed(arrays: Mapping[str, np.ndarray], *names: str) -> Arrays:
    """Those arrays that there are, in this order and the precision they were computed in."""
    return {name: arrays[name].astype(np.float32) for name in names if name in arrays}
