"""Guards of speed that count and time nothing: copies, bytes, kernels, transfers in a step.

The bounds are a little above the counts; what goes beyond them has become slower somewhere.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import build_model, fit
from vae_jax.batches import devices
from vae_jax.batches.devices import compiler_options
from vae_jax.batches.keys import keys_of
from vae_jax.estimators.importance import importance_sampling
from vae_jax.programs import product_flops
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.parts import make_parts
from vae_jax.training import job
from vae_jax.training.job import make_job
from vae_jax.training.update import RunSteps, make_update

BATCH, STEPS, WIDTH = 20, 5, 512


@pytest.fixture(scope="module")
def step():
    """The compiled program of some steps, and the bytes of the largest weights."""
    wide = f"mlp(hidden=({WIDTH},))"
    parts = make_parts(quick_config(encoder=wide, decoder=wide, batch_size=BATCH))
    update = make_update(parts.model, parts.objective, parts.rule, parts.dataset)
    ids = jnp.zeros((STEPS, BATCH), jnp.int32)
    data = jnp.asarray(parts.dataset.splits["train"])
    arguments = [parts.start(keys_of(0))], [jax.random.key(0)], data, [ids], [ids]
    return RunSteps(update).prepare(*arguments)


def test_a_step_copies_no_weights(step):
    """The new state takes the place of the old one, and its check makes no second one."""
    weights = rf"f32\[(?:64,{WIDTH}|{WIDTH},64)\]\S* copy\("
    assert not re.findall(weights, step.as_text())


def test_a_step_holds_gradients_and_activations_and_no_more(step):
    """Gradients are a third of the state, weights and two moments; 100 kB are for all the rest."""
    memory = step.memory_analysis()
    assert memory.temp_size_in_bytes < memory.argument_size_in_bytes / 3 + 100_000
    assert memory.alias_size_in_bytes > 3 * 4 * 2 * 64 * WIDTH  # the state is donated


def test_a_step_is_not_torn_into_more_kernels(step):
    kernels = re.findall(r" (?:fusion|dot|custom-call|convolution)\(", step.as_text())
    assert len(kernels) <= 140


def test_evaluation_holds_a_chunk_of_draws_however_many_there_are():
    """The features of `rows` draws, and the log weights of all of them."""
    model, rows = build_model((28, 28, 1), 5, decoder="mlp(hidden=(16,))"), 100
    x = np.zeros((4, 28, 28, 1), np.float32)
    params = jax.eval_shape(model.init, jax.random.key(0), x)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), len(x)))

    def held(k):
        def program(params, keys):
            return importance_sampling(model, params, keys, x, num_samples=k, rows=rows)

        return jax.jit(program).lower(params, keys).compile().memory_analysis().temp_size_in_bytes

    more = held(5000) - held(500)
    assert held(500) < 4 * rows * 784 * 4
    assert more < 4500 * len(x) * 4 * 16


def test_a_window_of_a_resident_split_is_one_transfer(monkeypatch):
    """The places of its examples; the steps themselves are called with what is there."""
    put, real, calls = [], jax.device_put, []
    monkeypatch.setattr(jax, "device_put", lambda *a, **k: put.append(1) or real(*a, **k))
    prepare = RunSteps.prepare

    def guarded(self, *arguments):
        program = prepare(self, *arguments)

        def call(*arguments):
            calls.append(len(put))
            with jax.transfer_guard("disallow_explicit"):
                return program(*arguments)

        return call

    monkeypatch.setattr(RunSteps, "prepare", guarded)
    fit(quick_config(log_every_steps=2, num_epochs=1), quiet=True)
    assert len(calls) == 6
    assert np.diff(calls).tolist() == [1] * 5


def test_options_of_one_platform_reach_no_other(monkeypatch):
    assert all(option.startswith("xla_cpu_") for option in compiler_options())
    assert compiler_options()
    for platform in ("gpu", "tpu"):
        other = type("Device", (), {"platform": platform})()
        monkeypatch.setattr(devices, "devices", lambda other=other: [other])
        assert compiler_options() == {}


def test_operations_of_products_are_counted_wherever_they_are():
    """2 n k m each: a layer forward and back, three times in a loop, once in a branch."""
    x, w = jnp.ones((5, 7)), jnp.ones((7, 11))

    def trained(w):
        def turn(w, _):
            return w - jax.grad(lambda w: jax.jit(jnp.matmul)(x, w).sum())(w), None

        looped = jax.lax.scan(turn, w, None, length=3)[0]
        return jax.lax.cond(w.sum() > 0, lambda: x @ looped, lambda: jnp.zeros((5, 11)))

    assert product_flops(jax.make_jaxpr(trained)(w).jaxpr) == 2 * 5 * 7 * 11 * (3 * 2 + 1)


def test_slow_steps_make_short_calls_of_the_device(monkeypatch, tmp_path):
    config = quick_config(num_epochs=1)
    flops = make_job(config).flops
    monkeypatch.setattr(job, "WORK", {"cpu": 5 * flops})
    fit(config, tmp_path, quiet=True)
    steps = [record["step"] for record in read_metrics(tmp_path) if "gradient_norm" in record]
    assert steps == [5, 10, 12]
