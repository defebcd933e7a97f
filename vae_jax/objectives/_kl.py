"""The KL in the ELBO: in closed form, by the draws of z, or by an estimator of its own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.distributions.chain import Chain
from vae_jax.divergences import closed_form_kl, kl_per_dimension, require_closed_form_kl
from vae_jax.divergences.layers import have_layers, kl_by_layer
from vae_jax.errors import UserError
from vae_jax.objectives._draws import terms_of
from vae_jax.types import Array, Batch, KLEstimator, Model, Params, is_biased
from vae_jax.weights import log_likelihood, log_likelihoods, weigh

OF_KL = 2**32 - 2  # a number that no draw of the likelihood has, for the draws of a KL estimator


class KLMethod(NamedTuple):
    """The way in which KL(q(z | x) || p(z)) is computed."""

    closed_form: Callable[[Distribution, Distribution], Array | None]  # None: by the draws of z
    estimator: KLEstimator | None  # which is differentiated, and reported where it is unbiased
    per_dimension: bool  # the parts of the closed form are differentiated
    by_layer: bool  # where there is no closed form, but there are layers


CLOSED_FORM: dict[str, Callable[[Distribution, Distribution], Array | None]] = {
    "auto": closed_form_kl,
    "closed_form": require_closed_form_kl,
    "sampled": lambda q, p: None,
}


def kl_method(kl: Any, per_dimension: bool) -> KLMethod:
    """The method that the argument `kl` of the ELBO names: a plain word, or an estimator."""
    if isinstance(kl, str):
        return KLMethod(CLOSED_FORM[kl], None, per_dimension, kl == "auto")
    return KLMethod(closed_form_kl, kl, per_dimension, True)


def terms_with_kl(
    model: Model,
    params: Params,
    key: Array,
    batch: Batch,
    *,
    num_samples: int,
    method: KLMethod,
    stl: bool,
    prior: Distribution | None,
    estimate: Array | None = None,
) -> tuple[dict[str, Array], Array]:
    """The terms of the bound, nats `[...]`, and the KL, or its parts, that are differentiated.

    `prior` is p(z) where it is the same for all examples, and so was computed once; `estimate` what
    the method's estimator made of the whole batch, `[...]`.
    """
    q = model.encode(params, batch)
    prior = model.prior(params, *batch.conditions) if prior is None else prior
    if method.by_layer and method.estimator is None and have_layers(q, prior):
        return _terms_by_layer(model, params, q, prior, key, batch, num_samples, method)
    if estimate is None:
        estimate = _estimate(method.estimator, key, q, prior, num_samples)
    unbiased = None if is_biased(method.estimator) else estimate
    if unbiased is None and jax.eval_shape(method.closed_form, q, prior) is None:
        density = model.encode(jax.lax.stop_gradient(params), batch) if stl else None
        terms = terms_of(weigh(model, params, q, key, batch, num_samples, density=density))
    else:
        likelihoods = log_likelihoods(model, params, q, key, batch, num_samples)
        kl: Any = method.closed_form(q, prior) if unbiased is None else unbiased
        terms = {"log_likelihood": likelihoods.mean(0), "kl": kl}
    if method.per_dimension:
        return terms, _per_dimension(q, prior)
    return terms, terms["kl"] if estimate is None else estimate


def _terms_by_layer(
    model: Model,
    params: Params,
    q: Distribution,
    prior: Distribution,
    key: Array,
    batch: Batch,
    num_samples: int,
    method: KLMethod,
) -> tuple[dict[str, Array], Array]:
    """The terms of the bound, and the KL or those of the layers, at the draws of `weigh`."""
    z = jax.vmap(lambda k: q.sample(jax.random.fold_in(key, k)))(jnp.arange(num_samples))
    likelihoods = jax.vmap(lambda z: log_likelihood(model, params, z, batch))(z)
    if method.per_dimension and getattr(q, "upwards", False):
        raise UserError("free_bits of layers needs a KL for each: posterior=top_down or ladder")
    layers = kl_by_layer(q, prior, z).mean(0)
    terms = {"log_likelihood": likelihoods.mean(0), "kl": layers.sum(-1)}
    return terms, layers if method.per_dimension else terms["kl"]


def of_whole_batch(
    model: Model, params: Params, key: Array, batch: Batch, num_samples: int, method: KLMethod
) -> Array | None:
    """The KL `[batch]` by an estimator of layers whose draws belong together, or None."""
    if not getattr(method.estimator, "of_batches", False):
        return None
    q, prior = model.encode(params, batch), model.prior(params, *batch.conditions)
    if not have_layers(q, prior):
        return None
    return _estimate(method.estimator, key[0], q, prior, num_samples)


def _estimate(
    estimator: KLEstimator | None, key: Array, q: Distribution, p: Distribution, num_samples: int
) -> Array | None:
    if estimator is None:
        return None
    return estimator(jax.random.fold_in(key, OF_KL), q, p, num_samples).value


def _per_dimension(q: Distribution, prior: Distribution) -> Array:
    if (kl := kl_per_dimension(q, prior)) is None:
        instead = "this pair has none"
        if isinstance(q, Chain):
            instead = "of layers it takes those of prior=layered(...)"
        raise UserError(f"free_bits needs a closed-form KL per latent dimension; {instead}")
    return kl


def free(kl: Array, free_bits: float) -> Array:
    """sum_j max(free_bits, mean over examples of KL_j)."""
    return jnp.maximum(free_bits, kl.mean(tuple(range(kl.ndim - 1)))).sum()
