"""Wires the five parts into a `Model`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.config import components
from vae_jax.config.components import Part
from vae_jax.config.events import require_event, strict
from vae_jax.errors import UserError
from vae_jax.networks._joined import Joined, joined
from vae_jax.types import (
    Array,
    Batch,
    Examples,
    Likelihood,
    Model,
    Params,
    Posterior,
    Prior,
    Shape,
    Spec,
    as_batch,
)

OF_REFIT = 2**32 - 1  # the number of the draw for refits; objectives count theirs from 0
OF_EMBEDDING = 2**32 - 1  # the number of the key of its start, beside those of the parts


@dataclass(frozen=True)
class Encoder:
    """`Model.encode` in two steps: numbers of x, and the q(z | x) of its family that they name.

    A plain function encodes as well; this one shows the family, so that q can be optimized in it.
    """

    features: Callable[[Params, Examples], Array]  # (params, x) -> any numbers, [..., features]
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
    given_shape: Shape | None = None,
    embedding: int = 0,
    missing: bool = False,
) -> Model:
    """A model from parts, each a string (`"mixture(components=50)"`) or a component's function.

    `params` is a dict with a branch for each part: encoder, decoder, posterior, prior, likelihood.
    With `precision="bfloat16"` the two networks compute in it; parameters, densities and sums stay
    float32.

    Several `latent_dim`, the top one first, are the sizes of stochastic layers, of which z is the
    concatenation. A posterior that decides them, `diffused`, needs none.

    With `given_shape` (G,) the model is q(z | x, y), p(x | z, y), and p(z | y) where the prior is
    of that kind: both networks see y beside their inputs, or an `embedding` of so many numbers, a
    learned linear function of y. With `missing` the encoder sees beside x, which is 0 where
    nothing was observed, the mask that says where.

    Raises:
        UserError: for an unknown part, argument or precision, a part of another family, or parts
            that do not fit the shapes.
    """

    def features(params: Params, batch: Examples) -> Array:
        seen = _of_shape(batch, spec.x_shape)
        masks = [_mask(seen)] if missing else []
        return encoder_network(params, _inputs(p, seen), seen.given, *masks)

    def decode(params: Params, z: Array, given: Any = None) -> Distribution:
        require_event("z", z, (visible if z.shape[-1:] == (visible,) else spec.latent_dim,))
        return strict("x", p.distribution(params, decoder_network(params, z, given)))

    def prior_of(params: Params, given: Any = None) -> Distribution:
        return p_z.distribution(params, *conditions.of_prior(given))

    conditions = _Conditions(given_shape and tuple(given_shape), embedding)
    encode = Encoder(features, lambda params, features: q.distribution(params, features))
    x_shape, sizes = tuple(x_shape), _sizes(latent_dim)
    spec = Spec(x_shape, sum(sizes), conditions.shape, encode, decode, prior_of, sizes)
    q = _make("posteriors", posterior, Posterior, spec)
    spec = _with_layers(spec, q, latent_dim)
    p = _make("likelihoods", likelihood, Likelihood, spec)
    p_z = _make("priors", prior, Prior, spec)
    visible, outputs = p_z.visible or spec.latent_dim, (*x_shape, p.num_features)
    shapes = x_shape, (q.num_features,), ([x_shape] if missing else [])
    encoder_network = conditions.join("encoder", precision, encoder, *shapes)
    decoder_network = conditions.join("decoder", precision, decoder, (visible,), outputs)
    inits = {"encoder": encoder_network.init, "decoder": decoder_network.init}
    inits |= {"posterior": q.init, "likelihood": p.init, "prior": p_z.init}
    init = partial(_init, inits, conditions, x_shape)
    refit = p.refit and partial(_refit, p.refit, encode, decoder_network)
    shapes_of_model = x_shape, p_z.visible, conditions.shape
    return Model(init, encode, decode, prior_of, p.accepts, refit, *shapes_of_model)


def fixed(model: Model, given: Array) -> Model:
    """The model of p(x | y) at one y `[G]`: a model that is not conditioned on anything."""

    def at(examples: Examples) -> Batch:
        return as_batch(examples)._replace(given=given)

    return model._replace(
        encode=lambda params, examples: model.encode(params, at(examples)),
        decode=lambda params, z, _=None: model.decode(params, z, given),
        prior=lambda params, _=None: model.prior(params, given),
        given_shape=None,
    )


@dataclass(frozen=True)
class _Conditioned:
    """A network of a model's, which sees its inputs, masks of them, and the model's condition."""

    role: str  # its branch of params
    conditions: "_Conditions"
    network: Joined
    last: int  # so many of its inputs' last numbers are what it sees

    def init(self, key: Array, batch: Batch) -> Params:
        """Its branch of params."""
        return self.network.init(key)

    def __call__(self, params: Params, inputs: Array, given: Any, *masks: Any) -> Array:
        """Its outputs."""
        others = [*masks, *self.conditions.seen(params, given)]
        return self.network.apply(params[self.role], inputs[..., -self.last :], *others)


@dataclass(frozen=True)
class _Conditions:
    """The shape of a condition y, and of what networks see of it."""

    shape: Shape | None
    embedding: int = 0  # numbers; 0: networks see y itself

    def join(
        self,
        role: str,
        precision: str,
        part: Part,
        in_shape: Shape,
        out_shape: Shape,
        masks: Sequence[Shape] = (),
    ) -> _Conditioned:
        """The network that a part names, which sees the last of more inputs."""
        sizes = [] if self.shape is None else [(self.embedding or self.shape[0],)]
        network = joined(precision, part, in_shape, out_shape, (*masks, *sizes))
        return _Conditioned(role, self, network, in_shape[-1])

    def init(self, key: Array) -> Params:
        """The branch of params, where there is an embedding."""
        if self.shape is None or not self.embedding:
            return {}
        start = jax.random.fold_in(key, OF_EMBEDDING)
        return {"given": jax.random.normal(start, (*self.shape, self.embedding))}

    def require(self, given: Any) -> None:
        """Raises UserError unless there is a condition where one is needed, of its shape."""
        if self.shape is None and given is not None:
            raise UserError("batch.given: this model is not conditioned on anything")
        if self.shape is not None and given is None:
            size = self.shape[0]
            raise UserError(f"this model is conditioned: Batch(x, given=[..., {size}]) is needed")
        if self.shape is not None:
            require_event("given", given, self.shape)

    def of_prior(self, given: Any) -> tuple[Any, ...]:
        """The condition as an argument; none where there is none, which a p(z) does not need."""
        if given is None:
            return ()
        self.require(given)
        return (given,)

    def seen(self, params: Params, given: Any) -> list[Array]:
        """The networks' view of y, none or one."""
        self.require(given)
        if self.shape is None:
            return []
        return [given @ params["given"] if self.embedding else jnp.asarray(given)]


