import json
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import DivergedError, UserError, checkpoints, default_config, fit, load, training
from vae_jax.logs import read_metrics
from vae_jax.streaming import windows

ROOT = Path(__file__).parent.parent


def quick_config(**changes):
    config = default_config()
    config.encoder = config.decoder = "mlp(hidden=(16,))"
    config.latent_dim, config.num_epochs = 2, 4
    config.update(changes)
    return config


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def best_step(workdir):
    held = [r for r in read_metrics(workdir) if "validation_bound" in r]
    return max(held, key=lambda r: r["validation_bound"])["step"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    return fit(quick_config(), workdir, quiet=True)


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


def test_the_same_command_again_changes_nothing(trained):
    before = (trained.workdir / "metrics.jsonl").read_text()
    again = fit(quick_config(), trained.workdir, quiet=True)
    assert same(again.params, trained.params)
    assert (trained.workdir / "metrics.jsonl").read_text() == before


def test_another_seed_is_another_run(trained):
    assert not same(fit(quick_config(seed=1), quiet=True).params, trained.params)
    assert same(fit(quick_config(), quiet=True).params, trained.params)


def test_load_gives_the_best_and_the_last(trained):
    assert load(trained.workdir).step == best_step(trained.workdir)
    last = load(trained.workdir, "last")
    assert last.step == 48
    assert same(last.params, trained.params)


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


def test_a_workdir_of_another_config_is_refused(trained):
    with pytest.raises(UserError, match="latent_dim: 2 -> 3"):
        fit(quick_config(latent_dim=3), trained.workdir, quiet=True)


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


PROGRAM = """
import sys, os, signal
from tests.test_training import quick_config
from vae_jax import fit, fitting, checkpoints
where, at = sys.argv[2], int(sys.argv[3])
save, log = checkpoints.save, fitting._log_window
def kill(): os.kill(os.getpid(), int(sys.argv[4]))
if where == "during":   # as Orbax makes the checkpoint visible
    import orbax.checkpoint as ocp
    finish = os.rename
    def rename(a, b, *args, **kwargs):
        if str(b).endswith(f"checkpoints/{at}"): kill()
        return finish(a, b, *args, **kwargs)
    os.rename = rename
    import pathlib
    pathlib.Path.rename = lambda self, target: (rename(self, target), pathlib.Path(target))[1]
def logged(job, log_, step, *args):
    if where == "before" and step == at: kill()
    return log(job, log_, step, *args)
def saved(manager, step, *args):
    save(manager, step, *args)
    if where == "after" and step == at: kill()
fitting._log_window, checkpoints.save = logged, saved
fit(quick_config(), sys.argv[1], quiet=True)
"""


def run_program(workdir, where, at, signum):
    command = [sys.executable, "-c", PROGRAM, str(workdir), where, str(at), str(int(signum))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("where", ["before", "during", "after"])
def test_killed_and_resumed_it_ends_the_same(tmp_path, trained, where):
    killed = run_program(tmp_path, where, 24, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    steps = [int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(steps) == (24 if where == "after" else 12)
    resumed = fit(quick_config(), tmp_path, quiet=True)
    assert same(resumed.params, trained.params)
    mine, theirs = read_metrics(tmp_path), read_metrics(trained.workdir)
    assert [r["step"] for r in mine] == [r["step"] for r in theirs]
    assert mine[-1]["validation_bound"] == theirs[-1]["validation_bound"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on(tmp_path, trained, signum):
    stopped = run_program(tmp_path, "before", 24, signum)
    assert "stopped after step 24; the same command goes on from here" in stopped.stderr
    assert (tmp_path / "checkpoints" / "24").exists()
    assert same(fit(quick_config(), tmp_path, quiet=True).params, trained.params)


def test_a_state_goes_through_a_checkpoint_bit_for_bit(tmp_path):
    state = training.State(
        jnp.int32(7), {"w": jnp.array([1.0, jnp.pi])}, optax.adam(1.0).init({"w": jnp.ones(2)}), ()
    )
    with checkpoints.opened(tmp_path, write=True) as manager:
        checkpoints.save(manager, 7, state, -1.0)
        assert same(
            checkpoints.restore_last_or(manager, jax.tree.map(jnp.zeros_like, state)), state
        )


def test_a_loss_that_stops_being_finite_keeps_the_last_good_state(tmp_path):
    config = quick_config(optimizer="sgd(learning_rate=1e6)", likelihood="normal(scale=0.01)")
    config.data = "digits(binarize='none')"
    with pytest.raises(DivergedError) as caught:
        fit(config, tmp_path, quiet=True)
    step = int(str(caught.value).split("step ")[1].split(":")[0])
    assert any(
        term in str(caught.value) for term in ("log_likelihood is", "kl is", "gradient_norm is")
    )
    kept = load(tmp_path, "last")
    assert kept.step == step - 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept.params))


def test_streamed_is_the_same_run_as_on_the_device(trained):
    streamed = fit(quick_config(max_device_bytes=0, log_every_steps=5), quiet=True)
    resident = fit(quick_config(log_every_steps=5), quiet=True)
    assert same(streamed.params, resident.params)
    np.testing.assert_allclose(
        streamed.params["decoder"]["Dense_1"]["bias"],
        trained.params["decoder"]["Dense_1"]["bias"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_windows_hold_every_example_of_an_epoch_once():
    from vae_jax.passes import mesh_for

    split = np.arange(1000, dtype=np.float32).reshape(100, 10)
    order = training.epoch_order(jax.random.key(0), 3, 100, 7)
    assert order.shape == (14, 7)
    assert len(set(order.ravel())) == 98
    np.testing.assert_array_equal(order, training.epoch_order(jax.random.key(0), 3, 100, 7))
    assert not np.array_equal(order, training.epoch_order(jax.random.key(0), 4, 100, 7))
    for most in (0, 2**30):
        seen = []
        for window in windows(split, mesh_for(7), 7, 4, most)(order):
            assert window.rows.shape[0] <= 4
            np.testing.assert_array_equal(window.data[window.rows][..., 0], window.ids * 10)
            seen.append(window.ids)
        np.testing.assert_array_equal(np.concatenate(seen), order)


def test_averaged_parameters_are_the_debiased_exponential_mean():
    decay = 0.8
    config = quick_config(ema_decay=decay, num_epochs=1, log_every_steps=1, eval_every_epochs=1.0)
    steps = [fit(quick_config(num_epochs=1), quiet=True)]  # the last of 12 updates
    averaged = fit(config, quiet=True)
    assert not same(averaged.params, steps[0].params)
    rule = training.optimization(optax.sgd(0.1), 0.0, decay)
    state = training.State(jnp.int32(0), {"w": jnp.ones(2)}, rule.gradient.init({"w": jnp.ones(2)}),
                           rule.average.init({"w": jnp.ones(2)}))  # fmt: skip
    history = []
    for i in range(5):
        state = training._apply(rule, state, {"w": jnp.array([1.0, -2.0 * i])})
        history.append(np.asarray(state.params["w"]))
    weights = decay ** np.arange(4, -1, -1)
    expected = (weights[:, None] * history).sum(0) / weights.sum()
    found = training.evaluated_params(state, decay)["w"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_gradient_is_clipped_to_its_norm():
    rule = training.optimization(optax.sgd(1.0), clip_norm=0.5)
    params = {"w": jnp.zeros(2)}
    state = training.State(jnp.int32(0), params, rule.gradient.init(params), ())
    new = training._apply(rule, state, {"w": jnp.array([3.0, 4.0])})
    np.testing.assert_allclose(new.params["w"], [-0.3, -0.4], rtol=1e-6)


def test_training_compiles_its_step_once(tmp_path):
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        import logging

        compiled = []
        handler = logging.Handler()
        handler.emit = lambda record: compiled.append(record.getMessage())
        patch.setattr(logging.getLogger("jax"), "handlers", [handler])
        fit(quick_config(num_epochs=6), tmp_path, quiet=True)
    steps = [m for m in compiled if "Finished XLA compilation of jit(run_steps)" in m]
    assert len(steps) == 1


def test_dynamic_binarization_differs_at_every_presentation_and_not_at_evaluation():
    from vae_jax.datasets.digits import digits

    dataset = digits()
    raw = jnp.asarray(dataset.splits["train"][:50])
    at = lambda key: training.presented(dataset, training.example_keys(key, jnp.arange(50)), raw)[1]  # noqa: E731
    assert np.array_equal(at(jax.random.key(0)), at(jax.random.key(0)))
    assert not np.array_equal(at(jax.random.key(0)), at(jax.random.key(1)))


def test_ctrl_c_outside_the_main_thread_is_the_callers_affair():
    import threading

    done = []
    thread = threading.Thread(
        target=lambda: done.append(fit(quick_config(num_epochs=1), quiet=True))
    )
    thread.start()
    thread.join()
    assert done[0].step == 12


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    fit(quick_config(num_epochs=1), quiet=True)
    assert signal.getsignal(signal.SIGTERM) is before
