"""Figures of a trained model: samples, reconstructions, interpolations, the latent space."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.batches.keys import keys_of
from vae_jax.distributions.diffusion import Denoising
from vae_jax.errors import UserError
from vae_jax.model import fixed
from vae_jax.plots import captioned
from vae_jax.progress import each, said_when_late
from vae_jax.reporting import latent_plots, latent_space
from vae_jax.reporting.conditions import classes, conditions_of
from vae_jax.reporting.densities import densities, estimator_of
from vae_jax.reporting.imputed import imputations
from vae_jax.reporting.latent_space import Latents, latents_of
from vae_jax.reporting.places import has_few_layers
from vae_jax.reporting.table_plots import distributions
from vae_jax.reporting.traversals import traversals
from vae_jax.reporting.views import View, flat, view_of
from vae_jax.runs.run import Run
from vae_jax.types import Array
from vae_jax.weights import of_seen

EXAMPLES = 1000  # that figures are of, at least where there are so many
MOST_COLUMNS = 32  # of a table, whose distributions are drawn one by one
SIDE = 20  # of the grid over the latent plane
AGREEMENT = "Each element of test examples against the mean of p(x|z), z ~ q(z|x)"
ROWS = "Test examples x, the mean of p(x|z) for one z ~ q(z|x), and a draw from that."
Drawings = dict[str, Callable[[], Figure]]


class Seen(NamedTuple):
    """The figures of a run by name, and a sentence or two on what is seen in them."""

    figures: dict[str, Figure]
    sentences: list[str]


def sample(
    run: Run,
    seed: int = 0,
    num_samples: int = 64,
    *,
    steps: int | None = None,
    given: str | None = None,
    quiet: bool = False,
) -> Seen:
    """The figures that suit the data and the latent space, by name.

    Args:
        run: the run.
        seed: of every draw shown.
        num_samples: draws from the prior that are shown.
        steps: of a prior that denoises, on the way from noise to data; None: all it has.
        given: of a conditional model, the condition of all draws; None: those of test examples.
        quiet: no progress on stderr.

    Raises:
        UserError: for steps of a prior that has none, and a condition that the model does not have.
    """
    keys = jax.random.split(keys_of(seed).sample, 6)
    with said_when_late("encoding examples, and drawing from the prior"):
        view = view_of(run, keys[0], max(EXAMPLES, num_samples), given)
        z = latents_of(view, seed)
        drawings = _of_x(view, keys, num_samples, steps) | (_of_z(view, z, keys) if z else {})
    with plots.styled():
        names = each(list(drawings), "figure", "draw", quiet=quiet)
        figures = {name: drawings[name]() for name in names}
    return Seen(figures, latent_space.sentences(z) if z else [])


def _of_x(view: View, keys: Any, num_samples: int, steps: int | None) -> Drawings:
    """The functions that draw the figures of x, by name."""
    run, count = view.run, num_samples if view.is_image else len(view.x)
    ways = _ancestral(view, keys[1], count, steps)
    drawings: Drawings = {
        "samples": lambda: samples(view, *ways),
        "reconstructions": lambda: reconstructions(view, keys[2]),
    }
    if 2 < flat(view.x).shape[1] <= MOST_COLUMNS and not view.is_image:
        drawings["columns"] = lambda: columns(view, ways[1])
    if (rows := conditions_of(view)) and view.given is None:
        drawings["classes"] = lambda: classes(view, keys[1], rows)
    if view.is_image and run.dataset.missing and has_few_layers(run.config):
        drawings["imputations"] = lambda: imputations(view, keys[3])
    if isinstance(view.prior(view.condition), Denoising):
        drawings["steps"] = lambda: on_the_way(view, keys[1], steps)
    elif steps is not None:
        raise UserError("--steps is of a prior that denoises: prior=denoising(...)")
    else:
        drawings["interpolations"] = lambda: interpolations(view, keys[2])
    is_of_one = view.batch.given is None or view.given is not None
    model = run.model if view.given is None else fixed(run.model, view.given)
    if is_of_one and (estimator := estimator_of(run, model)):
        shown = view.x, ways[1], view.given
        drawings["densities"] = lambda: densities(run, model, estimator, *shown)
    return drawings


def _of_z(view: View, z: Latents, keys: Any) -> Drawings:
    """The functions that draw the figures of the latent space, by name."""
    size, drawings = z.mean.shape[1], Drawings()
    if size > 1:
        drawings["dimensions"] = lambda: latent_space.dimensions(z)
    if not isinstance(view.prior(view.condition), Denoising):
        drawings["traversals"] = lambda: traversals(view, z)
    if size == 1:
        drawings["aggregated_posterior"] = lambda: latent_space.line(view, z)
    elif size == 2:
        grid = _plane(view, keys[4], 100, margin=0.15)  # a contour of 99% is wider than each axis'
        drawings["aggregated_posterior"] = lambda: latent_space.plane(view, z, grid)
        if view.is_image:
            drawings["manifold"] = lambda: manifold(view, keys[4])
    else:
        drawings["projection"] = lambda: latent_space.projection(z)
    return drawings


def _ancestral(view: View, key: Any, count: int, steps: int | None = None) -> tuple[Any, Any]:
    """Means of p(x | z), and draws x ~ p(x | z), for z ~ p(z)."""
    z_key, x_key = jax.random.split(key)
    conditions = view.conditions(count)
    prior = view.prior(conditions)
    if steps is not None and isinstance(prior, Denoising):
        z = _path(view, z_key, count, steps)[-1]
    elif prior.batch_shape:
        z = prior.sample(z_key)
    else:
        z = prior.sample(z_key, (count,))
    p = view.decode(z, conditions)
    return p.mean, p.sample(x_key)


def _path(view: View, key: Any, count: int, steps: int | None) -> Any:
    """The layers of z from noise to data, `[steps + 1, count, size]`; all of them have noise."""
    prior = view.prior(view.conditions(count))
    return prior.path(key, (count,), steps=steps, eta=1.0 if steps is None else 0.0)


def on_the_way(view: View, key: Any, steps: int | None) -> Figure:
    """The layers of z from noise to data, decoded as if each were the last one."""
    count = 8 if view.is_image else len(view.x)
    path = _path(view, key, count, steps)
    shown = np.unique(np.linspace(0, len(path) - 1, 10 if view.is_image else 5).astype(int))
    means = np.asarray(view.decode(path[shown], view.conditions(count)).mean)
    how = "every one as in the model" if steps is None else f"{steps} steps without noise (DDIM)"
    what = f"Layers of z from noise to data, each decoded as the last one is: {how}{view.told}"
    if view.is_image:
        rows = {f"{i + 1}": view.unit(row) for i, row in enumerate(means.swapaxes(0, 1))}
        return captioned(plots.image_rows(rows), f"{what}.")
    names = [f"after step {i}" for i in shown]
    return points(view, dict(zip(names, means, strict=True)), what)


def points(view: View, panels: dict[str, Any], what: str) -> Figure:
    """Vectors by their two elements that vary most, a panel each."""
    vectors = {name: view.brought(x) for name, x in panels.items()}
    figure = plots.point_panels(vectors, view.shown, view.are_counts(), view.names)
    return captioned(figure, f"{what}{view.elements}{view.units}.")


def samples(view: View, means: Any, draws: Any) -> Figure:
    """Test data beside means and draws of p(x | z), z ~ p(z); of vectors as many as there are x."""
    panels = {
        "data": view.x[: len(means)],
        r"means of $p(x \mid z)$, $z \sim p(z)$": means,
        r"draws $x \sim p(x \mid z)$": draws,
    }
    of_each = ", each under the condition of a test example" if view.condition else ""
    what = "Test data, and means of p(x|z) and draws from it for z drawn from the prior"
    what += view.told or of_each
    if not view.is_image:
        return points(view, panels, what)
    images = {name: view.unit(x) for name, x in panels.items()}
    return captioned(plots.image_panels(images, int(np.ceil(np.sqrt(len(means))))), f"{what}.")


def columns(view: View, draws: Any) -> Figure:
    """The distribution of each element of vectors: of test data, and of draws of the model."""
    figure = distributions(view.brought(view.x), view.brought(draws), view.names)
    what = f"Each element of x: test data, and draws from the model{view.told}{view.units}"
    return captioned(figure, f"{what}; shares of those that were observed.")


def reconstructions(view: View, key: Any) -> Figure:
    """Test examples beside the mean of p(x | z) and a draw from it, z ~ q(z | x)."""
    count = 12 if view.is_image else len(view.x)
    batch, (z_key, x_key) = view.first(count), jax.random.split(key)
    q = of_seen(view.run.model, view.run.model.encode(view.run.params, batch))
    p = view.decode(q.sample(z_key), batch.conditions)
    x = view.x[:count]
    if not view.is_image:
        as_seen = "" if view.run.dataset.standardization is None else ", standardized"
        figure = plots.agreement(flat(x), flat(p.mean), view.are_counts())
        return captioned(figure, f"{AGREEMENT}{as_seen}{view.told}.")
    rows = {"$x$": x, "mean": p.mean, "draw": p.sample(x_key)}
    figure = plots.image_rows({name: view.unit(images) for name, images in rows.items()})
    return captioned(figure, ROWS)


def interpolations(view: View, key: Any, pairs: int = 6, steps: int = 12) -> Figure:
    """Means of p(x | z) along straight lines between draws z ~ q(z | x) of test examples."""
    pairs = min(pairs, len(view.x) // 2)
    batch = view.first(2 * pairs)
    z = view.run.model.encode(view.run.params, batch).sample(key).reshape(pairs, 2, -1)
    t = jnp.linspace(0, 1, steps)[None, :, None]
    line = z[:, :1] * (1 - t) + z[:, 1:] * t
    of_first = tuple(each[::2][:, None] for each in batch.conditions)
    means = np.asarray(view.decode(line, of_first).mean)
    what = f"Means of p(x|z) along straight lines in z between {pairs} pairs of test examples"
    what += ", under the condition of the first" if of_first else ""
    if not view.is_image:
        lines = view.brought(means.reshape(-1, *means.shape[2:])).reshape(pairs, steps, -1)
        figure = plots.paths(lines, view.shown, view.are_counts(means), view.names)
        return captioned(figure, f"{what}{view.elements}{view.units}.")
    rows = {f"{i + 1}": view.unit(row) for i, row in enumerate(means)}
    return captioned(plots.image_rows(rows), f"{what}.")


def _plane(view: View, key: Any, side: int, margin: float = 0.0) -> Array:
    """A grid `[side, side, 2]` over the prior's mass and a margin; the second axis is z_1."""
    prior = view.prior(view.conditions(len(view.x)))
    each = -(-10_000 // int(np.prod(prior.batch_shape)))  # draws of each condition
    draws = prior.sample(key, (each,)).reshape(-1, 2)
    low, high = jnp.quantile(draws, jnp.array([0.002, 0.998]), axis=0)
    more = margin * (high - low)
    z_1, z_2 = jnp.linspace(low - more, high + more, side, axis=1)
    return jnp.stack(jnp.meshgrid(z_1, z_2), axis=-1)


def manifold(view: View, key: Any) -> Figure:
    """Means of p(x | z) over a grid of the latent plane."""
    grid = _plane(view, key, SIDE)
    low, high = (tuple(map(float, grid[i, i])) for i in (0, -1))
    means = np.asarray(view.decode(grid, view.condition).mean)
    figure = latent_plots.manifold(view.unit(means), (low[0], high[0], low[1], high[1]))
    of_first = ", under the condition of the first test example" if view.condition else ""
    return captioned(figure, f"Means of p(x|z) over the plane of z{view.told or of_first}.")


NAMES = (
    *("samples", "columns", "classes", "steps", "reconstructions", "imputations"),
    *("interpolations", "traversals", "aggregated_posterior", "projection", "manifold"),
    *("dimensions", "densities"),
)
