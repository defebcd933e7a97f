"""KL(q(z|x) || p(z)) of each example of a split: sampled, and a reference for comparison."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution

from vae_jax.batches.devices import compiler_options, copy_to_devices, fitting_devices, mesh_for
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.passes import exact_pass
from vae_jax.batches.rows import rows_of
from vae_jax.batches.splits import present
from vae_jax.divergences import closed_form_kl, kl_per_dimension
from vae_jax.errors import UserError, unknown
from vae_jax.kl_comparison.models.layers import of_layers, require_few
from vae_jax.progress import Bar
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Model, Params
from vae_jax.weights import log_weights

ROWS = 2000  # draws times examples worked on together
IN_FLIGHT = 2**25  # draws times examples times latent dimensions held together
LIKELIHOOD_DRAWS = 64  # of each example, for the variance of log p(x|z)
LONGER = 16  # times as many draws in a sampled reference
POINTS = {1: 2001, 2: 201}  # of the grid, per latent dimension
HALF_WIDTH = 8.0  # of the grid, in standard deviations of q
EPS = float(jnp.finfo(jnp.float32).eps)
LEAST_VARIANCE = 1e-12  # of log q - log p: below, it is rounding and has no skewness
REFERENCES = ("closed form", "quadrature", "sampled")
Values = dict[str, np.ndarray]


def closed_and_sampled(
    run: Run, split: str, num_samples: int, seed: int = 0, quiet: bool = True
) -> tuple[str, Values]:
    """The KL of each example by K = `num_samples` draws, and by the best reference there is.

    That is the closed form; without one, quadrature over a latent of 1 or 2 dimensions; else, or
    where the grid does not hold q, a sampled estimate from 16 K other draws. Draw k of example i is
    a function of (seed, i, k), and the one that `evaluate` makes.

    Returns:
        the name of the reference, and the arrays of `_numbers`, `[n]` or `[n, latent_dim]`.

    Raises:
        UserError: for an unknown split, or K < 2, which gives no standard error.
    """
    if split not in run.dataset.splits:
        raise unknown("split", split, run.dataset.splits)
    if num_samples < 2:
        raise UserError(f"num_samples={num_samples}: at least 2 draws have a standard error")
    require_few(run.facts)
    for reference in _possible(run):
        values = _pass(run, split, num_samples, reference, seed, quiet)
        if np.abs(values.pop("mass") - 1).max() < 1e-3:
            break
    return reference, values


def _possible(run: Run) -> tuple[str, ...]:
    """The references to try, one after the other."""
    if run.facts.has_closed_form:
        return REFERENCES[:1]
    return REFERENCES[1:] if run.facts.prior.event_shape[0] in POINTS else REFERENCES[2:]


def _pass(run: Run, split: str, num_samples: int, reference: str, seed: int, quiet: bool) -> Values:
    program = _program(run, num_samples, reference, seed)
    data, size = rows_of(run.dataset, split), num_samples * run.facts.prior.event_shape[0]
    batch = fitting_devices(max(1, min(100, IN_FLIGHT // size, len(data))))
    mesh = mesh_for(batch)
    with Bar(len(data), "example", "KL", quiet=quiet) as bar:
        params = copy_to_devices(run.params, mesh)
        return exact_pass(
            lambda raw, ids: program(params, raw, ids), data, batch, mesh, bar.advance
        )


def _program(run: Run, num_samples: int, reference: str, seed: int) -> Callable[..., Any]:
    """(params, raw, ids) -> `_numbers` of a batch, jitted."""
    key = keys_of(seed).evaluate

    def program(params: Params, raw: Any, ids: Any) -> dict[str, Array]:
        keys, batch = present(run.dataset, example_keys(key, ids), raw)
        return _numbers(run.model, params, keys, batch, num_samples, reference)

    return jax.jit(program, compiler_options=compiler_options())


def _numbers(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int, reference: str
) -> dict[str, Array]:
    """The numbers of each example, nats `[batch]`.

    `kl`, the reference, with `kl_error` (the `rounding`, where it is no sample) and the `mass` that
    its grid holds; `sampled` and `sampled_error`; `squared_error_k`, of the mean of k draws, the
    mean over the groups of k; `log_likelihood` and the variances per draw `ratio_variance` of
    log q - log p, `likelihood_variance` of log p(x|z), `weight_variance` of their difference, the
    sampled ELBO; the `skewness` of log q - log p; `dimensions`, `dimensions_sampled` and
    `dimensions_rounding` `[batch, latent_dim]` where both factorize; and those of `of_layers`.
    """
    q, p = model.encode(params, batch), model.prior(params, *batch.conditions)
    ratios = _log_ratios(model, params, keys, batch, num_samples)
    kl, error, mass = _REFERENCES[reference](model, params, keys, batch, num_samples)
    few = log_weights(model, params, keys, batch, min(num_samples, LIKELIHOOD_DRAWS))
    # Every log q and log p is rounded, and the closed form: no error is known to be smaller.
    rounding = EPS * (jnp.abs(few.log_posterior) + jnp.abs(few.log_prior)).mean(0)
    variance, third = ratios.var(0, ddof=1), ((ratios - ratios.mean(0)) ** 3).mean(0)
    return {
        "kl": kl,
        "kl_error": jnp.hypot(error, rounding),
        "rounding": rounding,
        "mass": mass,
        "sampled": ratios.mean(0),
        "sampled_error": jnp.sqrt(variance / num_samples),
        "log_likelihood": few.log_likelihood.mean(0),
        "ratio_variance": variance,
        "skewness": third / jnp.maximum(variance, LEAST_VARIANCE) ** 1.5,
        "likelihood_variance": few.log_likelihood.var(0, ddof=1),
        "weight_variance": few.log_weight.var(0, ddof=1),
        **{f"squared_error_{k}": _squared_error(ratios, kl, k) for k in powers(num_samples)},
        **_dimensions(model, params, keys, batch, q, p, num_samples),
        **of_layers(model, params, keys, batch, num_samples),
    }


def powers(num_samples: int) -> list[int]:
    """1, 4, 16, ... up to K."""
    return [4**i for i in range(16) if 4**i <= num_samples]


def _squared_error(ratios: Array, kl: Array, k: int) -> Array:
    groups = ratios[: len(ratios) // k * k].reshape(-1, k, ratios.shape[1])
    return ((groups.mean(1) - kl) ** 2).mean(0)


def _log_ratios(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int, first: int = 0
) -> Array:
    """log q(z|x) - log p(z) of draws, nats `[num_samples, batch]`; nothing is decoded."""

    def ratios(start: Array) -> Array:
        weights = log_weights(model, params, keys, batch, chunk, first=start)
        return weights.log_posterior - weights.log_prior

    chunk = min(num_samples, max(1, ROWS // len(batch.x)))
    chunks = jax.lax.map(ratios, first + jnp.arange(0, num_samples, chunk))
    return chunks.reshape(-1, len(batch.x))[:num_samples]


def _closed_form(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int
) -> tuple[Array, Array, Array]:
    kl = closed_form_kl(model.encode(params, batch), model.prior(params, *batch.conditions))
    assert kl is not None  # the facts of the run say so
    return kl, jnp.zeros_like(kl), jnp.ones_like(kl)


def _sampled(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int
) -> tuple[Array, Array, Array]:
    """The KL by `LONGER` times as many draws, which follow the first K."""
    size = LONGER * num_samples
    ratios = _log_ratios(model, params, keys, batch, size, first=num_samples)
    kl = ratios.mean(0)
    return kl, ratios.std(0, ddof=1) / jnp.sqrt(size), jnp.ones_like(kl)


def _quadrature(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int
) -> tuple[Array, Array, Array]:
    """int q (log q - log p) dz / int q dz, by the trapezoidal rule around each q, and int q dz."""
    q, p = model.encode(params, batch), model.prior(params, *batch.conditions)
    draws = jax.vmap(lambda key, one: model.encode(params, one).sample(key, (1000,)), out_axes=1)
    z = draws(keys, batch)
    points, dimensions = POINTS[z.shape[-1]], z.shape[-1]
    steps = jnp.linspace(-HALF_WIDTH, HALF_WIDTH, points)
    grid = jnp.stack(jnp.meshgrid(*[steps] * dimensions, indexing="ij"), -1)
    grid = grid.reshape(points, -1, 1, dimensions)

    def row(at: Array) -> tuple[Array, Array]:
        where = z.mean(0) + z.std(0) * jnp.broadcast_to(at, (len(at), *z.shape[1:]))
        log_q = jnp.where(q.support(where), q.log_prob(where), -jnp.inf)
        density = jnp.exp(log_q)
        difference = jnp.where(density > 0, log_q - p.log_prob(where), 0.0)
        return (density * difference).sum(0), density.sum(0)

    integral, total = jax.tree.map(lambda a: a.sum(0), jax.lax.map(row, grid))
    cell = z.std(0).prod(-1) * (steps[1] - steps[0]) ** dimensions
    return integral / total, jnp.zeros(len(batch.x)), total * cell


_REFERENCES = dict(zip(REFERENCES, (_closed_form, _quadrature, _sampled), strict=True))


def _dimensions(
    model: Model,
    params: Params,
    keys: Array,
    batch: Batch,
    q: Distribution,
    p: Any,
    num_samples: int,
) -> dict[str, Array]:
    """KL(q_j || p_j) in closed form and by the same draws; nothing unless both factorize."""
    if (closed := kl_per_dimension(q, p)) is None:
        return {}

    def ratio(key: Array, one: Batch, k: Array) -> tuple[Array, Array]:
        q_one: Any = model.encode(params, one)
        p_one: Any = model.prior(params, *one.conditions)
        z = q_one.sample(jax.random.fold_in(key, k))
        log_q, log_p = q_one.base_dist.log_prob(z), p_one.base_dist.log_prob(z)
        return log_q - log_p, EPS * (jnp.abs(log_q) + jnp.abs(log_p))

    along = jax.vmap(ratio, (0, 0, None))
    draws = jax.lax.map(lambda k: along(keys, batch, k), jnp.arange(num_samples))
    sampled, rounding = (term.mean(0) for term in draws)
    return {
        "dimensions": closed,
        "dimensions_sampled": sampled,
        "dimensions_rounding": rounding,
    }
