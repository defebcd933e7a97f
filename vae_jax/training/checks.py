"""Checks before training, which refuse parts that cannot work together."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax import config
from vae_jax.batches.devices import ONCE, compiler_options
from vae_jax.batches.keys import example_keys
from vae_jax.batches.rows import gather, rows_of
from vae_jax.divergences.supports import ends, require_nested_supports
from vae_jax.errors import UserError, one_line
from vae_jax.programs import product_flops
from vae_jax.runs.parts import Parts
from vae_jax.runs.state import State, num_parameters
from vae_jax.training.update import Update
from vae_jax.types import Facts, Params, shaped

SIZES = (0.0, 1000.0)  # of the gradients that an update rule is tried with
PROBED = 9  # updates of a run, from its first to its last
TRIED = 2  # updates one after another: some rules only look at a first gradient
LONGEST_REASON = 200  # characters


def require_validation(parts: Parts) -> None:
    """Refuses a patience without a validation split to judge by."""
    if parts.cfg.patience and "validation" not in parts.dataset.splits:
        message = "the data has no validation split, by whose bound a run would end"
        raise UserError(f"config.patience={parts.cfg.patience}: {message}")


def require_memory(state: State) -> None:
    """Refuses parameters and an optimizer's state that this machine could not hold."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > there:
        message = f"{num_parameters(state.params):,} parameters and the optimizer's state"
        raise UserError(f"{message} take {size / 1e9:,.0f} GB, and here are {there / 1e9:,.0f} GB")


def require_latent(parts: Parts, params: Params) -> None:
    """Refuses q(z|x) or p(z) that is not of vectors of `latent_dim` numbers."""
    cfg, model = parts.cfg, parts.model
    example = shaped(model, parts.x_shape)
    posterior = jax.eval_shape(model.encode, params, example)
    prior = jax.eval_shape(model.prior, params, *example.conditions)
    size = sum(getattr(posterior, "sizes", config.sizes(cfg)))
    for role, distribution in (("posterior", posterior), ("prior", prior)):
        if (shape := distribution.event_shape) != (size,):
            wanted = f"({size},) is needed; independent numbers want .to_event(1)"
            raise UserError(f"config.{role}={cfg[role]}: its event_shape is {shape}, {wanted}")


def require_finite_support(facts: Facts) -> None:
    """Refuses a q(z|x) that reaches where p(z) is 0: their KL is infinite."""
    q, p = facts.posterior, facts.prior
    if all(end.dtype != object for d in (q, p) for end in ends(d.support)):  # no shapes alone
        require_nested_supports(q, p)
        return

    def nested(params: Params) -> None:
        with jax.ensure_compile_time_eval():  # so that the ends of a support are numbers
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), facts.example)
            q = facts.model.encode(params, zeros)
            require_nested_supports(q, facts.model.prior(params, *zeros.conditions))

    jax.eval_shape(nested, facts.params)


def traced_flops(parts: Parts, update: Update, state: State) -> int:
    """Refuses parts of which no update can be traced, or whose objective lacks terms.

    Returns:
        floating-point operations of an update's matrix products.
    """
    size, one = parts.cfg.batch_size, gather(rows_of(parts.dataset, "train"), slice(0, 1))
    raw = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), one)
    keys = jax.eval_shape(lambda: example_keys(jax.random.key(0), jnp.arange(size)))
    program, (_, metrics) = jax.make_jaxpr(update, return_shape=True)(state, keys, raw)
    if not {"log_likelihood", "kl"} <= metrics.keys():
        raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
    return product_flops(program.jaxpr)


def require_descent(parts: Parts) -> None:
    """Refuses an optimizer that goes uphill, never moves, or whose update is not finite.

    It is tried on a few numbers, with and without a gradient, at several updates of the run. A
    schedule may start or end at 0, but a rule that never moves learns nothing.
    """
    what = f"config.optimizer={parts.cfg.optimizer}"
    steps = np.unique(np.linspace(0, parts.num_steps - 1, PROBED).astype(np.int32))
    try:
        still, moved = np.asarray(_moves(parts.rule.gradient, steps)).T
    except Exception as error:  # whatever optax raises for a rule that wants more than gradients
        reason = one_line(error)[:LONGEST_REASON]
        raise UserError(f"{what} makes no update of gradients alone ({reason})") from error
    for step, without, by in zip(steps, still, moved, strict=True):
        if not np.isfinite([without, by]).all():
            which = "a gradient of 0" if np.isfinite(by) else "a large gradient"
            raise UserError(f"{what}: update {step + 1} is not finite for {which}")
        if by > 0:
            message = "goes uphill: a rule that ends with a positive learning rate goes downhill"
            raise UserError(f"{what}: update {step + 1} {message}")
    if not moved.any():
        raise UserError(f"{what} never moves a parameter: a positive learning rate is needed")


def _moves(rule: optax.GradientTransformation, steps: np.ndarray) -> jax.Array:
    """The sums of two updates by equal gradients, `[steps, sizes]`: below 0 is downhill."""
    params = {"w": jnp.ones((4, 4)), "b": jnp.ones(4)}

    def move(step: jax.Array, size: jax.Array) -> jax.Array:
        gradient = jax.tree.map(lambda p: jnp.full_like(p, size), params)

        def update(state: Any, _: None) -> tuple[Any, jax.Array]:
            updates, state = rule.update(gradient, state, params)
            sums = jax.tree.map(lambda p, u: (0 * p + u).sum(), params, updates)
            return state, sum(jax.tree.leaves(sums), jnp.zeros(()))

        _, sums = jax.lax.scan(update, _at(step, rule.init(params)), length=TRIED)
        return sums.sum()

    along_both = jax.vmap(jax.vmap(move, (None, 0)), (0, None))
    return jax.jit(along_both, compiler_options=compiler_options(ONCE))(steps, jnp.array(SIZES))


def _at(step: jax.Array, opt_state: optax.OptState) -> optax.OptState:
    """The state with its counts at a step, so that schedules are there."""
    counts = [path for path, _ in optax.tree.get_all_with_path(opt_state, "count")]
    return optax.tree.set(opt_state, count=step) if counts else opt_state
