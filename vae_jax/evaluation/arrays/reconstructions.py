import jax

from vae_jax.config.components import checked
from vae_jax.evaluation.arrays._pass import (
    Arrays,
    Count,
    First,
    How,
    Seed,
    as_computed,
    of_examples,
)
from vae_jax.evaluation.arrays.latents import first_draw
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Estimator, Examples, Model, Params

OF_X = 2**32 - 2  # the number of the draw of x; those of z count from 0


@checked
def reconstructions(
    run: Run,
    examples: Examples | str = "test",
    *,
    seed: Seed = 0,
    batch_size: Count = 100,
    num_examples: First = None,
    quiet: bool = True,
) -> Arrays:
    """p(x | z) at one z ~ q(z | x) of each example: its mean and a draw.

    Args:
        run: the run.
        examples: the name of a split, or x or a `Batch` as `run.present` makes them.
        seed: of all draws.
        batch_size: examples at a time; changes no number.
        num_examples: the first of them; None: all.
        quiet: no progress on stderr.

    Returns:
        `x_mean` and `x_draw`, `[n, *x_shape]`. z is the `z_draw` of `latents`.

    Raises:
        UserError: for a split that is not there, and for examples that the model does not take.
    """

    def of_one(model: Model, params: Params, key: Array, example: Batch) -> dict[str, Array]:
        z = first_draw(model, params, key, example)
        p = model.decode(params, z, *example.conditions)
        return {"x_mean": p.mean, "x_draw": p.sample(jax.random.fold_in(key, OF_X))}

    def values(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        return jax.vmap(lambda key, one: of_one(model, params, key, one))(keys, batch)

    how = How(seed, batch_size, num_examples, quiet)
    arrays = of_examples(run, examples, "reconstructions", Estimator(values, {}), how)
    return as_computed(arrays, "x_mean", "x_draw")
