"""One update, and many: the gradient's norm and clip, averaged parameters, seeds as an axis."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.quick_runs import quick_config, same
from vae_jax import build_model, elbo, fit
from vae_jax.datasets._making import make_dataset
from vae_jax.runs.state import State, evaluated_params, optimization
from vae_jax.training.update import _apply, _norm, make_update, run_steps
from vae_jax.types import Bound


def test_averaged_parameters_are_the_debiased_exponential_mean():
    decay, start = 0.8, {"w": jnp.ones(2)}
    rule = optimization(optax.sgd(0.1), 0.0, decay)
    state = State(jnp.int32(0), start, rule.gradient.init(start), rule.average.init(start))
    history = []
    for i in range(5):
        state = _apply(rule, state, {"w": jnp.array([1.0, -2.0 * i])})
        history.append(np.asarray(state.params["w"]))
    weights = decay ** np.arange(4, -1, -1)
    expected = (weights[:, None] * history).sum(0) / weights.sum()
    mean = evaluated_params(state, decay)["w"]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_run_with_averaging_ends_with_the_average():
    last = fit(quick_config(num_epochs=1), quiet=True)
    averaged = fit(quick_config(num_epochs=1, ema_decay=0.8), quiet=True)
    assert not same(averaged.params, last.params)


def test_every_step_has_keys_of_its_own_however_the_steps_are_called():
    def update(state, keys, raw, ok):  # shows the draws of each example's two keys
        draws = jax.vmap(jax.vmap(jax.random.uniform))(keys)
        return state._replace(step=state.step + 1), {"draws": draws}

    def call(state, ids):
        return run_steps(update, state, jax.random.key(0), jnp.zeros((4, 1)), ids, ids)

    ids = jnp.tile(jnp.arange(4).reshape(2, 2), (3, 1))  # three epochs of four examples
    start = State(jnp.int32(0), {}, (), ())
    together = call(start, ids)[1]["draws"]
    state, first = call(start, ids[:2])
    later = call(state, ids[2:])[1]
    np.testing.assert_array_equal(jnp.concatenate([first["draws"], later["draws"]]), together)
    assert len(np.unique(together)) == together.size == 24


def test_from_a_step_that_is_not_finite_on_nothing_moves():
    """Gradients of w times 1, infinity, 1: the last step is a good one again, and is not made."""
    rule = optimization(optax.sgd(1.0))

    def objective(model, params, keys, batch, context):
        value = params["w"] * batch.x.sum()
        return Bound(value, value, {})

    dataset = make_dataset({"train": np.array([[1.0], [2.0], [3.0]], np.float32)})
    model = build_model((1,), 1, encoder="linear", decoder="linear", likelihood="normal")
    update = make_update(model, objective, rule, dataset)
    data, ids = jnp.array([[1.0], [jnp.inf], [1.0]]), jnp.arange(3)[:, None]
    params = {"w": jnp.array(2.0)}
    start = State(jnp.int32(0), params, rule.gradient.init(params), ())
    state, metrics = run_steps(update, start, jax.random.key(0), data, ids, ids)
    assert np.isfinite(metrics["bound"]).tolist() == [True, False, True]
    assert (int(state.step), float(state.params["w"])) == (1, 3.0)


def test_the_gradient_is_clipped_to_its_norm():
    rule = optimization(optax.sgd(1.0), clip_norm=0.5)
    params = {"w": jnp.zeros(2)}
    state = State(jnp.int32(0), params, rule.gradient.init(params), ())
    new = _apply(rule, state, {"w": jnp.array([3.0, 4.0])})
    np.testing.assert_allclose(new.params["w"], [-0.3, -0.4], rtol=1e-6)


@pytest.mark.slow
def test_the_gradient_norm_is_the_global_norm():
    shapes = [(), (3,), (2, 3), (2, 3, 4), (3, 3, 1, 5)]
    tree = [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes)]
    np.testing.assert_allclose(_norm(tree), optax.tree.norm(tree), rtol=1e-6)


@pytest.mark.slow
def test_seeds_are_an_axis():
    """`run_steps` under vmap and jit is the same run, seed by seed."""
    config = quick_config()
    run = fit(config, quiet=True)
    rule = optimization(optax.sgd(0.1))
    update = make_update(run.model, elbo, rule, run.dataset)
    keys = jax.random.split(jax.random.key(0), 2)
    data = jnp.asarray(run.dataset.splits["train"])
    ids = jnp.arange(60).reshape(3, 20)
    start = State(jnp.int32(0), run.params, rule.gradient.init(run.params), ())

    def call(key):
        return run_steps(update, start, key, data, ids, ids)[0].params

    together = jax.jit(jax.vmap(call))(keys)
    for i in range(2):
        alone = jax.jit(call)(keys[i])
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)
