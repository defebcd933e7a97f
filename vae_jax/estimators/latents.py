from collections.abc import Mapping
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from vae_jax.divergences.layers import require_few_layers
from vae_jax.divergences.units import kl_by_unit, moments
from vae_jax.errors import UserError
from vae_jax.estimators._active import ACTIVE, halves, products, variances
from vae_jax.estimators._probes import FOLDS, NoClassesError, classes_of, neighbour, probe
from vae_jax.types import (
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

NO_KL = (
    "latents: no kl_by_unit and no collapsed_units, since q(z|x) or p(z) is not known dimension by "
    "dimension"
)


def latents(
    *,
    num_samples: Annotated[int, constraints.integer_greater_than(2)] = 10,
    epsilon: Annotated[float, constraints.positive] = 0.01,
    delta: Annotated[float, constraints.unit_interval] = 0.01,
) -> Estimator:
    """The use of each dimension of z: active and collapsed units, scales, and labels told from z.

    `active_units` have Var_x E[z_j | x] > 0.01 (Burda et al. 2016, section 5.1); the terms of that
    variance are the array `variance_by_unit`. `collapsed_units` have KL(q(z_j|x) || p(z_j)) below
    `epsilon` nats for all but a share `delta` of the examples (Lucas et al. 2019, definition 1);
    these KLs are `kl_by_unit`, where the prior is a product. `latent_mean`, `latent_scale` are the
    mean and the standard deviation of q(z_j|x); all these arrays are `[n, latent_dim]`.
    `probe_accuracy` is that of a linear probe of E[z|x] in 5 folds, `neighbour_accuracy` that of
    the nearest other example, where the data has labels of classes.

    `num_samples` draws, an even number, serve where a mean, a scale or a KL has no closed form, and
    for the layers above where there are layers, of which the conditionals are meant.
    """

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def one(key: Array, example: Batch) -> dict[str, Array]:
            q, p = model.encode(params, example), model.prior(params, *example.conditions)
            z = q.sample(key, (num_samples,))
            mean, variance = moments(q, z)
            scale = jnp.sqrt(variance.mean(0) + mean.var(0, ddof=1))
            arrays = {
                "latent_mean": mean.mean(0),
                "latent_scale": scale,
                "mean_scale": scale.mean(),
                "_mean_halves": halves(mean),
            }
            kl = kl_by_unit(q, p, z)
            return arrays if kl is None else arrays | {"kl_by_unit": kl}

        return jax.vmap(one)(keys, batch)

    def require(facts: Facts) -> None:
        if num_samples % 2:
            raise UserError(f"num_samples={num_samples}: an even number, of two halves, is needed")
        require_few_layers(facts, "latents takes")

    def summary(values: Values) -> dict[str, Number]:
        numbers = means({"mean_scale": values["mean_scale"]}) | {"active_units": _active(values)}
        if "kl_by_unit" in values:
            numbers["collapsed_units"] = _collapsed(values["kl_by_unit"], epsilon, delta)
        return numbers | _accuracies(values, quantities)

    quantities = _quantities(num_samples, epsilon, delta)
    return Estimator(of_examples, quantities, require, summary, _derive, num_samples)


def _quantities(num_samples: int, epsilon: float, delta: float) -> dict[str, Quantity]:
    where = f"{num_samples} draws where it has no closed form"
    probed = {
        "probe_accuracy": f"logistic regression of labels on E[z|x], in {FOLDS} folds",
        "neighbour_accuracy": "the label of the nearest other E[z|x]",
    }
    return {
        "active_units": Quantity("dimensions", f"j with Var_x E[z_j|x] > {ACTIVE}, {where}"),
        "collapsed_units": Quantity("dimensions", f"j with {_little(epsilon, delta)}, {where}"),
        "mean_scale": Quantity("units of z", f"standard deviation of q(z_j|x), over j, {where}"),
        **{n: Quantity("share of examples", how, better="higher") for n, how in probed.items()},
    }


def _little(epsilon: float, delta: float) -> str:
    return f"KL(q(z_j|x) || p(z_j)) < {epsilon:g} nats for {1 - delta:.4g} of all x or more"


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The terms of the variance of means, and for each example whether its class is told from z."""
    arrays, mean = {"variance_by_unit": products(values["_mean_halves"])}, values["latent_mean"]
    labels = facts.dataset.labels.get(facts.split) if facts.dataset else None
    if labels is None:
        return arrays
    try:
        classes = classes_of(labels[: len(mean)])
    except NoClassesError as error:
        return arrays | {"_no_classes": np.array(str(error))}
    right = {"probe_accuracy": probe(mean, classes), "neighbour_accuracy": neighbour(mean, classes)}
    return arrays | right | {"_classes": classes}


def _active(values: Values) -> Number:
    """The number of active units, how sure it is, and what is left out."""
    variance, error = variances(values["variance_by_unit"])
    unsure = (np.abs(variance - ACTIVE) < 2 * error).sum()
    near = f"active_units: {unsure} of {len(variance)} within 2 standard errors of {ACTIVE}"
    remarks = [near] if unsure else []
    remarks += [] if "kl_by_unit" in values else [NO_KL]
    remarks += [f"latents: {values[n]}: no probe" for n in ("_no_classes",) if n in values]
    count, n = (variance > ACTIVE).sum(), len(values["variance_by_unit"])
    return Number(float(count), None, n, remark="; ".join(remarks))


def _collapsed(kl: np.ndarray, epsilon: float, delta: float) -> Number:
    """The number of (epsilon, delta)-collapsed units of KLs `[n, latent_dim]`, and their names."""
    collapsed = (~(kl < epsilon)).mean(0) <= delta
    which = np.flatnonzero(collapsed) + 1
    are = "is" if len(which) == 1 else "are"
    named = "all of z is" if collapsed.all() else f"{in_ranges(which)} {are}"
    remark = f"{named} collapsed: {_little(epsilon, delta)}" if len(which) else ""
    return Number(float(len(which)), None, len(kl), remark=remark)


def in_ranges(numbers: np.ndarray) -> str:
    """`z_3, z_7 to z_12` of the numbers 3, 7, 8, ..., 12, which increase."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    texts = [[f"z_{n}" for n in run] for run in runs]
    return ", ".join(f"{t[0]} to {t[-1]}" if len(t) > 2 else ", ".join(t) for t in texts)


def _accuracies(values: Values, quantities: Mapping[str, Quantity]) -> dict[str, Number]:
    """The shares of examples whose class is told, beside that of the largest class."""
    if "_classes" not in values:
        return {}
    counts = np.bincount(values["_classes"][values["_classes"] >= 0].astype(int))
    chance = f"{len(counts)} classes, the largest {counts.max() / counts.sum():.1%}"
    right = {name: values[name] for name in ("probe_accuracy", "neighbour_accuracy")}
    numbers = means({name: array[~np.isnan(array)] for name, array in right.items()})
    return {n: of._replace(how=f"{quantities[n].how}; {chance}") for n, of in numbers.items()}
