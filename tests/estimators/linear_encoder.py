"""Runs whose q(z | x) is N(Ax + b, S) for a matrix A that is given, so that all is known of it."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.by_hand import run_of
from vae_jax import build_model
from vae_jax.datasets import make_dataset


def run_with(x, kernel, bias, labels=None, **parts):
    """A run on `x` whose encoder's features are `x @ kernel + bias`.

    Args:
        x: the test split, `[n, size]`.
        kernel: `[size, features]`.
        bias: `[features]`.
        labels: of the test split.
        parts: of the model, with `latent_dim`.
    """
    x = np.asarray(x, np.float32)
    latent_dim = parts.pop("latent_dim")
    options = {"encoder": "linear", "decoder": "linear", "likelihood": "normal"} | parts
    model = build_model(x.shape[1:], latent_dim, **options)
    params = model.init(jax.random.key(0), x)
    dense = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    params["encoder"] = {"Dense_0": dense}
    by_split = {} if labels is None else {"test": np.asarray(labels)}
    return run_of(model, make_dataset({"train": x, "test": x}, labels=by_split), params)
