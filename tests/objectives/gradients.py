"""Gradients of objectives with many keys, and how to compare them."""

import jax
import numpy as np

from vae_jax.config import components

N = 10_000  # keys


def branch(gradient, name):
    """The gradient of one branch of the parameters, `[parameters]`."""
    leaves = [np.asarray(leaf, float) for leaf in jax.tree.leaves(gradient[name])]
    return np.concatenate([leaf.reshape(-1) for leaf in leaves])


def gradients(model, params, x, text, n, seed=0):
    """The surrogate's gradients with n keys: `[n, parameters]` of the encoder and the rest."""
    objective = components.build("objectives", text)

    def gradient(key):
        return jax.grad(lambda p: objective(model, p, key, x).surrogate)(params)

    @jax.jit
    def all_of_them(keys):
        return jax.lax.map(gradient, keys, batch_size=1000)

    def flat(tree):
        return np.concatenate([np.asarray(a).reshape(n, -1) for a in jax.tree.leaves(tree)], 1)

    rest = all_of_them(jax.random.split(jax.random.key(seed), n))
    inference = {name: rest.pop(name) for name in ("encoder", "posterior")}
    return [flat(inference), flat(rest)]


def apart(a, b):
    """The largest difference of means, in standard errors, over the parameters that are used."""
    error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    used = error > 1e-6
    assert used.sum() > 5
    return np.abs((a.mean(0) - b.mean(0))[used] / error[used]).max()


def signal_to_noise(draws):
    """|mean| / standard deviation over all parameters; the mean's own noise is taken off."""
    variance = draws.var(0, ddof=1).sum()
    return np.sqrt((draws.mean(0) ** 2).sum() - variance / len(draws)) / np.sqrt(variance)
