"""Figures of the latents of test examples, of any number of dimensions, and sentences on them."""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.errors import UserError
from vae_jax.estimators._active import ACTIVE
from vae_jax.estimators._probes import NoClassesError, classes_of, neighbour
from vae_jax.estimators.latents import in_ranges
from vae_jax.evaluation.arrays.latents import latents
from vae_jax.plots import BLUE, captioned
from vae_jax.reporting import latent_plots, run_plots
from vae_jax.reporting.entries import Entry
from vae_jax.reporting.readable import sentence
from vae_jax.reporting.views import SPLIT, View
from vae_jax.runs.results import name_of

COLLAPSED, RARELY = 0.01, 0.01  # nats that are none, and the share of x that may have more
MIXED = 200  # conditions whose priors make the density of all
FEWEST = 20  # examples that UMAP takes


class Latents(NamedTuple):
    """q(z | x) of test examples."""

    mean: np.ndarray  # [n, latent_dim], as all others
    scale: np.ndarray
    draw: np.ndarray
    kl: np.ndarray | None  # nats of each dimension; None where they are not known one by one
    labels: np.ndarray | None  # [n]
    name: str  # of the examples

    @property
    def use(self) -> np.ndarray:
        """How much is made of each dimension, `[latent_dim]`: nats, or Var E[z_j | x]."""
        return self.mean.var(0) if self.kl is None else self.kl.mean(0)

    @property
    def is_collapsed(self) -> np.ndarray:
        """The dimensions that are not used, `[latent_dim]`."""
        if self.kl is None:
            return self.use <= ACTIVE
        return (self.kl >= COLLAPSED).mean(0) <= RARELY


def latents_of(view: View, seed: int) -> Latents | None:
    """Those of the examples that are shown; None of more layers than are taken one by one."""
    try:
        z = latents(view.run, view.batch, seed=seed)
    except UserError:
        return None
    is_all = len(view.rows) == len(view.run.dataset.splits[SPLIT])
    more = {"is_all": is_all, "num_examples": len(view.rows), "other_data": view.run.other_data}
    arrays = z["z_mean"], z["z_scale"], z["z_draw"], z.get("z_kl")
    return Latents(*arrays, view.labels, name_of(SPLIT, more))


def sentences(z: Latents) -> list[str]:
    """One or two on what is seen: how many dimensions are used, and what they tell apart."""
    return [sentence(text) for text in (used(z), told_apart(z)) if text]


def used(z: Latents) -> str:
    """`12 of 20 dimensions of z carry 24.8 nats; z_3, z_7 to z_13 are collapsed`."""
    d, off = len(z.use), np.flatnonzero(z.is_collapsed) + 1
    if z.kl is None:
        unused = f"; {in_ranges(off)} {'is' if len(off) == 1 else 'are'} not" if len(off) else ""
        return f"{d - len(off)} of {d} dimensions of z are active, Var E[z_j|x] > {ACTIVE}{unused}"
    if len(off) == d:
        return f"all of z is collapsed: KL(q(z_j|x) || p(z_j)) is below {COLLAPSED} nats"
    carried = f"{z.use[~z.is_collapsed].sum():.1f} nats"
    if not len(off):
        every = f"all {d}" if d > 2 else "both"
        one = f"the one dimension of z carries {carried}"
        return one if d == 1 else f"{every} dimensions of z are used: {carried}"
    are, carry = "is" if len(off) == 1 else "are", "carry" if d - len(off) > 1 else "carries"
    text = f"{d - len(off)} of {d} dimensions of z {carry} {carried}"
    return f"{text}; {in_ranges(off)} {are} collapsed"


def told_apart(z: Latents) -> str:
    """How well E[z | x] tells the labels: by its nearest neighbour, or by how numbers go along."""
    if z.labels is None or not z.mean.var(0).sum() > 0:
        return ""
    try:
        classes = classes_of(z.labels)
    except NoClassesError:
        return _along(z)
    right = neighbour(z.mean, classes)
    share, counts = np.nanmean(right), np.bincount(classes[classes >= 0])
    largest = counts.max() / counts.sum()
    return (
        f"the nearest other E[z|x] has the same label for {share:.0%} of {z.name}, where the "
        f"largest of {len(counts)} classes has {largest:.0%}"
    )


def _along(z: Latents) -> str:
    """Of labels that are numbers, the dimension that goes along with them most."""
    labels = np.asarray(z.labels)
    if labels.dtype.kind not in "iuf" or len(np.unique(labels[labels == labels])) < 3:
        return ""
    there = labels == labels
    y, mean = labels[there].astype(float), z.mean[there].astype(float)
    spread = mean.std(0) * y.std()
    both = ((mean - mean.mean(0)) * (y - y.mean())[:, None]).mean(0)
    r = np.divide(both, spread, out=np.zeros_like(both), where=spread > 0)
    j = int(np.abs(r).argmax())
    return f"of all, E[z_{j + 1}|x] goes along with the label most: correlation {r[j]:+.2f}"


def dimensions(z: Latents) -> Figure:
    """The KL of each dimension, the largest first, or the variance of E[z_j | x] without it."""
    squares = {"variance_by_unit": (z.mean - z.mean.mean(0)) ** 2}
    by_unit = squares if z.kl is None else {"kl_by_unit": z.kl}
    figure = run_plots.units(Entry(z.name, {"num_examples": len(z.mean)}, by_unit))
    return captioned(figure, f"{figure.get_label()} {sentence(used(z))}")


