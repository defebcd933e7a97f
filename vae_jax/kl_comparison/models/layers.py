"""The KL of each layer: in closed form given the draws above, and sampled at the same draws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tabulate import tabulate

from vae_jax.divergences.layers import MOST_LAYERS, have_layers, kl_by_layer
from vae_jax.errors import UserError
from vae_jax.standard_errors import standard_error
from vae_jax.types import Array, Batch, Facts, Model, Params


def require_few(facts: Facts) -> None:
    """Refuses chains of more layers than are compared one by one, or drawn thousands of times."""
    if (count := len(getattr(facts.posterior, "sizes", ()))) > MOST_LAYERS:
        raise UserError(f"z has {count:,} layers: compare-kl takes at most {MOST_LAYERS}")


def of_layers(
    model: Model, params: Params, keys: Array, batch: Batch, num_samples: int
) -> dict[str, Array]:
    """`layers` and `layers_sampled`, means over the draws, and the variances of a draw of each.

    All are nats `[batch, layers]`, the top layer first; nothing unless q and p have layers.
    """
    if not have_layers(model.encode(params, batch), model.prior(params, *batch.conditions)):
        return {}

    def one(key: Array, example: Batch, k: Array) -> tuple[Array, Array]:
        q, p = model.encode(params, example), model.prior(params, *example.conditions)
        z = q.sample(jax.random.fold_in(key, k))
        pairs = zip(q.factors(z), p.factors(z), q.split(z), strict=True)
        return kl_by_layer(q, p, z), jnp.stack([a.log_prob(v) - b.log_prob(v) for a, b, v in pairs])

    along = jax.vmap(one, (0, 0, None))
    closed, sampled = jax.lax.map(lambda k: along(keys, batch, k), jnp.arange(num_samples))
    return {
        "layers": closed.mean(0),
        "layers_sampled": sampled.mean(0),
        "layers_variance": closed.var(0, ddof=1),
        "layers_sampled_variance": sampled.var(0, ddof=1),
    }


def summary(values: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Of each layer its number, from x, the two means with errors and the variances of a draw."""
    if "layers" not in values:
        return []
    closed, difference = values["layers"], values["layers_sampled"] - values["layers"]
    names = ("layers_variance", "layers_sampled_variance")
    variances = [values[name].mean(0) for name in names]
    return [
        {
            "layer": closed.shape[1] - i,
            "kl": float(closed[:, i].mean()),
            "standard_error": float(standard_error(closed[:, i])),
            "difference": float(difference[:, i].mean()),
            "difference_standard_error": float(standard_error(difference[:, i])),
            "variance": float(variances[0][i]),
            "sampled_variance": float(variances[1][i]),
        }
        for i in range(closed.shape[1])
    ]


def table(layers: list[dict[str, Any]]) -> list[str]:
    """The layers from the top one to that beside x; nothing where there are none."""
    if not layers:
        return []
    rows = [
        [
            layer["layer"],
            f"{layer['kl']:.4f} ± {layer['standard_error']:.4f}",
            f"{layer['difference']:+.5f} ± {layer['difference_standard_error']:.5f}",
            f"{layer['variance']:.4g}",
            f"{layer['sampled_variance']:.4g}",
        ]
        for layer in layers
    ]
    names = ["layer", "KL given those above", "sampled - that", "variance of a draw", "sampled"]
    return [tabulate(rows, names, disable_numparse=True)]
