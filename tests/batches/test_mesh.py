"""A mesh that a config asks for: large arrays are split, numbers are the same up to rounding."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import config as configs
from vae_jax import fit
from vae_jax.batches import devices
from vae_jax.errors import MistakesError, UserError
from vae_jax.sweeps import plan

CONFIG = {"encoder": "mlp(hidden=(64,))", "decoder": "mlp(hidden=(64,))", "batch_size": 80}
PROGRAM = """
import pickle, sys, jax
from tests.quick_runs import quick_config
from vae_jax import fit
from vae_jax.runs import checkpoints

states, save = [], checkpoints.save
def seen(manager, step, state, bound=None):
    states.append(state)
    save(manager, step, state, bound)
checkpoints.save = seen

config = quick_config(mesh="data=4, model=2", num_epochs=2, **pickle.loads(bytes.fromhex(sys.argv[2])))
fit(config, sys.argv[1] + "/run", quiet=True)
leaves = jax.tree.leaves(states[-1])
shapes = [(a.shape, {s.data.shape for s in a.addressable_shards}) for a in leaves]
pickle.dump(shapes, open(sys.argv[1] + "/shapes", "wb"))
"""


@pytest.mark.slow
def test_large_arrays_are_split_and_another_mesh_goes_on(tmp_path):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), pickle.dumps(CONFIG).hex()]
    subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, check=True, timeout=300)
    shapes = pickle.loads((tmp_path / "shapes").read_bytes())
    large = [(whole, parts) for whole, parts in shapes if np.prod(whole) >= 2**12]
    assert len(large) == 6  # 64 x 64 of each network, and two moments of Adam
    assert all(whole == (64, 64) and parts == {(64, 32)} for whole, parts in large)
    assert all(parts == {whole} for whole, parts in shapes if np.prod(whole) < 2**12)
    resumed = fit(quick_config(num_epochs=3, **CONFIG), tmp_path / "run", quiet=True, which="last")
    alone = fit(quick_config(num_epochs=3, **CONFIG), quiet=True, which="last")
    pairs = zip(jax.tree.leaves(resumed.params), jax.tree.leaves(alone.params), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


MISFITS = [
    ("data=2", "'data=D, model=M' with two whole numbers is needed"),
    ("data=0, model=1", "'data=D, model=M' with two whole numbers is needed"),
    ("data=64, model=2", r"needs 128 devices; JAX sees \d+, and config.mesh='' takes these"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    fit(quick_config(num_epochs=1), workdir, quiet=True)
    return workdir


@pytest.mark.parametrize(("mesh", "needed"), MISFITS)
def test_a_mesh_that_does_not_fit_is_refused(finished, mesh, needed):
    for workdir in (None, finished):
        with pytest.raises(UserError, match=needed):
            fit(quick_config(num_epochs=1, mesh=mesh), workdir, quiet=True)


def test_a_mesh_whose_data_does_not_divide_the_batch_is_refused(finished, monkeypatch):
    monkeypatch.setattr(devices, "devices", lambda: 3 * jax.devices())
    for workdir in (None, finished):
        with pytest.raises(UserError, match="batch_size=100 is no multiple of 3"):
            fit(quick_config(num_epochs=1, mesh="data=3, model=1"), workdir, quiet=True)


def test_a_sweep_of_which_nothing_is_missing_refuses_it_too(tmp_path, monkeypatch):
    run, cfg = tmp_path / "base" / "seed_0", quick_config(mesh="data=64, model=2")
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(configs.resolve(cfg).to_dict()))
    monkeypatch.setattr(plan, "is_done", lambda *asked: True)
    with pytest.raises(MistakesError, match="needs 128 devices; JAX sees"):
        plan.plan(cfg, [{}], tmp_path, {})


def test_a_mesh_is_no_part_of_a_runs_identity():
    one, other = (configs.resolve(quick_config(mesh=mesh)) for mesh in ("", "data=1,model=1"))
    assert configs.identity(one) == configs.identity(other)
    assert not configs.differences(one, other)
