"""Figures of a trained model: samples, reconstructions, interpolations, the latent plane."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.batches.keys import keys_of
from vae_jax.batches.splits import examples, x_shape
from vae_jax.distributions.diffusion import Denoising
from vae_jax.errors import UserError
from vae_jax.plots import captioned
from vae_jax.progress import each
from vae_jax.reporting.densities import densities, estimator_of
from vae_jax.reporting.traversals import TAIL, named_paths, traverse
from vae_jax.runs.run import Run
from vae_jax.weights import of_seen

SIDE = 20  # of the grid over the latent plane
AGREEMENT = "Each element of test examples against the mean of p(x|z), z ~ q(z|x)"
ROWS = "Test examples x, the mean of p(x|z) for one z ~ q(z|x), and a draw from that."
COUNTS = 50  # a largest count from which axes are logarithmic
Unit = Callable[[Any], np.ndarray]


def sample(
    run: Run,
    seed: int = 0,
    num_samples: int = 64,
    *,
    steps: int | None = None,
    quiet: bool = False,
) -> dict[str, Figure]:
    """The figures that suit the data and the latent space, by name.

    Args:
        run: the run.
        seed: of every draw shown.
        num_samples: draws from the prior that are shown.
        steps: of a prior that denoises, on the way from noise to data; None: all it has.
        quiet: no progress on stderr.
    """
    drawings = _drawings(run, jax.random.split(keys_of(seed).sample, 6), num_samples, steps)
    with plots.styled():
        return {
            name: drawings[name]() for name in each(list(drawings), "figure", "draw", quiet=quiet)
        }


def _drawings(
    run: Run, keys: Any, num_samples: int, steps: int | None
) -> dict[str, Callable[[], Figure]]:
    """The functions that draw the figures, by name."""
    _, batch = examples(run.dataset, keys[0], "test", max(1000, num_samples))
    x = batch.x
    unit = _to_unit(x) if plots.is_image(x_shape(run.dataset)) else None
    drawings = {
        "samples": lambda: samples(run, keys[1], x, unit, num_samples, steps),
        "reconstructions": lambda: reconstructions(run, keys[2], x, unit),
    }
    if isinstance(run.model.prior(run.params), Denoising):
        drawings["steps"] = lambda: on_the_way(run, keys[1], x, unit, steps)
    elif steps is not None:
        raise UserError("--steps is of a prior that denoises: prior=denoising(...)")
    else:
        drawings["interpolations"] = lambda: interpolations(run, keys[2], x, unit)
        drawings["traversals"] = lambda: traversals(run, keys[5], x, unit)
    if run.model.prior(run.params).event_shape == (2,):
        drawings["aggregated_posterior"] = lambda: aggregated_posterior(run, keys[3], keys[4])
        if unit:
            drawings["manifold"] = lambda: manifold(run, keys[4], unit)
    if estimator := estimator_of(run):
        draws = _ancestral(run, keys[1], len(x), steps)[1]
        drawings["densities"] = lambda: densities(run, estimator, x, draws)
    return drawings


def _to_unit(x: Any) -> Unit:
    """Images in the units of x -> [0, 1]: greys as they are, levels by the largest in sight."""
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    return lambda images: (np.asarray(images) - low) / (high - low)


def _flat(x: Any) -> np.ndarray:
    return np.asarray(x).reshape(len(x), -1)


def _ancestral(run: Run, key: Any, count: int, steps: int | None = None) -> tuple[Any, Any]:
    """Means of p(x | z), and draws x ~ p(x | z), for z ~ p(z)."""
    z_key, x_key = jax.random.split(key)
    prior = run.model.prior(run.params)
    few = steps is not None and isinstance(prior, Denoising)
    z = _path(run, z_key, count, steps)[-1] if few else prior.sample(z_key, (count,))
    p = run.model.decode(run.params, z)
    return p.mean, p.sample(x_key)


def _path(run: Run, key: Any, count: int, steps: int | None) -> Any:
    """The layers of z from noise to data, `[steps + 1, count, size]`; all of them have noise."""
    prior: Any = run.model.prior(run.params)
    return prior.path(key, (count,), steps=steps, eta=1.0 if steps is None else 0.0)


def on_the_way(run: Run, key: Any, x: Any, unit: Unit | None, steps: int | None) -> Figure:
    """The layers of z from noise to data, decoded as if each were the last one."""
    images, vectors = (8, len(x))
    path = _path(run, key, images if unit else vectors, steps)
    shown = np.unique(np.linspace(0, len(path) - 1, 10 if unit else 5).astype(int))
    means = np.asarray(run.model.decode(run.params, path[shown]).mean)
    how = "every one as in the model" if steps is None else f"{steps} steps without noise (DDIM)"
    what = f"Layers of z from noise to data, each decoded as the last one is: {how}"
    if unit:
        rows = {f"{i + 1}": unit(row) for i, row in enumerate(means.swapaxes(0, 1))}
        return captioned(plots.image_rows(rows), f"{what}.")
    names = [f"after step {i}" for i in shown]
    panels = {name: _flat(_brought(run, v)) for name, v in zip(names, means, strict=True)}
    figure = plots.point_panels(panels, _shown(x), _counts(run, x))
    return captioned(figure, f"{what}{_elements(x)}{_units(run)}.")


def samples(
    run: Run, key: Any, x: Any, unit: Unit | None, count: int, steps: int | None = None
) -> Figure:
    """Test data beside means and draws of p(x | z), z ~ p(z); of vectors as many as there are x."""
    means, draws = _ancestral(run, key, count if unit else len(x), steps)
    panels = {
        "data": x[: len(means)],
        r"means of $p(x \mid z)$, $z \sim p(z)$": means,
        r"draws $x \sim p(x \mid z)$": draws,
    }
    what = "Test data, and means of p(x|z) and draws from it for z drawn from the prior"
    if unit:
        images = {k: unit(v) for k, v in panels.items()}
        return captioned(plots.image_panels(images, _columns(count)), f"{what}.")
    vectors = {k: _flat(_brought(run, v)) for k, v in panels.items()}
    points = plots.point_panels(vectors, _shown(x), _counts(run, x))
    return captioned(points, f"{what}{_elements(x)}{_units(run)}.")


def _brought(run: Run, x: Any) -> np.ndarray:
    """Vectors in the units that were brought, where they were standardized."""
    done = run.dataset.standardization
    return np.asarray(x) if done is None else done.undo(x)


def _units(run: Run) -> str:
    return "" if run.dataset.standardization is None else ", in the units that were brought"


def _shown(x: Any) -> list[int]:
    """The two elements of vectors that vary most."""
    return sorted(np.argsort(-_flat(x).var(0), kind="stable")[:2].tolist())


def _elements(x: Any) -> str:
    """The words for the elements of vectors that are shown, where there are more."""
    return ": the two elements that vary most" if _flat(x).shape[1] > 2 else ""


def _counts(run: Run, x: Any) -> bool:
    """Whether vectors are of counts that reach far, which are shown on logarithmic axes."""
    values, has_levels = np.asarray(x), hasattr(run.model.accepts, "upper_bound")
    return not has_levels and bool(
        (values >= 0).all() and (values % 1 == 0).all() and values.max() > COUNTS
    )


def _columns(count: int) -> int:
    return int(np.ceil(np.sqrt(count)))


def reconstructions(run: Run, key: Any, x: Any, unit: Unit | None) -> Figure:
    """Test examples beside the mean of p(x | z) and a draw from it, z ~ q(z | x)."""
    x = x[:12] if unit else x
    z_key, x_key = jax.random.split(key)
    q = of_seen(run.model, run.model.encode(run.params, x))
    p = run.model.decode(run.params, q.sample(z_key))
    if not unit:
        as_seen = "" if run.dataset.standardization is None else ", standardized"
        return captioned(
            plots.agreement(_flat(x), _flat(p.mean), _counts(run, x)), f"{AGREEMENT}{as_seen}."
        )
    rows = {"$x$": x, "mean": p.mean, "draw": p.sample(x_key)}
    figure = plots.image_rows({name: unit(images) for name, images in rows.items()})
    return captioned(figure, ROWS)


def interpolations(
    run: Run, key: Any, x: Any, unit: Unit | None, pairs: int = 6, steps: int = 12
) -> Figure:
    """Means of p(x | z) along straight lines between draws z ~ q(z | x) of test examples."""
    pairs = min(pairs, len(x) // 2)
    z = run.model.encode(run.params, x[: 2 * pairs]).sample(key).reshape(pairs, 2, -1)
    t = jnp.linspace(0, 1, steps)[None, :, None]
    line = z[:, :1] * (1 - t) + z[:, 1:] * t
    means = np.asarray(run.model.decode(run.params, line).mean)
    what = f"Means of p(x|z) along straight lines in z between {pairs} pairs of test examples"
    if not unit:
        far = _counts(run, x) and bool(means.max() > COUNTS)
        lines = _brought(run, means).reshape(pairs, steps, -1)
        figure = plots.paths(lines, _shown(x), far)
        return captioned(figure, f"{what}{_elements(x)}{_units(run)}.")
    rows = {f"{i + 1}": unit(row) for i, row in enumerate(means)}
    return captioned(plots.image_rows(rows), f"{what}.")


def traversals(run: Run, key: Any, x: Any, unit: Unit | None) -> Figure:
    """Means of p(x | z) as one of the most used latents after another moves, around an example."""
    most, steps = (10, 11) if unit else (5, 25)
    moved = traverse(run, key, x, most, steps)
    names = [f"$z_{{{j + 1}}}$" for j in moved.units]
    of = "each latent" if len(names) == moved.of else f"each of the {len(names)} most used latents"
    what = f"Means of p(x|z) as {of} goes through the middle {1 - 2 * TAIL:.0%} of q(z_j)"
    what = f"{what}, the others at E[z|x] of a test example, the first the one that x tells most of"
    if unit:
        rows = dict(zip(names, map(unit, moved.means), strict=True))
        return captioned(plots.image_rows(rows), f"{what}.")
    far = _counts(run, x) and bool(moved.means.max() > COUNTS)
    lines = _brought(run, moved.means).reshape(len(names), steps, -1)
    figure = plots.paths(lines, _shown(x), far)
    named_paths(figure.axes[0], names, _flat(_brought(run, x))[:, _shown(x)])
    more = "; squares are the lowest z_j, grey points the data"
    return captioned(figure, f"{what}{_elements(x)}{_units(run)}{more}.")


def _plane(run: Run, key: Any, side: int, margin: float = 0.0) -> Any:
    """A grid `[side, side, 2]` over the prior's mass and a margin; the second axis is z_1."""
    draws = run.model.prior(run.params).sample(key, (10_000,))
    low, high = jnp.quantile(draws, jnp.array([0.002, 0.998]), axis=0)
    more = margin * (high - low)
    z_1, z_2 = jnp.linspace(low - more, high + more, side, axis=1)
    return jnp.stack(jnp.meshgrid(z_1, z_2), axis=-1)


