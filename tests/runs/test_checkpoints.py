"""Checkpoints: which are kept and read, and what a damaged one or another model's does."""

import json

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.quick_runs import best_step, quick_config, same
from vae_jax import DivergedError, UserError, fit, load
from vae_jax.runs import checkpoints
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.state import State


def test_load_gives_the_best_and_the_last(trained):
    assert load(trained.workdir).step == best_step(trained.workdir)
    last = load(trained.workdir, "last")
    assert last.step == 48
    assert same(last.params, trained.params)


@pytest.mark.slow
def test_the_best_is_kept_however_the_run_goes_on(tmp_path):
    """A learning rate that blows up half way: the best checkpoint is an early one, and kept."""
    config = quick_config(
        optimizer="sgd(learning_rate=linear_schedule(init_value=1e-3, end_value=0.3, "
        "transition_steps=num_steps))",
        num_epochs=12,
    )
    with pytest.raises(DivergedError):
        fit(config, tmp_path, quiet=True)
    assert load(tmp_path).step == best_step(tmp_path) < load(tmp_path, "last").step


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused(trained, tmp_path):
    fit(quick_config(latent_dim=3), tmp_path, quiet=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "latent_dim": 2}))
    for action in (lambda: load(tmp_path), lambda: fit(quick_config(), tmp_path, quiet=True)):
        with pytest.raises(UserError, match="another model's"):
            action()
    assert (tmp_path / "checkpoints" / "48").exists()


def damage(path):
    """Cuts each file of a checkpoint in half."""
    for file in path.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "data only", "empty folder"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, trained, caplog, how):
    fit(quick_config(), tmp_path, quiet=True)
    last = tmp_path / "checkpoints" / "48"
    if how == "cut":
        damage(last)
    elif how == "data only":
        damage(last / "default" / "d")
        damage(last / "default" / "ocdbt.process_0")
    else:
        import shutil

        shutil.rmtree(last)
        last.mkdir()
    assert load(tmp_path, "last").step == 36
    assert "checkpoint 48 is damaged" in caplog.text
    again = fit(quick_config(), tmp_path, quiet=True)
    assert again.step == 48
    assert same(again.params, trained.params)
    assert [r["step"] for r in read_metrics(tmp_path) if "bound" in r] == [12, 24, 36, 48]


def test_a_state_goes_through_a_checkpoint_bit_for_bit(tmp_path):
    state = State(
        jnp.int32(7), {"w": jnp.array([1.0, jnp.pi])}, optax.adam(1.0).init({"w": jnp.ones(2)}), ()
    )
    with checkpoints.opened(tmp_path, write=True) as manager:
        checkpoints.save(manager, 7, state, -1.0)
        assert same(
            checkpoints.restore_last_or(manager, jax.tree.map(jnp.zeros_like, state)), state
        )


@pytest.mark.slow
def test_an_unreadable_checkpoint_is_never_deleted(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    fit(quick_config(), tmp_path, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(
            ocp.CheckpointManager, "restore", lambda *a, **k: (_ for _ in ()).throw(OSError(5))
        )
        fit(quick_config(), tmp_path, quiet=True, which="last")
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert {"36.damaged", "48.damaged"} <= names


def test_a_bound_that_is_no_number_is_never_the_best(tmp_path):
    state = {"w": jnp.zeros(2)}
    with checkpoints.opened(tmp_path, write=True) as manager:
        for step, bound in ((10, -5.0), (20, -4.0), (30, float("nan"))):
            checkpoints.save(manager, step, state, bound)
        assert checkpoints.restore(manager, state, "best")[0] == 20
        assert checkpoints.restore(manager, state, "last")[0] == 30
