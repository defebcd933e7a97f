"""The stages of a run that are compared, and the comparison as it is reported."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.splits import present
from vae_jax.kl_comparison.models.compare import compare_run
from vae_jax.kl_comparison.models.stages import stages
from vae_jax.kl_comparison.models.tables import table
from vae_jax.reporting.pages import report
from vae_jax.runs.results import read_results, read_splits, save_results


def kept(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


@pytest.mark.slow  # it trains
def test_a_checkpoint_from_half_way_is_kept_and_a_killed_run_ends_the_same(trained, tmp_path):
    """96 updates. What a kill leaves are the checkpoints up to then."""
    assert {48, 84, 96} <= set(kept(trained.workdir))
    assert len(kept(trained.workdir)) <= 4
    shutil.copytree(trained.workdir, tmp_path, dirs_exist_ok=True)
    for step in kept(tmp_path):
        if step > 48:
            shutil.rmtree(tmp_path / "checkpoints" / str(step))
    resumed = fit(quick_config(num_epochs=8), tmp_path, quiet=True)
    same = jax.tree.map(np.array_equal, resumed.params, trained.params)
    assert all(jax.tree.leaves(same))
    assert 48 in kept(tmp_path)


@pytest.mark.slow
def test_stages_are_initialization_middle_and_end(tmp_path):
    config = quick_config(ema_decay=0.9, num_epochs=5)
    run = fit(config, tmp_path, quiet=True)
    compared = stages(run)
    assert [(s.name, s.step) for s in compared] == [
        ("initialization", 0),
        ("middle", 24),
        ("end", 60),
    ]
    x = present(
        run.dataset,
        example_keys(keys_of(0).start, jnp.arange(1000)),
        jnp.asarray(run.dataset.splits["train"][:1000]),
    )[1]
    expected = run.model.init(keys_of(0).model, x)
    np.testing.assert_allclose(
        ravel_pytree(compared[0].params)[0], ravel_pytree(expected)[0], rtol=1e-6
    )
    np.testing.assert_array_equal(ravel_pytree(compared[2].params)[0], ravel_pytree(run.params)[0])
    shutil.rmtree(tmp_path / "checkpoints" / "24")
    assert [s.name for s in stages(run)] in (
        ["initialization", "end"],
        ["initialization", "middle", "end"],
    )


@pytest.mark.slow  # it trains
def test_a_run_is_compared_and_reported(trained):
    workdir = trained.workdir
    results = compare_run(workdir, num_samples=16, repetitions=32, quiet=True)
    save_results(workdir, "test", evaluate(trained, num_importance_samples=8, quiet=True))
    stored = read_results(workdir)
    assert stored["compare_kl"] == json.loads(json.dumps(results))
    assert list(read_splits(workdir)) == ["test"]
    names = {path.name for path in (workdir / "figures").iterdir()}
    assert {f"compare_kl_{name}.png" for name in ("values", "error", "gradients")} <= names
    text = table(results)
    for word in ("closed form", "path derivative", "middle", "encoder", "decoder", "z-scores"):
        assert word in text
    assert "compare_kl_values" in report(workdir).read_text()
