from typing import Annotated

import jax
from numpyro.distributions import constraints

from vae_jax.config.components import Part
from vae_jax.objectives.elbo import KL as METHODS
from vae_jax.objectives.elbo import elbo
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Bound,
    Estimator,
    Model,
    Params,
    Quantity,
)


def bound(
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 10,
    kl: Annotated[Part, METHODS] = "auto",
) -> Estimator:
    """The ELBO alone, with its terms, for models whose importance weights no number of draws tames.

    Such are those of many layers. `kl` is as in the objective `elbo`: `auto` takes it layer by
    layer, one draw after another, `one_layer` draws layers at random, `num_samples` of them for
    each example.
    """
    name = getattr(kl, "__name__", kl)
    how = f"mean over {num_samples} draws"
    quantities = {
        "elbo": Quantity(NATS, f"log_likelihood - kl_term, {how}", better="higher"),
        "log_likelihood": Quantity(NATS, f"E_q log p(x|z), {how}"),
        "kl_term": Quantity(NATS, f"KL(q(z|x) || p(z)), {name}, {how}"),
    }

    def of_example(model: Model, params: Params, key: Array, example: Batch) -> Bound:
        if callable(kl):
            return elbo(model, params, key, example, num_samples=num_samples, kl=kl)
        keys = jax.random.split(key, num_samples)
        draws = jax.lax.map(lambda one: elbo(model, params, one, example, kl=kl), keys)
        return jax.tree.map(lambda values: values.mean(0), draws)

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        one = jax.vmap(lambda key, example: of_example(model, params, key, example))
        value, _, terms = one(keys, batch)
        return {
            "elbo": value,
            "log_likelihood": terms["log_likelihood"],
            "kl_term": terms["kl"],
        }

    return Estimator(of_examples, quantities, floats_per_example=num_samples)
