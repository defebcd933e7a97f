from typing import Annotated

import jax
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.estimators.latents import latents as use_of_latents
from vae_jax.evaluation.arrays._pass import (
    Arrays,
    Count,
    First,
    How,
    Seed,
    as_computed,
    of_examples,
)
from vae_jax.runs.run import Run
from vae_jax.types import Array, Batch, Examples, Model, Params

NAMES = {"latent_mean": "z_mean", "latent_scale": "z_scale", "draw": "z_draw", "kl_by_unit": "z_kl"}


@checked
def latents(
    run: Run,
    examples: Examples | str = "test",
    *,
    num_samples: Annotated[int, constraints.integer_greater_than(2)] = 10,
    seed: Seed = 0,
    batch_size: Count = 100,
    num_examples: First = None,
    quiet: bool = True,
) -> Arrays:
    """q(z | x) of each example: its mean and its standard deviation, a draw, and the KLs.

    Args:
        run: the run.
        examples: the name of a split, or x or a `Batch` as `run.present` makes them.
        num_samples: draws, where a moment has no closed form; an even number.
        seed: of all draws.
        batch_size: examples at a time; changes no number.
        num_examples: the first of them; None: all.
        quiet: no progress on stderr.

    Returns:
        `z_mean`, `z_scale`, `z_draw`, and where the prior is a product `z_kl`, the nats of
        KL(q(z_j | x) || p(z_j)); `[n, latent_dim]` each. `z_draw` is the first of the draws that
        `evaluate` takes with this seed.

    Raises:
        UserError: for a split that is not there, and for examples that the model does not take.
    """
    estimator = use_of_latents(num_samples=num_samples)

    def values(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        every = estimator.of_examples(model, params, keys, batch) | {
            "draw": jax.vmap(lambda key, one: first_draw(model, params, key, one))(keys, batch)
        }
        return {new: every[name] for name, new in NAMES.items() if name in every}

    how, name = How(seed, batch_size, num_examples, quiet), f"latents(num_samples={num_samples})"
    arrays = of_examples(run, examples, name, estimator._replace(of_examples=values), how)
    return as_computed(arrays, *NAMES.values())


def first_draw(model: Model, params: Params, key: Array, example: Batch) -> Array:
    """z `[latent_dim]`, the first of the draws of `log_weights` for one example."""
    q = model.encode(params, example)
    return q.sample_with_intermediates(jax.random.fold_in(key, 0))[0]
