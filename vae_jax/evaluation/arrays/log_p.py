from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.estimators.importance import LARGEST, importance
from vae_jax.evaluation.arrays._pass import Arrays, Count, First, How, Seed, of_examples
from vae_jax.runs.run import Run
from vae_jax.types import Examples

NAMES = (
    *("log_p", "log_p_error", "elbo", "log_likelihood", "kl", "kl_sampled"),
    *("effective_sample_size", "pareto_k"),
)


@checked
def log_p(
    run: Run,
    examples: Examples | str = "test",
    *,
    num_samples: Annotated[int, constraints.integer_interval(1, LARGEST)] = 5000,
    seed: Seed = 0,
    batch_size: Count = 100,
    num_examples: First = None,
    quiet: bool = True,
) -> Arrays:
    """log p(x) of each example by importance sampling, with its Monte Carlo error, and the ELBO.

    They are the numbers that `evaluate` means over, of the same draws.

    Args:
        run: the run.
        examples: the name of a split, or x or a `Batch` as `run.present` makes them.
        num_samples: draws of z for each example.
        seed: of all draws.
        batch_size: examples at a time; changes no number.
        num_examples: the first of them; None: all.
        quiet: no progress on stderr.

    Returns:
        `[n]` each: nats `log_p` and its `log_p_error`, `elbo` and its terms `log_likelihood` and,
        where it has a closed form, `kl`, as sampled `kl_sampled`; and what the weights are worth,
        `effective_sample_size` in draws and `pareto_k`.

    Raises:
        UserError: for a split that is not there, and for examples that the model does not take.
    """
    estimator = importance(num_samples=num_samples, iwae_samples=())
    how, name = How(seed, batch_size, num_examples, quiet), f"log_p(num_samples={num_samples})"
    values = of_examples(run, examples, name, estimator, how)
    every = values | estimator.derive(run.facts, values)
    return {name: every[name] for name in NAMES if name in every}
