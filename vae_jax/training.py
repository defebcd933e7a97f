"""State, one update, and many updates in one call of the device."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax.errors import UserError
from vae_jax.types import UNTRAINED, Array, Bound, Dataset, Model, Objective, Params

logger = logging.getLogger(__name__)
# Elementwise code as wide as the matrix products': about 8% of a step where there is AVX-512.
COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}


class State(NamedTuple):
    """All that a run carries from one update to the next; its randomness derives from `step`."""

    step: Array
    params: Params
    opt_state: Any
    average: Any  # optax's EmaState of params, or () without averaging


class Keys(NamedTuple):
    """A seed's keys, one for each purpose, so that no two purposes share a stream."""

    model: Array
    order: Array
    train: Array
    start: Array  # of the data that data-dependent starts see
    validate: Array
    evaluate: Array
    sample: Array


class Optimization(NamedTuple):
    """The update rule and the averaging of parameters."""

    gradient: optax.GradientTransformation
    average: optax.GradientTransformation | None


Update = Callable[[State, Array, Array], tuple[State, dict[str, Array]]]


def keys_of(seed: int) -> Keys:
    """The keys that a seed stands for."""
    return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))


def optimization(
    optimizer: optax.GradientTransformation, clip_norm: float = 0.0, ema_decay: float = 0.0
) -> Optimization:
    """The optimizer behind a clip of the global gradient norm, and the average; 0 is none."""
    clipped = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)
    average = optax.ema(ema_decay) if ema_decay else None
    return Optimization(clipped if clip_norm else optimizer, average)


def initial_state(model: Model, rule: Optimization, key: Array, batch: Array) -> State:
    """The state before the first update; `batch` is x, for starts that depend on the data."""
    params = model.init(key, batch)
    average = rule.average.init(params) if rule.average else ()
    return State(jnp.zeros((), jnp.int32), params, rule.gradient.init(params), average)


def evaluated_params(state: State, ema_decay: float) -> Params:
    """The parameters to evaluate: their average where there is one, without its bias to 0."""
    if state.average == ():
        return state.params
    count = jnp.maximum(state.average.count, 1)
    return optax.tree.bias_correction(state.average.ema, ema_decay, count)


def example_keys(key: Array, ids: Array) -> Array:
    """Two keys for each example, `[batch, 2]`, functions of (key, its index in the split)."""
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i)))(ids)


def presented(dataset: Dataset, keys: Array, raw: Array) -> tuple[Array, Array]:
    """x, made of stored examples with one of their keys; the other is for what follows.

    Args:
        dataset: the data set.
        keys: `[batch, 2]`, see `example_keys`.
        raw: examples as stored, `[batch, ...]`.

    Returns:
        keys `[batch]` and x `[batch, *x_shape]`.
    """
    return keys[:, 0], jax.vmap(dataset.preprocess)(keys[:, 1], raw)


