from typing import Annotated, Any

from jaxtyping import Float
from numpyro.distributions import Distribution, Independent, Normal, constraints

from vae_jax.config.components import Family, Part, build
from vae_jax.distributions.chain import Chain
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.flows.scales import normal_of
from vae_jax.posteriors._layers import init_all
from vae_jax.posteriors.diag_normal import diag_normal
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def ladder(
    spec: Spec,
    *,
    network: Annotated[Part, Family("networks")] = "mlp(hidden=(100,))",
    context: Annotated[int, constraints.positive_integer] = 100,
) -> Posterior:
    """q(z_L | x) prod_l q(z_l | z_l+1, x), what x says of a layer weighted with the prior's view.

    x gives N(z_l; m, s^2), going up through a `network` from layer to layer, each `context` numbers
    wide. Below the top, q(z_l | z_l+1, x) is proportional to the product of that and the prior's
    p(z_l | z_l+1): a precision-weighted mean (Sonderby et al. 2016, LVAE, eqs. 17 to 19). The prior
    has the same layers, normal below the top, and shares its parameters. With one layer it is
    `diag_normal`.

    Raises:
        UserError: in use, for a prior without such layers.
    """
    sizes = spec.sizes
    if len(sizes) == 1:
        return diag_normal(spec)
    upwards = [build("networks", network)((context,), (context,)) for _ in sizes[1:]]
    heads = [build("networks", "linear")((context,), (2 * size,)) for size in sizes]

    def init(key: Array, batch: Batch) -> Params:
        del batch
        params = init_all([*upwards, *heads], key)
        return {"upwards": params[: len(upwards)], "heads": params[len(upwards) :]}

    def factor(arguments: Any, layer: int, above: list[Array]) -> Distribution:
        params, seen = arguments
        if layer == 0:
            return normal_of(seen[0])
        return _product(normal_of(seen[layer]), _conditional(spec.prior(params), layer, above))

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        branch, deep = params["posterior"], [features]
        for network, branches in zip(upwards, branch["upwards"], strict=True):
            deep.append(network.apply(branches, deep[-1]))
        tops = zip(heads, branch["heads"], reversed(deep), strict=True)
        seen = [head.apply(branches, h) for head, branches, h in tops]
        return Chain(factor, (params, seen), sizes, features.shape[:-1])

    return Posterior(context, init, distribution)


def _conditional(prior: Distribution, layer: int, above: list[Array]) -> Normal:
    """p(z_l | z_>l) of a prior, of independent normals."""
    if isinstance(prior, Chain) and not prior.upwards:
        conditional = prior.conditional(layer, above)
        if isinstance(conditional, Independent) and isinstance(conditional.base_dist, Normal):
            return conditional.base_dist
    raise UserError(
        f"ladder needs a prior of normal layers, such as layered, not {describe(prior)}"
    )


def _product(q: Distribution, p: Normal) -> Distribution:
    """The normal proportional to the product of two densities."""
    of_q, of_p = q.base_dist.scale**-2, p.scale**-2
    loc = (q.base_dist.loc * of_q + p.loc * of_p) / (of_q + of_p)
    return Normal(loc, (of_q + of_p) ** -0.5).to_event(1)
