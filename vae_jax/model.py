"""Wires the five parts into a `Model`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.config import components
from vae_jax.config.components import Part
from vae_jax.config.events import require_event, strict
from vae_jax.errors import UserError, unknown
from vae_jax.types import (
    Array,
    Batch,
    Examples,
    Likelihood,
    Model,
    Network,
    Params,
    Posterior,
    Prior,
    Shape,
    Spec,
    as_batch,
)

OF_REFIT = 2**32 - 1  # the number of the draw for refits; objectives count theirs from 0
PRECISIONS = ("float32", "bfloat16")  # of the networks


@dataclass(frozen=True)
class Encoder:
    """`Model.encode` in two steps: numbers of x, and the q(z | x) of its family that they name.

    A plain function encodes as well; this one shows the family, so that q can be optimized in it.
    """

    features: Callable[
        [Params, Examples], Array
    ]  # (params, x) -> any real numbers, [..., features]
    distribution: Callable[[Params, Array], Distribution]  # (params, those) -> q, [latent_dim]

    def __call__(self, params: Params, batch: Examples) -> Distribution:
        """q(z | x)."""
        return self.distribution(params, self.features(params, batch))


def build_model(
    x_shape: Shape,
    latent_dim: int | Shape | None = None,
    *,
    encoder: Part = "mlp",
    decoder: Part = "mlp",
    posterior: Part = "diag_normal",
    prior: Part = "standard_normal",
    likelihood: Part = "bernoulli",
    precision: str = "float32",
) -> Model:
    """A model from parts, each a string (`"mixture(components=50)"`) or a component's function.

    `params` is a dict with a branch for each part: encoder, decoder, posterior, prior, likelihood.
    With `precision="bfloat16"` the two networks compute in it; parameters, densities and sums stay
    float32.

    Several `latent_dim`, the top one first, are the sizes of stochastic layers, of which z is the
    concatenation. A posterior that decides them, `diffused`, needs none.

    Raises:
        UserError: for an unknown part, argument or precision, a part of another family, or parts
            that do not fit the shapes.
    """

    def features(params: Params, batch: Examples) -> Array:
        return encoder_network.apply(params["encoder"], p.inputs(_only_x(batch, spec.x_shape)))

    def decode(params: Params, z: Array, given: Any = None) -> Distribution:
        _require_latent(z, (spec.latent_dim, visible), given)
        return strict("x", p.distribution(params, decoder_network.apply(params["decoder"], z)))

    def prior_of(params: Params, given: Any = None) -> Distribution:
        _require_unconditional(given)
        return p_z.distribution(params)

    encode = Encoder(features, lambda params, features: q.distribution(params, features))
    spec = _spec(tuple(x_shape), _sizes(latent_dim), encode, decode, prior_of)
    q = _make("posteriors", posterior, Posterior, spec)
    spec = _with_layers(spec, q, latent_dim)
    p = _make("likelihoods", likelihood, Likelihood, spec)
    p_z = _make("priors", prior, Prior, spec)
    encoder_network = _network(precision, encoder, spec.x_shape, (q.num_features,))
    visible, outputs = p_z.visible or spec.latent_dim, (*spec.x_shape, p.num_features)
    decoder_network = _of_last(visible, _network(precision, decoder, (visible,), outputs))

    def init(key: Array, batch: Examples) -> Params:
        keys, batch = jax.random.split(key, 5), _of_shape(batch, spec.x_shape)
        return {
            "encoder": encoder_network.init(keys[0]),
            "decoder": decoder_network.init(keys[1]),
            "posterior": q.init(keys[2], batch),
            "likelihood": p.init(keys[3], batch),
            "prior": p_z.init(keys[4], batch),
        }

    refit = p.refit and partial(_refit, p.refit, encode, decoder_network)
    return Model(init, encode, decode, prior_of, p.accepts, refit, spec.x_shape, p_z.visible)


def _of_shape(examples: Examples, x_shape: Shape) -> Batch:
    """The examples as a `Batch`, if they are of the shape."""
    batch = as_batch(examples)
    require_event("x", batch.x, x_shape)
    return batch


def _only_x(examples: Examples, x_shape: Shape) -> Array:
    """x of a batch that holds nothing else, which a model from parts would leave out of account."""
    batch = _of_shape(examples, x_shape)
    _require_unconditional(batch.given)
    if batch.observed is not None:
        raise UserError("batch.observed: a model from these parts takes all elements as observed")
    return batch.x


def _require_latent(z: Array, sizes: Shape, given: Any) -> None:
    """Refuses z that is neither whole nor what the decoder sees of it."""
    _require_unconditional(given)
    require_event("z", z, (sizes[-1] if z.shape[-1:] == sizes[-1:] else sizes[0],))


def _require_unconditional(given: Any) -> None:
    if given is not None:
        raise UserError("batch.given: a model from these parts is not conditioned on anything")


def _sizes(latent_dim: int | Shape | None) -> Shape:
    """The sizes of the layers, each at least 1; of one number where the posterior decides."""
    one = 1 if latent_dim is None else latent_dim
    sizes = tuple(one) if isinstance(one, tuple | list) else (one,)
    if any(type(size) is not int for size in sizes):
        raise UserError(f"latent_dim={latent_dim!r}: a whole number, or a tuple of them, is needed")
    if not sizes or min(sizes) < 1:
        raise UserError(f"latent_dim={latent_dim}: at least 1 is needed")
    return sizes


def _spec(x_shape: Shape, sizes: Shape, encode: Any, decode: Any, prior: Any) -> Spec:
    """The model as its posterior may know it."""
    return Spec(x_shape, sum(sizes), None, encode, decode, prior, sizes)


def _with_layers(spec: Spec, q: Posterior, latent_dim: int | Shape | None) -> Spec:
    """The model as its other parts may know it, with the layers that the posterior decides on."""
    if q.layers is None and latent_dim is None:
        raise UserError("latent_dim is needed: this posterior does not decide the size of z")
    sizes = q.layers or spec.sizes
    if len(spec.sizes) > 1 and sizes != spec.sizes:
        several = f"{len(sizes)} layers of {sizes[0]}, and needs no latent_dim"
        raise UserError(f"latent_dim={spec.sizes}: the posterior has {several}")
    return spec._replace(latent_dim=sum(sizes), layers=sizes, noise=q.noise)


def _of_last(count: int, network: Network) -> Network:
    """The network of the last `count` numbers of z `[..., latent_dim]`."""
    return Network(network.init, lambda params, z: network.apply(params, z[..., -count:]))


def _refit(
    solve: Callable[[Params, Array, Array], Params],
    encode: Callable[[Params, Batch], Distribution],
    decoder: Network,
    params: Params,
    keys: Array,
    batch: Batch,
) -> Params:
    """`params` with the likelihood's branch solved for by draws z ~ q(z | x)."""
    refit_keys = jax.vmap(lambda key: jax.random.fold_in(key, OF_REFIT))(keys)
    z = jax.vmap(lambda key, one: encode(params, one).sample(key))(refit_keys, batch)
    features = decoder.apply(params["decoder"], z)
    return {**params, "likelihood": solve(params, features, batch.x)}


def _make(family: str, part: Part, kind: Any, spec: Spec) -> Any:
    """The part that a string or a function stands for, if it is of that family."""
    result = components.build(family, part)(spec)
    if not isinstance(result, kind):
        names = type(result).__name__, kind.__name__
        raise UserError(f"{part} makes a {names[0]}, where a {names[1]} is needed")
    return result


def _network(precision: str, part: Part, in_shape: Shape, out_shape: Shape) -> Network:
    """The network a part names, computing in another precision than its parameters' if asked to."""
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    network = components.build("networks", part)(in_shape, out_shape)
    dtype = jnp.dtype(precision)

    def apply(params: Params, inputs: Array) -> Array:
        if not jax.tree.leaves(params):  # it computes nothing
            return network.apply(params, inputs)
        params, inputs = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, inputs))
        return network.apply(params, inputs).astype(jnp.float32)

    return network if precision == "float32" else Network(network.init, apply)
