"""The ELBO of one example, raised within a family of q until steps bring nothing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from numpyro.distributions import Distribution

from vae_jax.estimators._families import Family
from vae_jax.objectives.elbo import elbo
from vae_jax.types import Array, Batch, Model, Params

BLOCK = 100  # steps, whose mean ELBO is compared
PATIENCE = 10  # blocks without a gain
RATES = (1.0, 0.1)  # of the learning rate, one after the other
LEAST_STEPS = (len(RATES) * PATIENCE + 1) * BLOCK  # to an end that is convergence
LOCAL = "local"  # the branch of `params` that is moved


class Optimum(NamedTuple):
    """The best q of a family, the steps that led to it, and whether they came to an end."""

    q: Distribution
    steps: Array
    converged: Array


class _State(NamedTuple):
    numbers: Any
    adam: optax.OptState
    best: Array  # the highest mean of a block so far, nats
    waited: Array  # blocks since then
    stage: Array  # of RATES
    blocks: Array


class Ascent(NamedTuple):
    """The ELBO of one example as a function of q, and how it is raised."""

    model: Model
    params: Params
    example: Batch
    draws: int  # of z, a step
    learning_rate: float
    max_steps: int

    def elbo(self, q: Distribution, key: Array) -> Array:
        """The ELBO by one draw, with the KL in closed form where there is one, nats."""
        return elbo(self._of(lambda params: q), self.params, key, self.example).value

    def optimum(self, family: Family, key: Array) -> Optimum:
        """argmax over a family of E_q log p(x, z) - log q(z), by Adam and reparameterized draws.

        It has converged at a rate when the means of the ELBO over 10 blocks of 100 steps do not
        exceed the highest before (Cremer et al. 2018, section 5.1); a tenth of the rate follows, so
        that the draws' noise in the numbers is not part of the gap. The gradient leaves out the
        score of log q (Roeder et al. 2017): where q is the posterior no noise is left.
        """
        adam = optax.scale_by_adam()

        def block(state: _State) -> _State:
            rate = self.learning_rate * jnp.asarray(RATES)[state.stage]

            def step(now: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
                numbers, moments = now
                value, slope = jax.value_and_grad(self._bound)(numbers, family, key)
                update, moments = adam.update(slope, moments)
                return (jax.tree.map(lambda a, b: a + rate * b, numbers, update), moments), value

            keys = jax.random.split(jax.random.fold_in(key, state.blocks), BLOCK)
            (numbers, moments), values = jax.lax.scan(step, (state.numbers, state.adam), keys)
            return _judged(state._replace(numbers=numbers, adam=moments), values.mean())

        def goes_on(state: _State) -> Array:
            return (state.stage < len(RATES)) & (state.blocks * BLOCK < self.max_steps)

        none = jnp.zeros((), int)
        start = _State(family.start, adam.init(family.start), -jnp.full((), jnp.inf), *3 * (none,))
        end = jax.lax.while_loop(goes_on, block, start)
        converged = (end.stage == len(RATES)) & jnp.isfinite(end.best)
        return Optimum(family.distribution(end.numbers), end.blocks * BLOCK, converged)

    def _bound(self, numbers: Any, family: Family, key: Array) -> Array:
        model = self._of(lambda params: family.distribution(params[LOCAL]))
        params = {**self.params, LOCAL: numbers}
        options: dict[str, Any] = {"num_samples": self.draws, "gradient": "stl"}
        return elbo(model, params, key, self.example, **options).surrogate

    def _of(self, q: Callable[[Params], Distribution]) -> Model:
        """The model whose encoder gives this q, whatever x."""
        return self.model._replace(encode=lambda params, example: q(params))


def _judged(state: _State, mean: Array) -> _State:
    """The state after a block of that mean ELBO: where nothing is gained the next rate begins."""
    waited = jnp.where(mean > state.best, 0, state.waited + 1)
    ended = waited == PATIENCE
    return state._replace(
        best=jnp.maximum(state.best, mean),
        waited=jnp.where(ended, 0, waited),
        stage=state.stage + ended,
        blocks=state.blocks + 1,
    )
