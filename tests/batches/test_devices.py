"""Eight simulated devices change nothing but rounding; they are made in a process of their own."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit

PROGRAM = """
import pickle, sys, jax
from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
config = quick_config(batch_size=80, num_epochs=2)
run = fit(config, quiet=True)
leaf = jax.tree.leaves(run.params)[0]
results = evaluate(run, num_importance_samples=50, batch_size=40, quiet=True)
devices = len(leaf.sharding.device_set)
pickle.dump((devices, jax.device_get(run.params), results["per_example"]), open(sys.argv[1], "wb"))
"""


@pytest.mark.slow
def test_eight_devices_change_nothing_but_rounding(tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    subprocess.run(command, cwd=root, env={**os.environ, **flags}, check=True, timeout=300)
    devices, params, per_example = pickle.loads((tmp_path / "out").read_bytes())
    assert devices == 8
    run = fit(quick_config(batch_size=80, num_epochs=2), quiet=True)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(run.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    results = evaluate(run, num_importance_samples=50, batch_size=100, quiet=True)
    for name in ("elbo", "log_p", "kl_sampled"):
        np.testing.assert_allclose(
            per_example[name], results["per_example"][name], rtol=1e-3, atol=1e-3
        )