def projection(z: Latents) -> Figure:
    """E[z | x] by its two principal components, and by UMAP where that is installed."""
    panels = {"PCA": _components(z.mean)}
    if (points := _umap(z.mean)) is not None:
        panels["UMAP"] = points, ("", "")
    figure = Figure(figsize=(5.2 * len(panels) + 0.8, 4.6), layout="constrained")
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, (points, along)) in zip(every, panels.items(), strict=True):
        scatter(axes, points, z.labels, "E[z|x]")
        axes.set(title=name, xlabel=along[0], ylabel=along[1])
    _legend(every[-1])
    coloured = "" if z.labels is None else ", coloured by label"
    how = " and ".join({"PCA": "its two principal components", "UMAP": "UMAP"}[n] for n in panels)
    more = " ".join(sentences(z)[1:])
    return captioned(figure, f"E[z|x] of {z.name} by {how}{coloured}. {more}".strip())


def _components(mean: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """The two principal components `[n, 2]`, and the names of the axes with their shares."""
    from sklearn.decomposition import PCA

    if len(mean) < 2 or not mean.var(0).sum() > 0:  # collapsed: all are one point
        return np.zeros((len(mean), 2)), ("component 1", "component 2")
    pca = PCA(2, random_state=0)
    points = pca.fit_transform(mean.astype(np.float64))
    first, second = pca.explained_variance_ratio_
    of = "of the variance"
    return points, (f"component 1, {first:.0%} {of}", f"component 2, {second:.0%} {of}")


def _umap(mean: np.ndarray) -> np.ndarray | None:
    """UMAP's plane `[n, 2]`, always the same (McInnes et al. 2018); None where it is not there."""
    import warnings

    if len(np.unique(mean, axis=0)) < FEWEST:
        return None
    try:
        umap: Any = importlib.import_module("umap")
    except ImportError:
        return None
    if not hasattr(umap, "UMAP"):  # a folder of that name beside the user
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed leaves one thread
        return np.asarray(umap.UMAP(n_components=2, random_state=0).fit_transform(mean))


def line(view: View, z: Latents) -> Figure:
    """Draws z ~ q(z | x) of one dimension, a histogram by label, under the density of the prior."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    draws = z.draw[:, 0]
    low, high = draws.min(), draws.max()
    margin = 0.2 * max(high - low, 1e-3)
    at = np.linspace(low - margin, high + margin, 400)
    bins = np.linspace(low - 1e-6, high + 1e-6, 41)
    groups = _groups(z.labels, draws)
    area = len(draws) * (bins[1] - bins[0])
    weights = [np.full(len(group), 1 / area) for group in groups.values()]
    how: dict[str, Any] = {"stacked": True, "label": list(groups), "color": _colours(len(groups))}
    axes.hist(list(groups.values()), bins.tolist(), weights=weights, **how)
    density = np.exp(np.asarray(log_prior(view, jnp.asarray(at)[:, None])))
    axes.plot(at, density, color="black", lw=1.2, label="prior p(z)")
    axes.set(xlabel="$z$", ylabel="density", title="aggregated posterior and prior")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return captioned(figure, f"{_of_draws(z)}, under the density of the prior{view.told}.")


def _colours(count: int) -> list[Any]:
    return [BLUE] if count == 1 else list(latent_plots.class_colours(count)[:count])


def _groups(labels: np.ndarray | None, draws: np.ndarray) -> dict[str, np.ndarray]:
    """The draws by class, where there are at most so many; else all as one."""
    if labels is None or (labels.dtype.kind == "f" and (labels[labels == labels] % 1).any()):
        return {"$z \\sim q(z)$": draws}
    names = np.unique(labels[labels == labels])
    if not 2 <= len(names) <= latent_plots.MOST_CLASSES:
        return {"$z \\sim q(z)$": draws}
    groups = {str(name): draws[labels == name] for name in names}
    left = draws[~np.isin(labels, names)]
    return groups | ({"others": left} if len(left) else {})


def plane(view: View, z: Latents, grid: Any) -> Figure:
    """Draws z ~ q(z | x) over the density of the prior."""
    density = np.asarray(log_prior(view, grid))
    figure = latent_plots.aggregated_posterior(z.draw, z.labels, np.asarray(grid), density)
    return captioned(figure, f"{_of_draws(z)}, over the density of the prior{view.told}.")


def _of_draws(z: Latents) -> str:
    coloured = "" if z.labels is None else ", coloured by label"
    return f"A draw from q(z|x) for each of {len(z.draw):,} examples of {z.name}{coloured}"


def log_prior(view: View, z: Any) -> Any:
    """log p(z), of a conditional prior that of its mixture over the conditions of the examples."""
    prior = view.prior(view.conditions(MIXED))
    if not prior.batch_shape:
        return prior.log_prob(z)
    return logsumexp(prior.log_prob(z[..., None, :]), -1) - jnp.log(MIXED)


def scatter(axes: Axes, points: np.ndarray, labels: np.ndarray | None, name: str) -> None:
    """Points `[n, 2]`, coloured by label where there are labels."""
    if labels is None:
        axes.plot(*points.T, ".", ms=3, alpha=0.6, color=BLUE, label=name)
    else:
        latent_plots.labelled(axes, points, labels)


def _legend(axes: Axes) -> None:
    handles: Sequence[Any] = axes.get_legend_handles_labels()[0]
    if handles:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
