"""The contracts: a VAE's parts as NamedTuples of pure functions.

Shapes are written `[..., latent_dim]`; a part's `distribution` accepts leading batch axes.
Every function gets the whole `params` and reads its own branch, so that a prior may call the
encoder and a likelihood may own a learned scale, with nothing else knowing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpyro.distributions import Distribution, constraints

Array = jax.Array
Params = dict[str, Any]
UNTRAINED = "untrained"  # a part keeps under this key, in its branch, what no optimizer may move
Shape = tuple[int, ...]


class Spec(NamedTuple):
    """What a part may know about the rest of the model; the first argument of its factory.

    `encode` and `decode` are the finished model's: call them inside `distribution`, not while
    the part is being built.
    """

    x_shape: Shape
    latent_dim: int
    encode: Callable[[Params, Array], Distribution]
    decode: Callable[[Params, Array], Distribution]


class Network(NamedTuple):
    """A function with parameters, from `[..., *in_shape]` to `[..., *out_shape]`."""

    init: Callable[[Array], Params]  # (key) -> this network's branch of params
    apply: Callable[[Params, Array], Array]  # (that branch, inputs) -> outputs


def no_params(key: Array, batch: Array) -> Params:
    """The `init` of a part that has no parameters of its own."""
    del key, batch
    return {}


def as_it_is(x: Array) -> Array:
    """The `inputs` of a likelihood whose data suits a network without scaling."""
    return x


class Prior(NamedTuple):
    """p(z)."""

    init: Callable[[Array, Array], Params]  # (key, batch of x) -> params["prior"]
    distribution: Callable[[Params], Distribution]  # event [latent_dim]


class Posterior(NamedTuple):
    """q(z | x), made from what the encoder network says about x; its draws are differentiable."""

    num_features: int  # asked of the encoder, per example
    init: Callable[[Array, Array], Params]  # (key, batch of x) -> params["posterior"]
    distribution: Callable[[Params, Array], Distribution]  # features [..., num_features]


class Likelihood(NamedTuple):
    """p(x | z), made from what the decoder network says about z.

    Its distribution has a `support`, a `mean` for pictures and `sample` for draws.
    """

    num_features: int  # asked of the decoder, per data element
    init: Callable[[Array, Array], Params]  # (key, batch of x) -> params["likelihood"]
    distribution: Callable[[Params, Array], Distribution]  # features [..., *x_shape, num_features]
    accepts: constraints.Constraint = constraints.real  # the data it can be evaluated on
    inputs: Callable[[Array], Array] = as_it_is  # x -> x in units that suit the encoder network
    # (params, features, x of a training batch) -> params["likelihood"], after every update
    refit: Callable[[Params, Array, Array], Params] | None = None


class Model(NamedTuple):
    """The five parts wired together: four functions, and the data they can be evaluated on."""

    init: Callable[[Array, Array], Params]  # (key, batch of x) -> params
    encode: Callable[[Params, Array], Distribution]  # x [..., *x_shape] -> q(z | x)
    decode: Callable[[Params, Array], Distribution]  # z [..., latent_dim] -> p(x | z)
    prior: Callable[[Params], Distribution]  # p(z)
    accepts: constraints.Constraint = constraints.real
    refit: Callable[[Params, Array, Array], Params] | None = None  # (params, keys, x) -> params


class Bound(NamedTuple):
    """What an objective says about a batch: the bound it reports and what is differentiated.

    `terms` has at least `log_likelihood` and `kl`, without any weight that training gives them.
    """

    value: Array  # [...], the lower bound on log p(x) itself, nats per example
    surrogate: Array  # [], what training maximizes
    terms: dict[str, Array]  # [...] each, nats per example


# (model, params, key, x, step=None) -> Bound; one that has a parameter `num_examples` as well is
# told the size of the training set.
Objective = Callable[..., Bound]


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error, nats, `[...]` each."""

    value: Array
    standard_error: Array


# (key, q, p, num_samples) -> Estimate of KL(q || p), q and p with or without batch axes; UserError
# where it cannot.
Estimator = Callable[..., Estimate]


class Dataset(NamedTuple):
    """Splits as they are stored, and what is done to one example on the device.

    `preprocess(key, raw)` maps a stored example to x `[*x_shape]`, float32; it is where
    binarization happens. `log_prob(x)` is the data's own density, nats `[...]`, where it is known.
    """

    splits: Mapping[str, Sequence[Any]]  # "train", "test", and "validation" where held out
    preprocess: Callable[[Array, Array], Array]
    log_prob: Callable[[Array], Array] | None = None
    labels: Mapping[str, Any] = {}  # per split, for colours in plots
    usable: Callable[[Any], Any] = np.isfinite  # stored values -> which of them make sense
    bin_width: float | None = None  # of a level in units of x where it was dequantized, 1 if not
