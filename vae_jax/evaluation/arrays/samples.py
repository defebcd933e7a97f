from typing import Any

import jax
import numpy as np
from numpyro.distributions import constraints

from vae_jax.batches.keys import keys_of
from vae_jax.config.components import checked
from vae_jax.config.ranges import require
from vae_jax.evaluation.arrays._pass import Arrays, Count, How, Seed, as_computed, compiled, passed
from vae_jax.runs.run import Run
from vae_jax.types import Array, Params


@checked
def samples(
    run: Run, n: int = 1000, *, seed: Seed = 0, batch_size: Count = 100, quiet: bool = True
) -> Arrays:
    """n draws of the model: z ~ p(z), the mean of p(x | z), and x ~ p(x | z).

    Args:
        run: the run.
        n: how many; the first ones of more are the same.
        seed: of all draws.
        batch_size: draws at a time; changes no number.
        quiet: no progress on stderr.

    Returns:
        `z_draw` `[n, latent_dim]`, `x_mean` and `x_draw` `[n, *x_shape]`.

    Raises:
        UserError: if n is not positive.
    """
    require(f"n={n}", n, constraints.positive_integer)
    key, model = keys_of(seed).sample, run.model

    def of_one(params: Params, key: Array) -> dict[str, Array]:
        z_key, x_key = jax.random.split(key)
        z = model.prior(params).sample(z_key)
        p = model.decode(params, z)
        return {"z_draw": z, "x_mean": p.mean, "x_draw": p.sample(x_key)}

    def values(params: Params, data: Any, raw: Array, ids: Array) -> dict[str, Array]:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)
        return jax.vmap(lambda key: of_one(params, key))(keys)

    how, program = How(seed, batch_size, None, quiet), compiled(run, ("samples", seed), values)
    arrays = passed(run, np.arange(n), program, (), "samples", how)
    return as_computed(arrays, "z_draw", "x_mean", "x_draw")
