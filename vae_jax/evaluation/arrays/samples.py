from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from vae_jax.batches.keys import keys_of
from vae_jax.batches.splits import codes_of
from vae_jax.config.components import checked
from vae_jax.config.ranges import require
from vae_jax.evaluation.arrays._pass import Arrays, Count, How, Seed, as_computed, compiled, passed
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Params

OF_GIVEN = 2**32 - 1  # the number of the key of conditions; those of draws count from 0


@checked
def samples(
    run: Run,
    n: int = 1000,
    given: Any = None,
    *,
    seed: Seed = 0,
    batch_size: Count = 100,
    quiet: bool = True,
) -> Arrays:
    """n draws of the model: z ~ p(z), the mean of p(x | z), and x ~ p(x | z).

    Args:
        run: the run.
        n: how many; the first ones of more are the same.
        given: of a conditional model, as it was brought: one condition, or one for each draw. None:
            those of training examples that are drawn with them.
        seed: of all draws.
        batch_size: draws at a time; changes no number.
        quiet: no progress on stderr.

    Returns:
        `z_draw` `[n, latent_dim]`, `x_mean` and `x_draw` `[n, *x_shape]`; and of a conditional
        model `given`, `[n]` or `[n, G]`, as it was brought.

    Raises:
        UserError: if n is not positive, and for a condition that there is not.
    """
    require(f"n={n}", n, constraints.positive_integer)
    key, model, codes = keys_of(seed).sample, run.model, _codes(run, n, given, seed)

    def of_one(params: Params, key: Array, example: Batch) -> dict[str, Array]:
        z_key, x_key = jax.random.split(key)
        z = model.prior(params, *example.conditions).sample(z_key)
        p = model.decode(params, z, *example.conditions)
        return {"z_draw": z, "x_mean": p.mean, "x_draw": p.sample(x_key)}

    def values(params: Params, data: Any, codes: Array, ids: Array) -> dict[str, Array]:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)
        coding = run.dataset.coding
        batch = Batch(ids, None if coding is None else coding.expand(codes))  # its x is not used
        return jax.vmap(lambda key, one: of_one(params, key, one))(keys, batch)

    how, program = How(seed, batch_size, None, quiet), compiled(run, ("samples", seed), values)
    every = passed(run, codes, program, (), "samples", how)
    arrays = as_computed(every, "z_draw", "x_mean", "x_draw")
    return arrays if run.dataset.coding is None else arrays | {"given": _brought(run, codes)}


def _codes(run: Run, n: int, given: Any, seed: int) -> np.ndarray:
    """The condition of each draw, as a device keeps it; zeros `[n]` where there is none."""
    if run.dataset.coding is not None and given is None:
        return _of_data(run, n, seed)
    return np.zeros(n) if given is None else codes_of(run.dataset, given, n)


def _of_data(run: Run, n: int, seed: int) -> np.ndarray:
    """The conditions of n examples, drawn from the training split where that is there."""
    every = run.dataset.given
    codes = np.asarray(every["train"] if "train" in every else next(iter(every.values())))
    key = jax.random.fold_in(keys_of(seed).sample, OF_GIVEN)

    def row(i: Array) -> Array:
        return jax.random.randint(jax.random.fold_in(key, i), (), 0, len(codes))

    return codes[np.asarray(jax.vmap(row)(jnp.arange(n)))]


def _brought(run: Run, codes: np.ndarray) -> np.ndarray:
    """The conditions as they were brought, `[n]`, or `[n, G]` of several numbers."""
    coding = run.dataset.coding
    assert coding is not None
    if coding.classes is not None:
        return coding.classes[codes]
    assert coding.standardization is not None
    numbers = coding.standardization.undo(codes)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers
