"""The one primitive: log weights of draws z ~ q(z | x), which bounds and estimators reduce."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.config.events import require_event, require_same_event
from vae_jax.config.ranges import in_words, require_elements
from vae_jax.distributions.chain import Chain
from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Examples, Model, Params, as_batch


class LogWeights(NamedTuple):
    """The three terms of log w = log p(x|z) + log p(z) - log q(z|x), nats, `[num_samples, ...]`."""

    log_likelihood: Float[Array, "..."]
    log_prior: Float[Array, "..."]
    log_posterior: Float[Array, "..."]

    @property
    def log_weight(self) -> Float[Array, "..."]:
        """log p(x, z) - log q(z | x), nats; its mean over draws is an unbiased ELBO."""
        return self.log_likelihood + self.log_prior - self.log_posterior


def log_weights(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    num_samples: int = 1,
    *,
    first: Array | int = 0,
    only_path: bool = False,
    path_scale: Array | None = None,
) -> LogWeights:
    """The log weights of `num_samples` draws z ~ q(z | x): ELBO, IWAE and log p(x) reduce them.

    Draw k uses `fold_in(key, k)`, so that the first draws of many are the draws of few. The last
    two arguments change no value, only gradients.

    Args:
        model: the model.
        params: its parameters.
        key: one key, or an array of keys, one per leading axis of x (one per example).
        batch: a `Batch`, or x `[..., *x_shape]`.
        num_samples: draws per example.
        first: the number of the first draw, where they are made in several calls.
        only_path: hold the parameters of log q(z | x) constant, but not its z.
        path_scale: `[num_samples, ...]`, what the gradient through each draw is multiplied by.

    Returns:
        Three terms, each `[num_samples, ...]`.

    Raises:
        UserError: as `checked_examples` does.
    """
    key, batch = checked_examples(model, key, batch)
    if key.ndim:
        one = partial(log_weights, model, params, num_samples=num_samples, first=first)
        along = partial(one, only_path=only_path)
        each = jax.vmap(lambda k, b, s: along(k, b, path_scale=s), (0, 0, 1), out_axes=1)
        return each(key, batch, path_scale)
    q = model.encode(params, batch)
    density = model.encode(jax.lax.stop_gradient(params), batch) if only_path else None
    options: dict[str, Any] = {"first": first, "density": density, "path_scale": path_scale}
    return weigh(model, params, q, key, batch, num_samples, **options)


def typed(key: Array) -> Array:
    """The key as `jax.random.key` makes it, also where it is an old `PRNGKey`.

    Raises:
        UserError: if it is neither.
    """
    try:
        is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        return key if is_typed else jax.random.wrap_key_data(key)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"key={key!r} is no key, such as jax.random.key(0)") from error


def checked_examples(model: Model, key: Array, examples: Examples) -> tuple[Array, Batch]:
    """The key and the examples of a public function, checked by `checked_batch`.

    Raises:
        UserError: besides, for keys that are not one for each example.
    """
    key, batch = typed(key), checked_batch(model, examples)
    leading = batch.x.shape[: batch.x.ndim - len(model.x_shape or ())]
    given = [("batch.given", np.shape(leaf)) for leaf in jax.tree.leaves(batch.given)]
    for name, shape in [("x", leading), *given]:
        if shape[: key.ndim] != key.shape:
            message = "one key, or one for each example, is needed"
            raise UserError(f"keys {list(key.shape)} for {name} {list(shape)}: {message}")
    return key, batch


def checked_batch(model: Model, examples: Examples) -> Batch:
    """The examples as a `Batch`, if the model can be evaluated on them.

    Shapes are always looked at; values of x where they are known, which under `jax.jit` they are
    not.

    Raises:
        UserError: for x of another shape than the model's, elements of x that its likelihood does
            not take, which it names, and `observed` of another shape than x.
    """
    batch = as_batch(examples)
    if model.x_shape is not None:
        require_event("x", batch.x, model.x_shape)
    if 0 in batch.x.shape:
        raise UserError(f"x has shape {list(batch.x.shape)}: there are no examples")
    if batch.observed is not None and (shape := np.shape(batch.observed)) != batch.x.shape:
        raise UserError(f"batch.observed has shape {list(shape)}, x {list(batch.x.shape)}")
    if not isinstance(batch.x, jax.core.Tracer):
        with jax.ensure_compile_time_eval():
            _require_accepted(model, batch.x, batch.observed)
    return batch


def _require_accepted(model: Model, x: Array, observed: Array | None) -> None:
    ok = model.accepts(x) if observed is None else model.accepts(x) | ~observed
    if not jnp.all(ok):
        one_by_one = (-1, *x.shape[x.ndim - len(model.x_shape or x.shape) :])
        values, ok = (np.asarray(array).reshape(one_by_one) for array in (x, ok))
        wanted = f"the likelihood takes {in_words(model.accepts)}"
        require_elements("x: example {}".format, values, ok, wanted)


def weigh(
    model: Model,
    params: Params,
    q: Distribution,
    key: Array,
    batch: Batch,
    num_samples: int = 1,
    *,
    first: Array | int = 0,
    density: Distribution | None = None,
    path_scale: Array | None = None,
) -> LogWeights:
    """`log_weights` for one key where q(z | x) is known already, so that x is encoded once.

    With `density` the third term is its log density at the draws of q, in place of q's own: the
    same numbers, with other gradients.
    """
    prior = model.prior(params, *batch.conditions)
    require_same_event(q, prior)

    def terms(k: Array | int, scale: Array | None) -> LogWeights:
        z, log_q = _draw(q, jax.random.fold_in(key, k), density, scale)
        return LogWeights(log_likelihood(model, params, z, batch), prior.log_prob(z), log_q)

    return _over_draws(terms, first, num_samples, path_scale)


def log_likelihoods(
    model: Model, params: Params, q: Distribution, key: Array, batch: Batch, num_samples: int
) -> Float[Array, "draws ..."]:
    """log p(x | z) alone, nats `[num_samples, ...]`, at the draws that `weigh` makes.

    Where the decoder sees the last layer alone, and that has a distribution of its own, the draws
    are of it.
    """
    q = of_seen(model, q)

    def term(k: Array | int, scale: None) -> Array:
        return log_likelihood(model, params, q.sample(jax.random.fold_in(key, k)), batch)

    return _over_draws(term, 0, num_samples, None)


def of_seen(model: Model, q: Distribution) -> Distribution:
    """The distribution of the part of z that the decoder sees, where it is known by itself."""
    if isinstance(q, Chain) and q.last is not None and model.visible == q.sizes[-1]:
        return q.last
    return q


def log_likelihood(model: Model, params: Params, z: Array, batch: Batch) -> Array:
    """log p(x | z) at given z, nats `[...]`; of the elements that were observed alone."""
    return log_density(model.decode(params, z, *batch.conditions), batch)


def log_density(p: Distribution, batch: Batch) -> Array:
    """log p(x) of independent elements, summed over those that were observed, nats `[...]`.

    An element that was not is given a value that the density takes before its part is set to 0, so
    that the gradient of that part is 0 and not NaN.

    Raises:
        UserError: for missing values where the elements of p are not independent.
    """
    require_event("x", batch.x, p.event_shape)
    if batch.observed is None:
        return p.log_prob(batch.x)
    each = _elements(p).log_prob(filled(p, batch))
    return jnp.where(batch.observed, each, 0.0).sum(range(-len(p.event_shape), 0))


def filled(p: Distribution, batch: Batch) -> Array:
    """x, with a value that p takes for each element that was not observed."""
    if batch.observed is None:
        return batch.x
    support: Any = _elements(p).support
    return jnp.where(batch.observed, batch.x, support.feasible_like(batch.x))


def _elements(p: Distribution) -> Distribution:
    """The distribution of which each element of x is an event."""
    base = getattr(p, "base_dist", p)
    if base.event_dim:
        raise UserError(f"missing values need independent elements: not those of {p!r}")
    return base


def _over_draws(term: Callable[..., Any], first: Array | int, count: int, scale: Any) -> Any:
    """`term(k, scale of k)` for each draw k, along a first axis."""
    if count == 1:  # under vmap XLA would transpose for a draw axis of length 1: 5% of a step
        return jax.tree.map(lambda a: a[None], term(first, None if scale is None else scale[0]))
    return jax.vmap(term)(first + jnp.arange(count), scale)


def _draw(
    q: Distribution, key: Array, density: Distribution | None, scale: Array | None
) -> tuple[Array, Array]:
    """z ~ q and log q(z), which a flow knows without inverting itself.

    With another `density`, or a `scale` of the gradient through z, the flow's value is kept and its
    gradient is that of the density at z.
    """
    z, intermediates = q.sample_with_intermediates(key)
    z = z if scale is None else _scale_gradient(z, scale[..., None])
    if not intermediates:
        return z, (density or q).log_prob(z)
    log_q = q.log_prob(z, intermediates)
    if density is None and scale is None:
        return z, log_q
    by_z = (density or q).log_prob(z)
    return z, by_z + jax.lax.stop_gradient(log_q - by_z)


@jax.custom_vjp
def _scale_gradient(z: Array, scale: Array) -> Array:
    """z, through which gradients go multiplied by `scale`."""
    return z


_scale_gradient.defvjp(lambda z, scale: (z, scale), lambda scale, g: (scale * g, None))
