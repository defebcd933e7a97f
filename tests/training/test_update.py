"""One update, and many: the gradient's norm and clip, averaged parameters, seeds as an axis."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.quick_runs import quick_config, same
from vae_jax import elbo, fit
from vae_jax.runs.state import State, evaluated_params, optimization
from vae_jax.training.update import _apply, _norm, make_update, run_steps


@pytest.mark.slow
def test_averaged_parameters_are_the_debiased_exponential_mean():
    decay = 0.8
    config = quick_config(ema_decay=decay, num_epochs=1, log_every_steps=1, eval_every_epochs=1.0)
    steps = [fit(quick_config(num_epochs=1), quiet=True)]  # the last of 12 updates
    averaged = fit(config, quiet=True)
    assert not same(averaged.params, steps[0].params)
    rule = optimization(optax.sgd(0.1), 0.0, decay)
    state = State(jnp.int32(0), {"w": jnp.ones(2)}, rule.gradient.init({"w": jnp.ones(2)}),
                           rule.average.init({"w": jnp.ones(2)}))  # fmt: skip
    history = []
    for i in range(5):
        state = _apply(rule, state, {"w": jnp.array([1.0, -2.0 * i])})
        history.append(np.asarray(state.params["w"]))
    weights = decay ** np.arange(4, -1, -1)
    expected = (weights[:, None] * history).sum(0) / weights.sum()
    mean = evaluated_params(state, decay)["w"]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_the_gradient_is_clipped_to_its_norm():
    rule = optimization(optax.sgd(1.0), clip_norm=0.5)
    params = {"w": jnp.zeros(2)}
    state = State(jnp.int32(0), params, rule.gradient.init(params), ())
    new = _apply(rule, state, {"w": jnp.array([3.0, 4.0])})
    np.testing.assert_allclose(new.params["w"], [-0.3, -0.4], rtol=1e-6)


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
