from typing import Annotated, Any

import jax
import jax.numpy as jnp
from numpyro.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
    constraints,
)

from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.errors import UserError
from vae_jax.types import UNTRAINED, Array, Batch, Params, Prior, Spec


def vamp(
    spec: Spec,
    *,
    components: Annotated[int, constraints.positive_integer] = 500,
    learned: bool = True,
    weighted: bool = False,
) -> Prior:
    """p(z) = sum_c w_c q(z | u_c), pseudo-inputs u (Tomczak & Welling 2018, eq. 9).

    The u_c start as some of the first 1,000 training examples, with noise of a hundredth of their
    spread, and are learned without limits to their range, as are the conditions that come with them
    where the model has some. `learned=False` leaves them as they are,
    missing values too: a mixture of the posteriors of examples, as the Exemplar VAE has it (Norouzi
    et al. 2020), with a subset for all of them. The weights are 1/C, or learned too if `weighted`.

    Raises:
        UserError: if there are more components than examples that they stay at.
    """

    def init(key: Array, batch: Batch) -> Params:
        (which, noise), x = jax.random.split(key), jnp.asarray(batch.x)
        rows = jax.random.choice(which, len(x), (components,), components > len(x))
        epsilon = jax.random.normal(noise, (components, *spec.x_shape))
        if not learned and components > len(x):
            raise UserError(f"components={components}: they start as {len(x)} examples")
        inputs = x[rows] + 0.01 * jnp.std(x) * epsilon
        weights = {"logits": jnp.zeros(components)} if weighted else {}
        conditions = {} if batch.given is None else {"given": jnp.asarray(batch.given)[rows]}
        if learned:
            return {"inputs": inputs, **conditions, **weights}
        if batch.observed is not None:  # as numbers, since gradients are taken of all parameters
            conditions["observed"] = jnp.asarray(batch.observed, float)[rows]
        return {UNTRAINED: {"inputs": x[rows], **conditions} if conditions else x[rows], **weights}

    def distribution(params: Params, given: Any = None) -> Distribution:
        branch = params["prior"]
        pseudo = branch if learned else jax.lax.stop_gradient(branch[UNTRAINED])
        if isinstance(pseudo, dict):
            pseudo = Batch(pseudo["inputs"], pseudo.get("given"), pseudo.get("observed"))
        return _mixed(branch.get("logits", jnp.zeros(components)), spec.encode(params, pseudo))

    return Prior(init, distribution)


def _mixed(logits: Array, components: Distribution) -> Distribution:
    """The mixture of a batch of distributions, `NormalMixture` where they are normals.

    NumPyro mixes no distributions whose support has parameters for ends. A bijection with the same
    numbers for all components, such as one onto a box, is therefore applied to the mixture of the
    base distributions.
    """
    if isinstance(components, TransformedDistribution):
        transforms = components.transforms
        if all(jnp.ndim(leaf) == 0 for leaf in jax.tree.leaves(transforms)):
            return TransformedDistribution(_mixed(logits, components.base_dist), transforms)
    base = components.base_dist if isinstance(components, Independent) else components
    if isinstance(base, Normal) and base.event_dim == 0:
        return NormalMixture(logits, base.loc, base.scale)
    return MixtureSameFamily(Categorical(logits=logits), components)
