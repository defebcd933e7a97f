from numpyro.distributions import (
    FoldedDistribution,
    TransformedDistribution,
    kl_divergence,
)

from vae_jax.divergences.provable import same
from vae_jax.types import Array


@kl_divergence.register(TransformedDistribution, TransformedDistribution)
def transformed_transformed(q: TransformedDistribution, p: TransformedDistribution) -> Array:
    """KL(q || p) of the bases where both are sent through the same bijection, nats, `[...]`.

    log-normals, inverse gammas, logit-normals on one interval, ... (Kullback & Leibler 1951,
    section 4: invariance).

    Raises:
        NotImplementedError: for transforms that are not provably the same, or no bijection.
    """
    folded = isinstance(q, FoldedDistribution) or isinstance(p, FoldedDistribution)
    if folded or not same(q.transforms, p.transforms):
        raise NotImplementedError
    return kl_divergence(q.base_dist, p.base_dist)
