"""The figure of imputations: images of which a half is hidden too, and what a model fills in."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.estimators._imputing import impute
from vae_jax.estimators._rows import decoded_rows
from vae_jax.plots import captioned
from vae_jax.reporting.views import View

COLUMNS, NUM_SAMPLES = 12, 1000


def imputations(view: View, key: Any) -> Figure:
    """Test images, what is left of them without their lower half, and that filled in again.

    Args:
        view: of images of which values are missing.
        key: of what is drawn.
    """
    batch, x = view.first(COLUMNS), view.x[:COLUMNS]
    left = x.copy()
    left[:, x.shape[1] // 2 :] = np.nan
    is_left = jnp.asarray(~np.isnan(left))
    seen = batch._replace(x=jnp.nan_to_num(jnp.asarray(left)), observed=is_left)
    of_model = partial(impute, view.run.model, num_samples=NUM_SAMPLES, num_draws=2)
    program = jax.jit(partial(of_model, rows=decoded_rows(view.run.model, view.run.params)))
    filled = program(view.run.params, jax.random.split(key, len(x)), seen)
    rows = {"$x$": x, "seen": left, "mean": filled.mean}
    rows |= {f"draw {i + 1}": draw for i, draw in enumerate(filled.draws.swapaxes(0, 1))}
    figure = plots.image_rows({name: view.unit(images) for name, images in rows.items()})
    what = "Test examples x, grey where a value is missing; what is seen of them"
    how = f"E[x|x_seen] by importance sampling, K = {NUM_SAMPLES}"
    return captioned(figure, f"{what}, the upper half; {how}; and two draws of p(x|x_seen).")
