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

from vae_jax import DivergedError, UserError, default_config, elbo, fit, load
from vae_jax.batches.keys import epoch_order, example_keys, keys_of
from vae_jax.batches.splits import present
from vae_jax.batches.windows import windows
from vae_jax.runs import checkpoints
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.state import State, evaluated_params, optimization
from vae_jax.training.update import _apply, _norm, make_update, run_steps
from vae_jax.types import Dataset

ROOT = Path(__file__).parents[2]


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


@pytest.mark.slow
def test_a_run_is_shown_at_its_start_and_at_every_validation(trained, tmp_path):
    seen = []
    run = fit(quick_config(), tmp_path, quiet=True, observe=seen.append)
    assert [r.step for r in seen] == [0, 12, 24, 36, 48]
    assert same(run.params, trained.params)
    assert same(seen[-1].params, run.params)
    assert same(seen[1].params, fit(quick_config(num_epochs=1), quiet=True).params)
    fit(quick_config(), tmp_path, quiet=True, observe=seen.append)
    assert len(seen) == 5  # nothing is left to train, and nothing to see


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


def test_a_workdir_of_another_config_is_refused(trained):
    with pytest.raises(UserError, match="latent_dim: 2 -> 3"):
        fit(quick_config(latent_dim=3), trained.workdir, quiet=True)


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


PROGRAM = """
import sys, os, signal
from tests.training.test_training import quick_config
from vae_jax import fit, loops, checkpoints
where, at = sys.argv[2], int(sys.argv[3])
save, log = checkpoints.save, loops._log_window
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
def logged(job, member, *args):
    if where == "before" and int(member.state.step) == at: kill()
    return log(job, member, *args)
def saved(manager, step, *args):
    save(manager, step, *args)
    if where == "after" and step == at: kill()
loops._log_window, checkpoints.save = logged, saved
fit(quick_config(), sys.argv[1], quiet=True)
"""


def run_program(workdir, where, at, signum):
    command = [sys.executable, "-c", PROGRAM, str(workdir), where, str(at), str(int(signum))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_run_goes_on(tmp_path, trained, signum):
    stopped = run_program(tmp_path, "before", 24, signum)
    assert "stopped after step 24; the same command goes on from here" in stopped.stderr
    assert (tmp_path / "checkpoints" / "24").exists()
    assert same(fit(quick_config(), tmp_path, quiet=True).params, trained.params)


def test_a_state_goes_through_a_checkpoint_bit_for_bit(tmp_path):
    state = State(
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


@pytest.mark.slow
def test_a_first_step_that_is_not_finite_is_not_blamed_on_the_learning_rate():
    parts = {"posterior": "student_t(df=1.0)", "prior": "student_t(df=1.0)", "objective": "dip"}
    with pytest.raises(DivergedError, match=r"step 1: .*these parts do not go together"):
        fit(quick_config(**parts), quiet=True)


@pytest.mark.slow
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
    from vae_jax.batches.devices import mesh_for

    split = np.arange(1000, dtype=np.float32).reshape(100, 10)
    order = epoch_order(jax.random.key(0), 3, 100, 7)
    assert order.shape == (14, 7)
    assert len(set(order.ravel())) == 98
    np.testing.assert_array_equal(order, epoch_order(jax.random.key(0), 3, 100, 7))
    assert not np.array_equal(order, epoch_order(jax.random.key(0), 4, 100, 7))
    for most in (0, 2**30):
        seen = []
        for window in windows(split, mesh_for(7), 7, 4, most)(order):
            assert window.rows.shape[0] <= 4
            np.testing.assert_array_equal(window.data[window.rows][..., 0], window.ids * 10)
            seen.append(window.ids)
        np.testing.assert_array_equal(np.concatenate(seen), order)


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
    found = evaluated_params(state, decay)["w"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_gradient_is_clipped_to_its_norm():
    rule = optimization(optax.sgd(1.0), clip_norm=0.5)
    params = {"w": jnp.zeros(2)}
    state = State(jnp.int32(0), params, rule.gradient.init(params), ())
    new = _apply(rule, state, {"w": jnp.array([3.0, 4.0])})
    np.testing.assert_allclose(new.params["w"], [-0.3, -0.4], rtol=1e-6)


def test_training_compiles_its_step_once(tmp_path):
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        import logging

        compiled = []
        handler = logging.Handler()
        handler.emit = lambda record: compiled.append(record.getMessage())
        patch.setattr(logging.getLogger("jax"), "handlers", [handler])
        fit(quick_config(num_epochs=6), tmp_path, quiet=True)
    steps = [m for m in compiled if "Finished XLA compilation of jit(run_seeds)" in m]
    assert len(steps) == 1


def test_dynamic_binarization_differs_at_every_presentation_and_not_at_evaluation():
    from vae_jax.datasets.digits import digits

    dataset = digits()
    raw = jnp.asarray(dataset.splits["train"][:50])
    at = lambda key: present(dataset, example_keys(key, jnp.arange(50)), raw)[1]  # noqa: E731
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
    run = fit(quick_config(optimizer="sgd(learning_rate=0.0)"), tmp_path, quiet=True)
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


def test_the_gradient_norm_is_the_global_norm():
    shapes = [(), (3,), (2, 3), (2, 3, 4), (3, 3, 1, 5)]
    tree = [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes)]
    np.testing.assert_allclose(_norm(tree), optax.tree.norm(tree), rtol=1e-6)


def test_no_key_serves_two_purposes():
    """Presentation and inference of an example, and every purpose of a seed, have streams apart."""
    keys = example_keys(jax.random.key(0), jnp.arange(3))
    noise = Dataset({}, lambda key, raw: jax.random.uniform(key, raw.shape))
    z_keys, x = present(noise, keys, jnp.zeros((3, 4)))
    again = jax.vmap(lambda key: jax.random.uniform(key, (4,)))(z_keys)
    assert not np.isclose(x, again).any()
    purposes = keys_of(0)
    below = [jax.random.fold_in(key, i) for key in purposes for i in range(8)]
    data = [tuple(jax.random.key_data(key).tolist()) for key in (*purposes, *below)]
    assert len(set(data)) == len(data)


@pytest.mark.slow
def test_a_schedule_may_warm_up():
    schedule = (
        "warmup_cosine_decay_schedule(init_value=0.0, peak_value=1e-3, warmup_steps=20, "
        "decay_steps=num_steps)"
    )
    assert fit(quick_config(optimizer=f"adam(learning_rate={schedule})"), quiet=True).step == 48


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
    call = lambda key: run_steps(update, start, key, data, ids, ids)[0].params  # noqa: E731
    together = jax.jit(jax.vmap(call))(keys)
    for i in range(2):
        alone = jax.jit(call)(keys[i])
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_convolutions_train_on_images_of_odd_sizes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 7, 5, 3)).astype(np.uint8)
    np.savez(tmp_path / "colour.npz", images=images)
    config = quick_config(
        encoder="conv(channels=(4, 8))", decoder="conv(channels=(4, 8))", batch_size=20
    )
    config.data = f"npz(path={str(tmp_path / 'colour.npz')!r})"
    config.likelihood, config.num_epochs = "normal", 2
    run = fit(config, quiet=True)
    assert run.model.decode(run.params, jnp.zeros((4, 2))).mean.shape == (4, 7, 5, 3)