def _init(
    inits: Mapping[str, Callable[[Array, Batch], Params]],
    conditions: _Conditions,
    x_shape: Shape,
    key: Array,
    batch: Examples,
) -> Params:
    """A branch of params for each part, and one for an embedding."""
    keys, batch = jax.random.split(key, len(inits)), _of_shape(batch, x_shape)
    parts = {n: init(k, batch) for (n, init), k in zip(inits.items(), keys, strict=True)}
    return parts | conditions.init(key)


def _of_shape(examples: Examples, x_shape: Shape) -> Batch:
    """The examples as a `Batch`, if they are of the shape."""
    batch = as_batch(examples)
    require_event("x", batch.x, x_shape)
    return batch


def _mask(batch: Batch) -> Array:
    """Which elements were observed, as numbers."""
    ones = jnp.ones(batch.x.shape)
    return ones if batch.observed is None else batch.observed.astype(ones.dtype)


def _inputs(p: Likelihood, batch: Batch) -> Array:
    """x in the units of the encoder network, 0 where nothing was observed."""
    inputs = p.inputs(batch.x)
    return inputs if batch.observed is None else jnp.where(batch.observed, inputs, 0.0)


def _sizes(latent_dim: int | Shape | None) -> Shape:
    """The sizes of the layers, each at least 1; of one number where the posterior decides."""
    one = 1 if latent_dim is None else latent_dim
    sizes = tuple(one) if isinstance(one, tuple | list) else (one,)
    if any(type(size) is not int for size in sizes):
        raise UserError(f"latent_dim={latent_dim!r}: a whole number, or a tuple of them, is needed")
    if not sizes or min(sizes) < 1:
        raise UserError(f"latent_dim={latent_dim}: at least 1 is needed")
    return sizes


def _with_layers(spec: Spec, q: Posterior, latent_dim: int | Shape | None) -> Spec:
    """The model as its other parts may know it, with the layers that the posterior decides on."""
    if q.layers is None and latent_dim is None:
        raise UserError("latent_dim is needed: this posterior does not decide the size of z")
    sizes = q.layers or spec.sizes
    if len(spec.sizes) > 1 and sizes != spec.sizes:
        several = f"{len(sizes)} layers of {sizes[0]}, and needs no latent_dim"
        raise UserError(f"latent_dim={spec.sizes}: the posterior has {several}")
    return spec._replace(latent_dim=sum(sizes), layers=sizes, noise=q.noise)


def _refit(
    solve: Callable[[Params, Array, Batch], Params],
    encode: Callable[[Params, Batch], Distribution],
    decoder: _Conditioned,
    params: Params,
    keys: Array,
    batch: Batch,
) -> Params:
    """`params` with the likelihood's branch solved for by draws z ~ q(z | x)."""
    refit_keys = jax.vmap(lambda key: jax.random.fold_in(key, OF_REFIT))(keys)
    z = jax.vmap(lambda key, one: encode(params, one).sample(key))(refit_keys, batch)
    features = decoder(params, z, batch.given)
    return {**params, "likelihood": solve(params, features, batch)}


def _make(family: str, part: Part, kind: Any, spec: Spec) -> Any:
    """The part that a string or a function stands for, if it is of that family."""
    result = components.build(family, part)(spec)
    if not isinstance(result, kind):
        names = type(result).__name__, kind.__name__
        raise UserError(f"{part} makes a {names[0]}, where a {names[1]} is needed")
    return result