def manifold(run: Run, key: Any, unit: Unit) -> Figure:
    """Means of p(x | z) over a grid of the latent plane."""
    grid = _plane(run, key, SIDE)
    low, high = (tuple(map(float, grid[i, i])) for i in (0, -1))
    means = np.asarray(run.model.decode(run.params, grid).mean)
    figure = plots.manifold(unit(means), (low[0], high[0], low[1], high[1]))
    return captioned(figure, "Means of p(x|z) over the plane of z.")


def aggregated_posterior(run: Run, key: Any, plane_key: Any, most: int = 5000) -> Figure:
    """Draws z ~ q(z | x) of at most `most` test examples over the density of the prior."""
    x_key, z_key = jax.random.split(key)
    _, batch = examples(run.dataset, x_key, "test", most)
    z = run.model.encode(run.params, batch).sample(z_key)
    labels = run.dataset.labels.get("test")
    grid = _plane(run, plane_key, 100, margin=0.15)  # the contour of 99% is wider than each axis'
    log_prior = np.asarray(run.model.prior(run.params).log_prob(grid))
    labels = None if labels is None else labels[: len(z)]
    figure = plots.aggregated_posterior(np.asarray(z), labels, np.asarray(grid), log_prior)
    coloured = "" if labels is None else ", coloured by label"
    what = f"A draw from q(z|x) for each of {len(z):,} test examples{coloured}"
    return captioned(figure, f"{what}, over the density of the prior.")


NAMES = (
    "samples",
    "steps",
    "reconstructions",
    "interpolations",
    "traversals",
    "aggregated_posterior",
    "manifold",
    "densities",
)
