import types
from functools import partial

import jax
import numpy as np
import pytest

from tests import quick_runs
from vae_jax import RunsFailedError, UserError, fit, fit_seeds, load
from vae_jax.batches.keys import epoch_order, example_keys, keys_of
from vae_jax.runs.directory import read_metrics
from vae_jax.training import job, loop
from vae_jax.training.update import RunSteps

quick_config = partial(quick_runs.quick_config, num_epochs=3)


def leaves(run):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.params)]


@pytest.fixture(scope="module")
def alone():
    """Seeds 3, 4 and 5, each by itself."""
    return {seed: fit(quick_config(seed=seed), quiet=True) for seed in (3, 4, 5)}


@pytest.mark.slow
def test_one_after_another_each_seed_is_the_run_it_is_alone_bit_for_bit(tmp_path, alone):
    runs = fit_seeds(quick_config(seed=3, num_seeds=3), tmp_path, quiet=True)
    assert [run.config.seed for run in runs] == [3, 4, 5]
    for run in runs:
        assert all(map(np.array_equal, leaves(run), leaves(alone[run.config.seed])))
        assert run.config.num_seeds == 1
        assert load(tmp_path / f"seed_{run.config.seed}", "last").step == run.step == 36


@pytest.mark.slow
def test_along_an_axis_each_seed_is_the_run_it_is_alone_to_float_tolerance(tmp_path, alone):
    config = quick_config(seed=3, num_seeds=3, seeds_at_once=3)
    for run in fit_seeds(config, tmp_path, quiet=True):
        seed = run.config.seed
        for mine, theirs in zip(leaves(run), leaves(alone[seed]), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
        last = load(tmp_path / f"seed_{seed}", "last")
        assert all(map(np.array_equal, leaves(last), leaves(run)))
        other = alone[3 if seed == 4 else 4]
        assert not np.allclose(leaves(run)[0], leaves(other)[0], atol=0.01)
        fit(quick_config(seed=seed), tmp_path / "alone", quiet=True)
        for mine, theirs in zip(
            read_metrics(tmp_path / f"seed_{seed}"), read_metrics(tmp_path / "alone"), strict=True
        ):
            for name in ("step", "bound", "kl", "validation_bound"):
                np.testing.assert_allclose(mine.get(name, 0), theirs.get(name, 0), rtol=1e-4)
        import shutil

        shutil.rmtree(tmp_path / "alone")


@pytest.mark.slow
def test_what_is_missing_is_trained_and_nothing_else(tmp_path):
    """More seeds, and one that was stopped: those go on, in two groups along the axis."""
    fit_seeds(quick_config(num_seeds=1, num_epochs=3), tmp_path, quiet=True)
    written = (tmp_path / "seed_0" / "metrics.jsonl").read_text()
    runs = fit_seeds(quick_config(num_seeds=3, seeds_at_once=3), tmp_path, quiet=True)
    assert [run.step for run in runs] == [36, 36, 36]
    assert (tmp_path / "seed_0" / "metrics.jsonl").read_text() == written


@pytest.mark.slow
def test_a_seed_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch):
    """The bound of one seed is made infinite at a step; along an axis, and one by one."""
    real = job.make_update

    def make_update(model, objective, rule, dataset):
        def sabotaged(model, params, keys, batch, context):
            bound = objective(model, params, keys, batch, context)
            bad = (jax.random.key_data(keys)[0, 0] == target) & (context.step == 14)
            return bound._replace(value=jax.numpy.where(bad, np.inf, bound.value))

        return real(model, sabotaged, rule, dataset)

    order = epoch_order(keys_of(1).order, 1, 1294, 100)
    step_key = jax.random.fold_in(keys_of(1).train, 14)
    target = jax.random.key_data(example_keys(step_key, order[2]))[0, 0, 0]
    monkeypatch.setattr(job, "make_update", make_update)
    for at_once in (3, 1):
        folder = tmp_path / str(at_once)
        with pytest.raises(RunsFailedError, match="1 of 3 runs failed") as caught:
            fit_seeds(quick_config(num_seeds=3, seeds_at_once=at_once), folder, quiet=True)
        assert "seed 1: DivergedError: step 15: bound is inf" in caught.value.lines[1]
        assert [load(folder / f"seed_{i}", "last").step for i in range(3)] == [36, 14, 36]
        assert (folder / "seed_1" / "failed.json").exists()
        assert not (folder / "seed_0" / "failed.json").exists()


@pytest.mark.slow
def test_seeds_share_one_compiled_program(tmp_path, caplog):
    with jax.log_compiles():
        fit_seeds(quick_config(num_seeds=3), tmp_path, quiet=True)
    messages = [r.getMessage() for r in caplog.records]
    for program in ("run_seeds", "bounds", "start"):
        name = f"Finished XLA compilation of jit({program})"
        assert sum(name in message for message in messages) == 1, program


@pytest.mark.slow
def test_the_program_says_what_it_chose(caplog):
    caplog.set_level("INFO", "vae_jax")
    fit_seeds(quick_config(num_seeds=2, num_epochs=1), quiet=True)
    assert "2 seeds, one compiled program, one after another (chosen for cpu" in caplog.text
    fit_seeds(quick_config(num_seeds=2, num_epochs=1, seeds_at_once=2), quiet=True)
    assert "2 seeds, one compiled program, 2 along one axis (vmap) (as asked)" in caplog.text


def test_what_does_not_go_together_is_said(tmp_path):
    with pytest.raises(UserError, match="fit_seeds"):
        fit(quick_config(num_seeds=2))
    with pytest.raises(UserError, match="streamed"):
        fit_seeds(quick_config(num_seeds=2, seeds_at_once=2, max_device_bytes=0), quiet=True)
    fit(quick_config(num_epochs=1), tmp_path, quiet=True)
    with pytest.raises(UserError, match="holds a single run"):
        fit_seeds(quick_config(num_seeds=2, num_epochs=1), tmp_path, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 3])
def test_the_time_of_training_is_shared_along_an_axis_and_has_no_compilation(
    tmp_path, monkeypatch, at_once
):
    """By a clock that goes on by 6 s each time it is read, and by 1000 s for a compilation."""
    now = [0.0]

    def monotonic():
        now[0] += 6.0
        return now[0]

    class Slow(RunSteps):
        def prepare(self, *arguments):
            now[0] += 1000.0
            return super().prepare(*arguments)

    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(loop, "RunSteps", Slow)
    fit_seeds(quick_config(num_seeds=3, seeds_at_once=at_once), tmp_path, quiet=True)
    records = [r for i in range(3) for r in read_metrics(tmp_path / f"seed_{i}") if "bound" in r]
    assert len(records) == 9
    for record in records:
        assert record["seconds"] == 6.0 / at_once
        assert record["examples_per_second"] == 12 * 100 / record["seconds"]


@pytest.mark.slow
def test_one_seed_that_cannot_go_on_does_not_stop_the_others(tmp_path):
    fit_seeds(quick_config(num_seeds=3, num_epochs=1), tmp_path / "short", quiet=True)
    (tmp_path / "long" / "seed_1").mkdir(parents=True)
    (tmp_path / "short" / "seed_1" / "checkpoints").rename(
        tmp_path / "long" / "seed_1" / "checkpoints"
    )
    with pytest.raises(RunsFailedError, match="1 of 3 runs failed") as caught:
        fit_seeds(quick_config(num_seeds=3, latent_dim=3), tmp_path / "long", quiet=True)
    assert "seed 1" in caught.value.lines[1]
    assert "another model's" in caught.value.lines[1]
    assert load(tmp_path / "long" / "seed_2", "last").step == 36
