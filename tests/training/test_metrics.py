"""The metrics of a run: training's and validation's bounds, their terms, weights and errors."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import elbo, fit
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.splits import present
from vae_jax.runs.directory import read_metrics


def test_the_bound_rises_and_metrics_are_written(trained):
    records = read_metrics(trained.workdir)
    train = [r for r in records if "bound" in r]
    assert [r["step"] for r in train] == [12, 24, 36, 48]
    assert train[-1]["bound"] > train[0]["bound"] + 2
    np.testing.assert_allclose(
        train[-1]["bound"], train[-1]["log_likelihood"] - train[-1]["kl"], rtol=1e-5
    )
    held = [r for r in records if "validation_bound" in r]
    assert [r["step"] for r in held] == [12, 24, 36, 48]
    assert list((trained.workdir / "events").glob("events.out.tfevents*"))
    environment = json.loads((trained.workdir / "environment.json").read_text())
    assert environment["versions"]["jax"] == jax.__version__


@pytest.mark.slow
def test_the_warm_up_happens_in_training(tmp_path):
    """At update t the surrogate is log p(x|z) - t / 24 KL, for the first 24 updates."""
    config = quick_config(objective="elbo(warmup_steps=24)", num_epochs=3, log_every_steps=1)
    fit(config, tmp_path, quiet=True)
    for record in (r for r in read_metrics(tmp_path) if "bound" in r):
        weight = min(1.0, (record["step"] - 1) / 24)
        expected = record["log_likelihood"] - weight * record["kl"]
        np.testing.assert_allclose(record["surrogate"], expected, rtol=1e-4)
        np.testing.assert_allclose(
            record["bound"], record["log_likelihood"] - record["kl"], rtol=1e-4
        )


@pytest.mark.slow
def test_validation_draws_are_always_the_same_and_its_error_is_that_of_the_mean(tmp_path):
    run = fit(quick_config(optimizer="sgd(learning_rate=1e-30)"), tmp_path, quiet=True)
    held = [r for r in read_metrics(tmp_path) if "validation_bound" in r]
    assert len({r["validation_bound"] for r in held}) == 1
    split = jnp.asarray(run.dataset.splits["validation"])
    keys = example_keys(keys_of(0).validate, jnp.arange(len(split)))
    z_keys, x = present(run.dataset, keys, split)
    values = np.asarray(elbo(run.model, run.params, z_keys, x).value, float)
    np.testing.assert_allclose(held[0]["validation_bound"], values.mean(), rtol=1e-5)
    error = values.std(ddof=1) / np.sqrt(len(values))
    np.testing.assert_allclose(held[0]["validation_error"], error, rtol=1e-4)


@pytest.mark.slow
def test_what_is_validated_is_what_is_evaluated(tmp_path):
    """With averaging, the average: its bound is the one that selects."""
    run = fit(quick_config(ema_decay=0.99, num_epochs=2), tmp_path, quiet=True)
    held = [r for r in read_metrics(tmp_path) if "validation_bound" in r]
    split = jnp.asarray(run.dataset.splits["validation"])
    keys = example_keys(keys_of(0).validate, jnp.arange(len(split)))
    z_keys, x = present(run.dataset, keys, split)
    value = elbo(run.model, run.params, z_keys, x).value.mean()
    np.testing.assert_allclose(held[-1]["validation_bound"], value, rtol=1e-5)
