"""One update, and many updates in one call of the device."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vae_jax.batches.devices import compiled, compiler_options, shardings, whole
from vae_jax.batches.keys import example_keys
from vae_jax.batches.splits import present
from vae_jax.errors import UserError
from vae_jax.runs.state import Optimization, State, is_trained
from vae_jax.types import Array, Bound, Context, Dataset, Model, Objective, Params

logger = logging.getLogger(__name__)


Update = Callable[..., tuple[State, dict[str, Array]]]


def make_update(model: Model, objective: Objective, rule: Optimization, dataset: Dataset) -> Update:
    """`(state, keys [batch, 2], raw) -> (state, metrics)`: ascent of the mean objective over x.

    The state stays as it was where a metric is not finite, or a last argument says False.
    """
    num_examples = len(dataset.splits["train"])

    def update(
        state: State, keys: Array, raw: Array, ok: Array | bool = True
    ) -> tuple[State, dict[str, Array]]:
        z_keys, batch = present(dataset, keys, raw)

        def loss(params: Params) -> tuple[Array, dict[str, Array]]:
            bound = objective(model, params, z_keys, batch, Context(state.step, num_examples))
            if not isinstance(bound, Bound):
                raise UserError(f"an objective returns a Bound, not a {type(bound).__name__}")
            terms = {"bound": bound.value, **bound.terms}
            return -bound.surrogate, {name: term.mean() for name, term in terms.items()}

        (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        metrics = {**terms, "surrogate": -value, "gradient_norm": _norm(gradient)}
        solved = model.refit or (lambda params, keys, batch: params)

        def applied(state: State, gradient: Params) -> State:
            return _apply(rule, state, gradient, lambda new: solved(new, z_keys, batch))

        # In its branch the new state takes the place of the old; beside it, both would be copied.
        good = ok & _finite(metrics)
        return jax.lax.cond(good, applied, lambda state, _: state, state, gradient), metrics

    return update


def _finite(metrics: dict[str, Array]) -> Array:
    return jnp.isfinite(jnp.stack(jax.tree.leaves(metrics))).all()


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
    """The updates, 0 for the leaves that are not trained, which weight decay would move."""
    return jax.tree_util.tree_map_with_path(
        lambda path, update: update if is_trained(path) else jnp.zeros_like(update), updates
    )


def run_steps(
    update: Update, state: State, key: Array, data: Any, rows: Array | None, ids: Array
) -> tuple[State, dict[str, Array]]:
    """The state after many updates, one after another, and the metrics of each, `[steps]`.

    `rows` `[steps, batch]` are the examples' places in `data`, `ids` theirs in the split; without
    `rows`, `data` is a window of a streamed split, `[steps, batch, ...]`. From the first step on
    whose metrics are not finite, the state stays as it was before that step.
    """

    def body(carry: tuple[State, Array], batch: tuple[Array, Any]) -> tuple[Any, Any]:
        (state, ok), (keys, examples) = carry, batch
        raw = examples if rows is None else jax.tree.map(lambda a: a[examples], data)
        state, metrics = update(state, keys, raw, ok)
        return (state, ok & _finite(metrics)), metrics

    # All keys at once: on a CPU a threefry call is a loop of small kernels, dear inside a scan.
    steps = jax.vmap(jax.random.fold_in, (None, 0))(key, state.step + jnp.arange(len(ids)))
    keys = jax.vmap(example_keys)(steps, ids)
    examples = data if rows is None else rows
    (state, _), metrics = jax.lax.scan(body, (state, jnp.array(True)), (keys, examples))
    return state, metrics


class RunSteps:
    """`run_steps` of an update as one program, for as many seeds as it is given states.

    Called with `(states, keys, data, rows, ids)`, all but `data` lists with one entry a seed, it
    gives `[(state, metrics)]`; the states are donated. Several seeds train along an axis that
    `vmap` adds, one without.
    """

    def __init__(self, update: Update, mesh: Mesh | None = None):
        """Nothing is compiled yet; on a mesh states stay as `shard` puts them."""
        one = partial(run_steps, update)

        def run_seeds(states: Any, keys: Any, data: Any, rows: Any, ids: Any) -> Any:
            if len(states) == 1:
                return [one(states[0], keys[0], data, rows[0], ids[0])]
            along = jax.vmap(one, in_axes=(0, 0, None, 0, 0))
            stacked = along(_stack(states), _stack(keys), data, _stack(rows), _stack(ids))
            return [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(states))]

        self._run_seeds, self._mesh = run_seeds, mesh
        self._programs: dict[tuple[int, ...], Any] = {}

    def prepare(self, *arguments: Any) -> Callable[..., list[tuple[State, dict[str, Array]]]]:
        """The program for arguments of these shapes, compiled, so that a clock sees it run only."""
        shapes = (len(arguments[0]), *arguments[-1][0].shape)
        if shapes not in self._programs:
            if not self._programs:
                logger.info("compiling the training program")
            placed = self._mesh and [
                (shardings(s, self._mesh), whole(self._mesh)) for s in arguments[0]
            ]
            jitted = jax.jit(
                self._run_seeds,
                donate_argnums=0,
                out_shardings=placed,
                compiler_options=compiler_options(),
            )
            self._programs[shapes] = compiled(jitted, *arguments)
        return self._programs[shapes]

    def __call__(self, *arguments: Any) -> list[tuple[State, dict[str, Array]]]:
        """Runs the program."""
        return self.prepare(*arguments)(*arguments)


def _stack(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
