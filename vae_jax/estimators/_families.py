"""Families in which the best q of a single x is looked for: numbers, and the q that they name."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal, TransformedDistribution
from numpyro.distributions.transforms import LowerCholeskyAffine

from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.errors import UserError
from vae_jax.flows.affine_coupling import AffineCoupling
from vae_jax.flows.layers import reversing
from vae_jax.flows.scales import scale_of
from vae_jax.model import Encoder
from vae_jax.types import Array, Batch, Model, Params

DRAWS = 1000  # of a q, whose mean and spread are those of a normal to start from
LAYERS, HIDDEN = 4, 32  # of the flow


class Family(NamedTuple):
    """A family of q(z) for one example."""

    distribution: Callable[[Any], Distribution]  # (numbers) -> q, event [latent_dim]
    start: Any  # a pytree of real numbers


def most_numbers(dimensions: int) -> int:
    """About as many as the largest family has."""
    return dimensions * (dimensions + 2 * LAYERS * HIDDEN)


def require_family(model: Model) -> None:
    """Raises UserError for a model whose encoder does not show its family."""
    if not isinstance(model.encode, Encoder):
        needed = "vae_jax.model.Encoder(features, distribution) shows it"
        raise UserError(f"the family of q(z|x) is not known of a plain function: {needed}")


def own(model: Model, params: Params, example: Batch) -> Family:
    """The encoder's family: q of any features, those of x to start from."""
    encode: Any = model.encode
    return Family(partial(encode.distribution, params), encode.features(params, example))


def full_normal(key: Array, q: Distribution) -> Family:
    """N(m + L a, (L T)(L T)'), T triangular, from q's mean m and the factor L of its covariance.

    Of a q that is no `full_normal` L is diagonal, and both are those of draws.
    """
    loc, factor = _moments(key, q)

    def distribution(numbers: dict[str, Array]) -> Distribution:
        return CholeskyNormal(*_moved(loc, factor, numbers))

    return Family(distribution, _numbers(loc))


def flow(key: Array, q: Distribution) -> Family:
    """That normal's z = m + L a + L T e, of e that has passed affine couplings (Dinh et al. 2017).

    The halves change roles from layer to layer. They start as the identity.
    """
    key_moments, key_layers = jax.random.split(key)
    loc, factor = _moments(key_moments, q)
    dimensions = len(loc)
    network = AffineCoupling.make_network(dimensions, (HIDDEN,))
    keys = jax.random.split(key_layers, LAYERS)
    layers = [AffineCoupling.init(network, k, dimensions) for k in keys]

    def distribution(numbers: dict[str, Any]) -> Distribution:
        chain = reversing([AffineCoupling(network, p) for p in numbers["layers"]], dimensions)
        affine = LowerCholeskyAffine(*_moved(loc, factor, numbers))
        base = Normal(jnp.zeros(dimensions), 1.0).to_event(1)
        return TransformedDistribution(base, [*chain, affine])

    return Family(distribution, {**_numbers(loc), "layers": layers})


def _moments(key: Array, q: Distribution) -> tuple[Array, Array]:
    """The mean, and a factor of the covariance, of a normal like q."""
    if isinstance(q, CholeskyNormal):
        return q.loc, q.scale_tril
    z = q.sample(key, (DRAWS,))
    return z.mean(0), jnp.diag(z.std(0))


def _numbers(loc: Array) -> dict[str, Array]:
    """a and T, of which `_moved` is the identity."""
    dimensions = len(loc)
    below = jnp.zeros(dimensions * (dimensions - 1) // 2)
    return {"shift": jnp.zeros(dimensions), "log_scale": jnp.zeros(dimensions), "below": below}


def _moved(loc: Array, factor: Array, numbers: dict[str, Array]) -> tuple[Array, Array]:
    """m + L a and L T: numbers of 1 are as large as what they change."""
    diagonal, below = jnp.diag(scale_of(numbers["log_scale"])), jnp.tril_indices(len(loc), -1)
    return loc + factor @ numbers["shift"], factor @ diagonal.at[below].set(numbers["below"])