@pytest.mark.slow
def test_an_unreadable_checkpoint_is_never_deleted(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    fit(quick_config(), tmp_path, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(
            ocp.CheckpointManager, "restore", lambda *a, **k: (_ for _ in ()).throw(OSError(5))
        )
        fit(quick_config(), tmp_path, quiet=True)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert {"36.damaged", "48.damaged"} <= names


def test_a_bound_that_is_no_number_is_never_the_best(tmp_path):
    state = {"w": jnp.zeros(2)}
    with checkpoints.opened(tmp_path, write=True) as manager:
        for step, bound in ((10, -5.0), (20, -4.0), (30, float("nan"))):
            checkpoints.save(manager, step, state, bound)
        assert checkpoints.restore(manager, state, "best")[0] == 20
        assert checkpoints.restore(manager, state, "last")[0] == 30


VAMP = """
import jax
from numpyro.distributions import Categorical, MixtureSameFamily
from vae_jax.types import Prior


def vamp(spec, *, components: int = 4) -> Prior:
    def init(key, batch):
        return {"inputs": batch[:components], "logits": jax.numpy.zeros(components)}

    def distribution(params):
        own = params["prior"]
        return MixtureSameFamily(Categorical(logits=own["logits"]), spec.encode(params, own["inputs"]))

    return Prior(init, distribution)
"""
FLOW = """
import jax.numpy as jnp
from numpyro.distributions import Normal, TransformedDistribution
from numpyro.distributions.transforms import AffineTransform, SigmoidTransform
from vae_jax.types import Posterior


def squash(spec) -> Posterior:
    def init(key, batch):
        return {"log_stretch": jnp.zeros(spec.latent_dim)}

    def distribution(params, features):
        loc, log_scale = jnp.split(features, 2, axis=-1)
        base = Normal(loc, jnp.exp(log_scale))
        stretch = AffineTransform(0.0, 3 * jnp.exp(params["posterior"]["log_stretch"]))
        return TransformedDistribution(base, [SigmoidTransform(), stretch]).to_event(1)

    return Posterior(2 * spec.latent_dim, init, distribution)
"""


def test_tails_that_make_the_kl_infinite_are_refused(tmp_path):
    """Student's t of df <= 2 has no second moment, which a normal prior's log density needs."""
    config = quick_config(posterior="student_t(df=2.0)")
    with pytest.raises(UserError, match="is infinite"):
        fit(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_many_more_levels_than_the_data_has_are_said(caplog):
    for count, said in ((16, False), (255, True)):
        caplog.clear()
        config = quick_config(data="digits(binarize='none', values='levels')", num_epochs=1)
        config.likelihood = f"binomial(total_count={count})"
        fit(config, quiet=True)
        assert ("levels reach 16" in caplog.text) == said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "name", "source"), [("prior", "vamp", VAMP), ("posterior", "squash", FLOW)]
)
def test_parts_with_parameters_that_call_other_parts(tmp_path, monkeypatch, part, name, source):
    """A prior that calls the encoder, and a flow with parameters, from outside the package."""
    from vae_jax import evaluate
    from vae_jax.reporting.samples import sample

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"outside_{part}").mkdir()
    (tmp_path / f"outside_{part}" / f"{name}.py").write_text(source)
    config = quick_config(**{part: f"outside_{part}.{name}"})
    run = fit(config, quiet=True)
    results = evaluate(run, num_importance_samples=20, quiet=True)
    assert np.isfinite(results["numbers"]["log_p"]["mean"])
    assert "kl" not in results["numbers"]
    assert {"samples", "manifold", "interpolations"} <= sample(run, num_samples=4).keys()
