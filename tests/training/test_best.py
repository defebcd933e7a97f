"""A run's parameters are those with the best validation bound, wherever they come from."""

import json

import numpy as np
import pytest

from tests.quick_runs import best_step, quick_config, same
from vae_jax import UserError, evaluate, fit, fit_seeds, load
from vae_jax.cli.main import main
from vae_jax.reporting import ages
from vae_jax.runs.age import Age, checkpoint_flags

VALIDATIONS, EACH = 6, 10  # updates


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Few examples and large steps: it overfits within the run."""
    rng = np.random.default_rng(0)
    arrays = {s: rng.random((n, 4, 4, 1)) < 0.5 for s, n in (("train", 20), ("validation", 40))}
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(path, test=arrays["validation"][::-1], **arrays)
    data, optimizer = f"npz(path={str(path)!r})", "adam(learning_rate=0.1)"
    return quick_config(
        data=data,
        optimizer=optimizer,
        batch_size=20,
        num_epochs=VALIDATIONS * EACH,
        eval_every_epochs=float(EACH),
    )


@pytest.fixture(scope="module")
def in_memory(config):
    return fit(config, quiet=True)


@pytest.fixture(scope="module")
def on_disk(config, tmp_path_factory):
    return fit(config, tmp_path_factory.mktemp("run"), quiet=True)


def test_with_and_without_a_directory_fit_gives_what_load_gives(in_memory, on_disk):
    loaded = load(on_disk.workdir)
    last = load(on_disk.workdir, "last")
    assert loaded.step == best_step(on_disk.workdir) < last.step == VALIDATIONS * EACH
    assert not same(loaded.params, last.params)
    for run in (in_memory, on_disk):
        assert (run.step, run.which, run.is_finished) == (loaded.step, "best", True)
        assert same(run.params, loaded.params)


def test_the_last_are_there_when_they_are_asked_for(config, on_disk):
    last = load(on_disk.workdir, "last")
    for workdir in (None, on_disk.workdir):
        run = fit(config, workdir, which="last", quiet=True)
        assert (run.step, run.which, run.is_finished) == (VALIDATIONS * EACH, "last", True)
        assert same(run.params, last.params)


@pytest.mark.slow
def test_evaluate_gives_the_command_lines_numbers(in_memory, on_disk, capsys):
    asked = ["--num_importance_samples=20", "--device=cpu"]
    assert main(["vae-jax", "evaluate", f"--workdir={on_disk.workdir}", *asked]) in (0, None)
    written = json.loads((on_disk.workdir / "results.json").read_text())["test"]
    for run in (in_memory, on_disk, load(on_disk.workdir)):
        results = evaluate(run, num_importance_samples=20, quiet=True)
        assert results["numbers"] == written["numbers"]
        assert results["checkpoint"] == written["checkpoint"] == "best"
        assert results["checkpoint_step"] == written["checkpoint_step"] == run.step
        assert results["finished"]


@pytest.mark.slow
def test_a_checkpoint_is_evaluated_by_its_step_and_shown_with_it(on_disk, tmp_path, capsys):
    step, output = (VALIDATIONS - 1) * EACH, f"--output={tmp_path / 'out'}"
    run = load(on_disk.workdir, step)
    assert run.step == step != on_disk.step
    asked = ["--num_importance_samples=20", "--device=cpu", f"--checkpoint={step}", output]
    assert main(["vae-jax", "evaluate", f"--workdir={on_disk.workdir}", *asked]) in (0, None)
    assert f"checkpoint {step}: step {step} of {VALIDATIONS * EACH}" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "results.json").read_text())["test"]
    results = evaluate(run, num_importance_samples=20, quiet=True)
    assert results["numbers"] == written["numbers"]
    assert results["checkpoint"] == written["checkpoint"] == step
    assert ages.of_figure(on_disk.workdir, "bounds", written) == ""
    assert checkpoint_flags(Age.read(written).checkpoint) == [f"--checkpoint={step}"]


@pytest.mark.slow
def test_the_best_of_an_earlier_session_counts(config, on_disk, tmp_path):
    seen = []

    def stop(run):
        seen.append(run.step)
        if run.step > on_disk.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path, quiet=True, observe=stop)
    assert seen[-1] < VALIDATIONS * EACH
    resumed = fit(config, tmp_path, quiet=True)
    assert resumed.step == on_disk.step
    assert same(resumed.params, on_disk.params)


@pytest.mark.slow
def test_of_equal_bounds_the_later_is_best(config, tmp_path):
    still = config.copy_and_resolve_references()
    still.optimizer, still.num_epochs = "sgd(learning_rate=1e-30)", 20
    assert fit(still, quiet=True).step == fit(still, tmp_path, quiet=True).step == 20


@pytest.mark.slow
def test_without_a_validation_split_the_best_are_the_last(tmp_path):
    config = quick_config(
        data="two_moons(size=300, validation=0, test=100)", likelihood="normal", num_epochs=2
    )
    for workdir in (None, tmp_path):
        run, last = (fit(config, workdir, which=w, quiet=True) for w in ("best", "last"))
        assert run.step == last.step == run.parts.num_steps
        assert same(run.params, last.params)


@pytest.mark.slow
def test_each_seed_has_its_own_best(config, in_memory, tmp_path):
    several = config.copy_and_resolve_references()
    several.num_seeds = 2
    for workdir in (None, tmp_path):
        runs = fit_seeds(several, workdir, quiet=True)
        assert [run.which for run in runs] == ["best", "best"]
        assert same(runs[0].params, in_memory.params)
    last = fit_seeds(several, tmp_path, which="last", quiet=True)
    assert [run.step for run in last] == [VALIDATIONS * EACH] * 2


@pytest.mark.slow
def test_observe_sees_the_run_as_it_is(config):
    steps = []
    fit(config, quiet=True, observe=lambda run: steps.append((run.step, run.which)))
    assert steps == [(EACH * i, "last") for i in range(VALIDATIONS + 1)]


def test_another_word_is_refused(config):
    with pytest.raises(UserError, match="which='first': there is 'best' and 'last'"):
        fit(config, which="first", quiet=True)


def test_the_command_says_how_many_steps_are_done(on_disk, capsys):
    assert main(["vae-jax", "train", f"--workdir={on_disk.workdir}"]) in (0, None)
    assert f"{VALIDATIONS * EACH} steps are done" in capsys.readouterr().out
