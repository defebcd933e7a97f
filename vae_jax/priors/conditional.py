from typing import Annotated, Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Independent, constraints

from vae_jax.config.components import Family, Part, build
from vae_jax.distributions.of_each import OfEach
from vae_jax.errors import UserError
from vae_jax.types import UNTRAINED, Array, Batch, Params, Prior, Spec

OF_SLOPES = 0.01  # how far the conditions are apart at the start, in the units of the parameters


def conditional(
    spec: Spec,
    *,
    prior: Annotated[Part, Family("priors")] = "normal",
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (),
) -> Prior:
    """p(z | y) = p(z; theta(y)), any `prior` there is, its parameters functions of what is given.

    theta(y) = theta_0 + A h(y), where h(y) is y itself, or a network's output of the last of the
    widths `hidden` (Sohn et al. 2015, section 4, for a normal). With y one-hot each class has
    parameters of its own: `normal` has a mean and a scale by class, `mixture` is a mixture by
    class. A starts near 0. Where nothing is given it is that prior.

    Raises:
        UserError: for a prior without parameters.
    """
    inner = build("priors", prior)(spec)
    if spec.given_shape is None:
        return inner
    size = hidden[-1] if hidden else spec.given_shape[0]
    network = build("networks", f"mlp(hidden={hidden[:-1]})")(spec.given_shape, (size,))

    def init(key: Array, batch: Batch) -> Params:
        start, slopes, features = jax.random.split(key, 3)
        base = inner.init(start, batch)
        if not jax.tree.leaves(_trained(base)):
            raise UserError("conditional: its prior has no parameters that y could move")
        branch = {"base": base, "slopes": _slopes(slopes, _trained(base), size)}
        return branch | ({"network": network.init(features)} if hidden else {})

    def of(params: Params, y: Array) -> Distribution:
        branch = params["prior"]
        h = jnp.tanh(network.apply(branch["network"], y)) if hidden else y
        return inner.distribution({**params, "prior": _moved(branch["base"], branch["slopes"], h)})

    def distribution(params: Params, given: Any = None) -> Distribution:
        if given is None:
            raise UserError("p(z | y) needs y: model.prior(params, given)")
        if given.ndim == 1:
            return of(params, given)
        each = jax.eval_shape(of, params, given)
        if isinstance(each, Independent) and each.batch_shape == given.shape[:-1]:
            return of(params, given)  # its parameters have the batch's axes
        return OfEach(of, params, given, (spec.latent_dim,))

    return Prior(init, distribution, inner.visible)


def _trained(branch: Any) -> Any:
    """The branch without what no optimizer may move."""
    if not isinstance(branch, dict):
        return branch
    return {name: _trained(leaf) for name, leaf in branch.items() if name != UNTRAINED}


def _slopes(key: Array, trained: Any, size: int) -> Any:
    """A, a matrix `[size, *leaf]` for each parameter."""
    leaves, tree = jax.tree.flatten(trained)
    keys = jax.tree.unflatten(tree, list(jax.random.split(key, len(leaves))))
    return jax.tree.map(
        lambda key, leaf: OF_SLOPES * jax.random.normal(key, (size, *leaf.shape)), keys, trained
    )


def _moved(base: Any, slopes: Any, h: Array) -> Any:
    """theta_0 + A h, `[..., *leaf]`, h `[..., size]`."""
    if not isinstance(base, dict):
        return jax.tree.map(lambda leaf, A: leaf + jnp.tensordot(h, A, 1), base, slopes)
    return {n: _moved(leaf, slopes[n], h) if n in slopes else leaf for n, leaf in base.items()}
