"""The numbers of each layer of a model that has several."""

import jax
import numpy as np

from vae_jax.distributions.chain import Chain
from vae_jax.divergences.layers import MOST_LAYERS, have_layers, kl_by_layer
from vae_jax.divergences.units import moments
from vae_jax.estimators._active import ACTIVE, halves, products, variances
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

DRAWS = 10
TERM = f"KL of layer {{}}, in closed form given the draws above where it has one, {DRAWS} draws"
UPWARDS = f"E log q(z_l | z_l-1) - log p(z_l | z_l+1) of layer {{}}, no KL, {DRAWS} draws"
UNITS = f"dimensions j of layer {{}} with Var_x E[z_j | x] clearly over {ACTIVE}"


def of_layers(facts: Facts) -> list[Estimator]:
    """The KL and the active units of each layer of z, which is computed unasked.

    Layer 1 is beside x, as in the papers. `kl_layer_l` is E_q KL(q(z_l | z_>l, x) || p(z_l | z_>l))
    (Sonderby et al. 2016), and their sum the KL. Of a posterior that is drawn upwards that of the
    top alone is a KL, and the others are E_q log q - log p, which may be negative.
    `active_layer_l` counts the dimensions of which the variance of E[z | x] over examples exceeds
    0.01 by two standard errors (Burda et al. 2016, section 5.1); it is the covariance of the means
    over two halves of the draws of the other layers, whose noise is independent.

    Returns:
        one estimator, or none where there are no layers, or too many to be told one by one.
    """
    q = facts.posterior
    if not (isinstance(q, Chain) and have_layers(q, facts.prior) and len(q.sizes) <= MOST_LAYERS):
        return []
    numbers = range(1, len(q.sizes) + 1)
    terms = [TERM] * len(numbers) if not q.upwards else [UPWARDS] * (len(numbers) - 1) + [TERM]
    named = zip(numbers, terms, strict=True)
    quantities = {f"kl_layer_{n}": Quantity(NATS, term.format(n)) for n, term in named}
    quantities |= {f"active_layer_{n}": Quantity("dimensions", UNITS.format(n)) for n in numbers}

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def one(key: Array, example: Batch) -> dict[str, Array]:
            q, p = model.encode(params, example), model.prior(params, *example.conditions)
            z = q.sample(key, (DRAWS,))
            terms = kl_by_layer(q, p, z).mean(0)
            named = {f"kl_layer_{n}": kl for n, kl in _from_below(terms)}
            layers = reversed(q.split(halves(moments(q, z)[0])))
            return named | {f"_means_{n}": layer for n, layer in enumerate(layers, 1)}

        return jax.vmap(one)(keys, batch)

    return [Estimator(of_examples, quantities, summary=_summary, floats_per_example=DRAWS)]


def _from_below(terms: Array) -> list[tuple[int, Array]]:
    """The terms `[layers]`, the top one first, with the numbers of their layers."""
    return [(len(terms) - i, term) for i, term in enumerate(terms)]


def _summary(values: Values) -> dict[str, Number]:
    """The means, and the number of active dimensions of each layer."""
    named = {name: array for name, array in values.items() if name.startswith("kl_layer_")}
    counts = {
        f"active_layer_{name.removeprefix('_means_')}": _active(array)
        for name, array in values.items()
        if name.startswith("_means_")
    }
    return means(named) | counts


def _active(means_of: np.ndarray) -> Number:
    """The dimensions of z, `[n, 2, size]`, whose two means vary together, beyond their noise."""
    variance, error = variances(products(means_of))
    return Number(float((variance > ACTIVE + 2 * error).sum()), None, len(means_of))
