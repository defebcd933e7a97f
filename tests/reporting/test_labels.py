"""The latent plane coloured by labels of any kind: every point is drawn, and the key stays short."""

import numpy as np
import pytest

from vae_jax.reporting import latent_plots

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(400, 2))
GRID = np.stack(np.meshgrid(np.linspace(-3, 3, 20), np.linspace(-3, 3, 20)), axis=-1)
MEASURED = 30 * Z[:, 0]
LABELS = {
    "classes": (RNG.integers(0, 10, 400), 11),
    "booleans": (Z[:, 0] > 0, 3),
    "names": (np.array([f"class {i}" for i in RNG.integers(0, 15, 400)]), 16),
    "many names": (np.array([f"class {i}" for i in RNG.integers(0, 99, 400)]), 22),
    "measurements": (MEASURED, 1),
    "measurements with gaps": (np.where(Z[:, 1] > 1, np.nan, MEASURED), 2),
    "many classes": (RNG.integers(0, 99, 400), 1),
    "classes with gaps": (np.where(Z[:, 1] > 1, np.nan, 1.0), 3),
    "none": (None, 2),
}


@pytest.mark.parametrize("kind", LABELS)
def test_every_point_is_drawn_and_the_key_is_short(kind):
    labels, entries = LABELS[kind]
    figure = latent_plots.aggregated_posterior(Z, labels, GRID, -0.5 * np.square(GRID).sum(-1))
    axes = figure.axes[0]
    lines = [np.asarray(line.get_xydata()) for line in axes.lines]
    has_scale = len(figure.axes) > 1
    points = [np.ma.getdata(axes.collections[-1].get_offsets())] if has_scale else []
    drawn = np.concatenate([*lines, *points])
    assert {tuple(p) for p in Z.tolist()} <= {tuple(p) for p in drawn.tolist()}
    assert len(axes.get_legend().get_texts()) == entries
    assert has_scale == (kind in ("measurements", "measurements with gaps", "many classes"))
