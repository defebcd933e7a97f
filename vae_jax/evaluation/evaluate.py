"""A run -> its numbers: one exact pass over a split, each mean with its standard error."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from vae_jax.batches.devices import COMPILER_OPTIONS, devices, fitting_devices, mesh_for, replicated
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.passes import exact_pass
from vae_jax.batches.splits import gather, present, x_shape
from vae_jax.divergences import closed_form_kl
from vae_jax.errors import UserError, unknown
from vae_jax.estimators.exact import exact
from vae_jax.estimators.importance import importance
from vae_jax.estimators.quadrature import prior_mass, quadrature
from vae_jax.evaluation.numbers import numbers
from vae_jax.runs.directory import last_checkpoint
from vae_jax.runs.run import Run
from vae_jax.runs.state import num_parameters
from vae_jax.types import Dataset, Model, Params

OUTSIDE = "the data is not in the support of p(x|z): these are no log-likelihoods"
IWAE_SAMPLES = (1, 5, 50, 500)
ROWS = {"cpu": 2000}  # decoded at a time: what a core's cache holds
ROWS_ELSEWHERE = 2**16
IN_FLIGHT = 2**25  # log weights held at a time, 128 MiB each of two terms


def evaluate(
    run: Run,
    split: str = "test",
    *,
    num_importance_samples: int = 5000,
    iwae_samples: tuple[int, ...] | None = None,
    quadrature_points: int = 0,
    batch_size: int = 100,
    seed: int = 0,
    quiet: bool = False,
) -> dict[str, Any]:
    """ELBO, its terms, both KLs, IWAE bounds and log p(x) of a split, by the same draws of z.

    Neither `batch_size` nor the number of devices changes a result beyond rounding: draw k of
    example i is a function of (seed, i, k).

    Args:
        run: the run.
        split: train, validation or test.
        num_importance_samples: K, draws of z per example.
        iwae_samples: the k of the IWAE bounds; None is those of 1, 5, 50 and 500 up to K.
        quadrature_points: per latent dimension, log p(x) by quadrature too; 0 is not.
        batch_size: examples evaluated together.
        seed: of the draws of z and of dynamic binarization.
        quiet: no progress on stderr.

    Returns:
        what `results.json` holds for a split, and under `per_example` the arrays `[n]`.

    Raises:
        UserError: for a split that is not there, or numbers that cannot be had.
    """
    _require_possible(run.dataset, split, batch_size, seed)
    _require_resolved(run, quadrature_points)
    estimate = _estimates(
        _asked(
            run.model, run.dataset, seed, num_importance_samples, iwae_samples, quadrature_points
        )
    )
    marginal = _exact_or_none(run, x_shape(run.dataset))
    data, began = run.dataset.splits[split], time.monotonic()
    most = IN_FLIGHT // max(1, num_importance_samples)
    batch = fitting_devices(max(1, min(batch_size, most, len(data))))
    with tqdm(total=len(data), unit="example", disable=_hidden(quiet), desc=split) as bar:
        mesh = mesh_for(batch)
        params = jax.device_put(run.params, replicated(mesh))
        values = exact_pass(
            functools.partial(estimate, params, marginal), data, batch, mesh, bar.update
        )
    in_support = bool(values.pop("in_support").all())
    values = _derived(run, values, in_support)
    return {
        "warning": None if in_support else OUTSIDE,
        "checkpoint": run.which,
        "checkpoint_step": run.step,
        "finished": _is_finished(run),
        "num_examples": len(data),
        "num_importance_samples": num_importance_samples,
        "quadrature_points": quadrature_points,
        "seed": seed,
        "num_parameters": num_parameters(run.params),
        "seconds": round(time.monotonic() - began, 3),
        "probability": "mass" if _is_discrete(run) else "density",
        "numbers": numbers(values, num_importance_samples),
        "per_example": values,
    }


def check(
    model: Model,
    dataset: Dataset,
    params: Params,
    *,
    split: str,
    num_importance_samples: int,
    iwae_samples: tuple[int, ...] | None,
    quadrature_points: int,
    batch_size: int,
    seed: int = 0,
) -> None:
    """Traces what `evaluate` would compute, for parameters of which the shapes are enough.

    Raises:
        UserError: for what cannot be had, whatever the parameters.
    """
    _require_possible(dataset, split, batch_size, seed)
    asked = _asked(model, dataset, seed, num_importance_samples, iwae_samples, quadrature_points)
    raw = gather(dataset.splits[split], slice(0, 1))
    jax.eval_shape(_estimates(asked), params, None, raw, np.arange(1))


def _is_finished(run: Run) -> bool:
    """Whether the run was trained to its end."""
    trained = last_checkpoint(run.workdir) if run.workdir else run.step
    steps = len(run.dataset.splits["train"]) // run.config.batch_size
    return trained >= run.config.num_epochs * steps


def _require_possible(dataset: Dataset, split: str, batch_size: int, seed: int) -> None:
    if split not in dataset.splits:
        raise unknown("split", split, dataset.splits)
    if min(batch_size, seed + 1) < 1:
        raise UserError(f"batch_size={batch_size}, seed={seed}: a batch is at least 1, a seed 0")


def _hidden(quiet: bool) -> bool | None:
    """None lets tqdm show itself on a terminal only."""
    return True if quiet else None


class _Asked(NamedTuple):
    """What a program for per-example numbers depends on besides parameters and data."""

    functions: tuple[Callable[..., Any], ...]  # of the model
    preprocess: Callable[[Any, Any], Any]
    log_p_data: Callable[[Any], Any] | None
    seed: int
    num_samples: int
    bounds: tuple[int, ...]
    points: int


def _asked(
    model: Model,
    dataset: Dataset,
    seed: int,
    num_samples: int,
    iwae_samples: tuple[int, ...] | None,
    points: int,
) -> _Asked:
    usual = tuple(k for k in IWAE_SAMPLES if k <= num_samples)
    bounds = usual if iwae_samples is None else tuple(sorted(set(iwae_samples)))
    functions = (model[:4], dataset.preprocess, dataset.log_prob)
    return _Asked(*functions, seed, num_samples, bounds, points)


@functools.lru_cache(maxsize=4)  # the runs of many seeds share one program
def _estimates(asked: _Asked) -> Callable[..., dict[str, Any]]:
    """(params, p(x) or None, raw, ids) -> per-example numbers `[batch]`, jitted."""
    key, model = keys_of(asked.seed).evaluate, Model(*asked.functions)
    dataset = Dataset({}, asked.preprocess, asked.log_p_data)
    rows = ROWS.get(devices()[0].platform, ROWS_ELSEWHERE)

    def estimates(params: Any, marginal: Any, raw: Any, ids: Any) -> dict[str, Any]:
        keys, (x, *_) = present(dataset, example_keys(key, ids), raw)
        values = importance(
            model, params, keys, x, num_samples=asked.num_samples, bounds=asked.bounds, rows=rows
        )
        q = model.encode(params, x)
        kl = closed_form_kl(q, model.prior(params))
        if kl is not None:
            values["kl"] = kl
        if marginal is not None:
            values["log_p_exact"] = marginal.log_prob(x.reshape(len(x), -1))
        if asked.points:
            values["log_p_quadrature"] = quadrature(model, params, x, points=asked.points)
        if asked.log_p_data is not None:
            values["log_p_data"] = asked.log_p_data(x)
        values["in_support"] = model.decode(params, q.sample(key)).support(x)
        return values

    return jax.jit(estimates, compiler_options=COMPILER_OPTIONS)


def _exact_or_none(run: Run, shape: tuple[int, ...]) -> Any:
    """p(x) of a linear-Gaussian model, None for any other."""
    try:
        return exact(run.model, run.params, shape)
    except UserError:
        return None


def _is_discrete(run: Run) -> bool:
    """Whether p(x | z) is a mass function, so that bits per dimension mean something."""
    found = []

    def trace(params: Params, key: Any) -> None:
        z = run.model.prior(params).sample(key)
        found.append(run.model.decode(params, z).support.is_discrete)

    jax.eval_shape(trace, run.params, jax.random.key(0))
    return bool(found[0])


def _require_resolved(run: Run, points: int) -> None:
    """Raises UserError if a grid for quadrature does not even hold the prior's mass."""
    mass = float(prior_mass(run.model, run.params, points=points)) if points > 1 else 1.0 - points
    if abs(mass - 1) > 0.01:
        raise UserError(
            f"quadrature_points={points}: the grid holds {mass:.3f} of the prior's mass, not 1; "
            "more points may help, but not where the prior has heavy tails"
        )