def make_update(model: Model, objective: Objective, rule: Optimization, dataset: Dataset) -> Update:
    """`(state, keys [batch, 2], raw) -> (state, metrics)`: ascent of the mean objective over x."""

    def update(state: State, keys: Array, raw: Array) -> tuple[State, dict[str, Array]]:
        z_keys, x = presented(dataset, keys, raw)

        def loss(params: Params) -> tuple[Array, dict[str, Array]]:
            bound = objective(model, params, z_keys, x, state.step)
            if not isinstance(bound, Bound):
                raise UserError(f"an objective returns a Bound, not a {type(bound).__name__}")
            terms = {"bound": bound.value, **bound.terms}
            return -bound.surrogate, {name: term.mean() for name, term in terms.items()}

        (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        metrics = {**terms, "surrogate": -value, "gradient_norm": _norm(gradient)}
        solved = model.refit or (lambda params, keys, x: params)
        return _apply(rule, state, gradient, lambda new: solved(new, z_keys, x)), metrics

    return update


def _norm(tree: Params) -> Array:
    """The global norm. Products with ones are vectorized where sums are not: 5% of a step."""
    squares = [
        jnp.square(x).reshape(-1, jnp.shape(x)[-1] if x.ndim else 1) for x in jax.tree.leaves(tree)
    ]
    return jnp.sqrt(sum((jnp.ones(len(square)) @ square).sum() for square in squares))


def _apply(
    rule: Optimization,
    state: State,
    gradient: Params,
    solved: Callable[[Params], Params] = lambda params: params,
) -> State:
    updates, opt_state = rule.gradient.update(gradient, state.opt_state, state.params)
    params = solved(optax.apply_updates(state.params, _of_trained(updates)))
    average = rule.average.update(params, state.average)[1] if rule.average else ()
    return State(state.step + 1, params, opt_state, average)


def _of_trained(updates: Params) -> Params:
    """The updates without those of what is not trained, which weight decay would move."""
    return jax.tree_util.tree_map_with_path(
        lambda path, update: update if is_trained(path) else jnp.zeros_like(update), updates
    )


def is_trained(path: Sequence[Any]) -> bool:
    """Whether the leaf of params at that path is one that an optimizer moves."""
    return all(getattr(key, "key", None) != UNTRAINED for key in path)


def num_parameters(params: Params) -> int:
    """How many numbers training adjusts."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(int(np.prod(leaf.shape)) for path, leaf in leaves if is_trained(path))


def run_steps(
    update: Update, state: State, key: Array, data: Array, rows: Array, ids: Array
) -> tuple[State, dict[str, Array]]:
    """Many updates, one after another: the new state, and the metrics of each, `[steps]`.

    `rows` `[steps, batch]` are the examples' places in `data`, `ids` theirs in the split; the two
    differ where `data` is a window of a streamed split. From the first step on whose metrics are
    not finite, the state stays as it was before that step.
    """

    def body(carry: tuple[State, Array], batch: tuple[Array, Array]) -> tuple[Any, Any]:
        (state, ok), (keys, rows) = carry, batch
        new, metrics = update(state, keys, data[rows])
        ok &= jnp.isfinite(jnp.stack(jax.tree.leaves(metrics))).all()
        return (jax.lax.cond(ok, lambda: new, lambda: state), ok), metrics

    # All keys at once: on a CPU a threefry call is a loop of small kernels, dear inside a scan.
    steps = jax.vmap(jax.random.fold_in, (None, 0))(key, state.step + jnp.arange(len(ids)))
    keys = jax.vmap(example_keys)(steps, ids)
    (state, _), metrics = jax.lax.scan(body, (state, jnp.array(True)), (keys, rows))
    return state, metrics


class RunSteps:
    """`run_steps` of an update as one program, for as many seeds as it is given states.

    Called with `(states, keys, data, rows, ids)`, all but `data` lists with one entry a seed, it
    gives `[(state, metrics)]`; the states are donated. Several seeds train along an axis that
    `vmap` adds, one without.
    """

    def __init__(self, update: Update):
        """Nothing is compiled yet."""
        one = partial(run_steps, update)

        def run_seeds(states: Any, keys: Any, data: Any, rows: Any, ids: Any) -> Any:
            if len(states) == 1:
                return [one(states[0], keys[0], data, rows[0], ids[0])]
            along = jax.vmap(one, in_axes=(0, 0, None, 0, 0))
            found = along(_stack(states), _stack(keys), data, _stack(rows), _stack(ids))
            return [jax.tree.map(lambda leaf, i=i: leaf[i], found) for i in range(len(states))]

        self._jitted = jax.jit(run_seeds, donate_argnums=0, compiler_options=COMPILER_OPTIONS)
        self._programs: dict[tuple[int, ...], Any] = {}

    def prepare(self, *arguments: Any) -> Callable[..., list[tuple[State, dict[str, Array]]]]:
        """The program for arguments of these shapes, compiled, so that a clock sees it run only."""
        shapes = (len(arguments[0]), *arguments[-1][0].shape)
        if shapes not in self._programs:
            if not self._programs:
                logger.info("compiling the training program")
            self._programs[shapes] = self._jitted.lower(*arguments).compile()
        return self._programs[shapes]

    def __call__(self, *arguments: Any) -> list[tuple[State, dict[str, Array]]]:
        """Runs the program."""
        return self.prepare(*arguments)(*arguments)


def _stack(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def epoch_order(key: Array, epoch: int, size: int, batch_size: int) -> np.ndarray:
    """The examples of an epoch, `[steps, batch]`: a permutation that is a function of (key, epoch).

    What does not fill a batch is left for another epoch's order.
    """
    order = np.asarray(_permutation(key, epoch, size))
    steps = size // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


@partial(jax.jit, static_argnums=2)
def _permutation(key: Array, epoch: int, size: int) -> Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), size)