def _derived(run: Run, values: dict[str, np.ndarray], in_support: bool) -> dict[str, np.ndarray]:
    """Adds what is made of other numbers, example by example, so that differences are paired."""
    kl = values.get("kl", values["kl_sampled"])
    derived = {"elbo": values["log_likelihood"] - kl, **values}
    if "kl" in values:
        derived["kl_sampled_minus_kl"] = values["kl_sampled"] - kl
    derived["log_p_minus_elbo"] = values["log_p"] - derived["elbo"]
    return derived | (_of_levels(run, values["log_p"]) if in_support else {})


def _of_levels(run: Run, log_p: np.ndarray) -> dict[str, np.ndarray]:
    """The log-probability of what is stored, and bits per dimension, where log p(x) is that.

    A density of dequantized data is: the mass of a bin is, by Jensen's inequality, at least its
    volume times exp E log p (Theis et al. 2016).
    """
    width, dimensions = run.dataset.bin_width, np.prod(x_shape(run.dataset))
    if _is_discrete(run):
        found = {} if width is None else {"log_p_levels": log_p}
    elif width is None or width == 1:
        return {}
    else:
        log_p = log_p + dimensions * np.log(width)
        found = {"log_p_levels": log_p}
    return found | {"bits_per_dim": -log_p / np.log(2) / dimensions}
