"""A run ends when its validations have bettered its bound no more for as many times as asked."""

import itertools
import re

import jax
import numpy as np
import pytest

from tests.cli.test_cli import call
from tests.quick_runs import quick_config, same
from vae_jax import UserError, fit, fit_seeds, load
from vae_jax.runs import stopping
from vae_jax.runs.age import age_now
from vae_jax.runs.directory import read_metrics

PATIENCE, VALIDATIONS = 2, 12


def callback(bounds, patience):
    """The count of validations after which the usual early-stopping callback has stopped, or None."""
    best, wait = -np.inf, 0
    for count, bound in enumerate(bounds, 1):
        wait = 0 if bound > best else wait + 1
        best = max(best, bound)
        if wait >= patience:
            return count
    return None


def test_it_is_the_rule_of_the_usual_callback():
    for bounds in itertools.product((-3.0, -2.0, -1.0), repeat=5):
        for patience in (1, 2, 3):
            counts = range(1, len(bounds) + 1)
            over = [n for n in counts if stopping.is_over(bounds[:n], patience)]
            assert callback(bounds, patience) == next(iter(over), None)
    assert not stopping.is_over((-1.0, -2.0, -3.0), 0)
    assert stopping.waited((-1.0, float("nan"), float("-inf"))) == 2
    assert stopping.waited(()) == 0


def test_a_validation_at_a_former_end_does_not_count():
    """Every 25 of 12 steps an epoch; the run ended at 48 and went on."""
    steps = [12, 24, 36, 48, 60]
    validated = (36, 48, 60)
    records = []
    for step in steps:
        records.append({"step": step, "epoch": step / 12, "bound": 0.0})
        records += [{**records[-1], "validation_bound": -step}] if step in validated else []
    assert stopping.regular(records, 25) == [(3.0, -36), (5.0, -60)]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Few examples and large steps: it overfits within the run."""
    rng = np.random.default_rng(0)
    arrays = {s: rng.random((n, 4, 4, 1)) < 0.5 for s, n in (("train", 20), ("validation", 40))}
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(path, test=arrays["validation"][::-1], **arrays)
    changes = {"batch_size": 20, "num_epochs": 5 * VALIDATIONS, "eval_every_epochs": 5.0}
    optimizer = "adam(learning_rate=0.1)"
    return quick_config(data=f"npz(path={str(path)!r})", optimizer=optimizer, **changes)


@pytest.fixture(scope="module")
def patient(config):
    config = config.copy_and_resolve_references()
    config.patience = PATIENCE
    return config


@pytest.fixture(scope="module")
def to_the_end(config, tmp_path_factory):
    """The states at each validation of the run without patience, and its bounds."""
    seen, workdir = [], tmp_path_factory.mktemp("whole")
    fit(config, workdir, quiet=True, observe=seen.append)
    bounds = [r["validation_bound"] for r in read_metrics(workdir) if "validation_bound" in r]
    return seen[1:], bounds


@pytest.fixture(scope="module")
def early(patient, tmp_path_factory):
    return fit(patient, tmp_path_factory.mktemp("early"), which="last", quiet=True)


def test_it_ends_where_the_callback_would_with_the_parameters_of_the_longer_run(early, to_the_end):
    seen, bounds = to_the_end
    count = callback(bounds, PATIENCE)
    assert 1 < count < VALIDATIONS
    assert early.step == 5 * count
    assert same(early.params, seen[count - 1].params)
    best = load(early.workdir)
    assert best.step == 5 * (1 + int(np.argmax(bounds[:count])))


def test_it_is_finished_and_says_why(early, capsys):
    words = f"stopped early at epoch {early.step} of {5 * VALIDATIONS} by patience {PATIENCE}"
    assert early.is_finished
    assert early.age.stopped == words
    assert age_now(early.workdir, "last") == early.age
    status, out, _ = call(capsys, "train", f"--workdir={early.workdir}")
    assert status == 0
    assert f"{early.step} steps are done; {words}; next: " in out
    assert call(capsys, "report", f"--workdir={early.workdir}")[0] == 0
    page = re.sub(r"\s+", " ", (early.workdir / "report.html").read_text())
    assert words in page
    assert "unfinished" not in page.lower()


def test_without_a_directory_it_is_the_same(early, patient):
    run = fit(patient, quiet=True)
    best = load(early.workdir)
    assert (run.step, run.is_finished, run.age.stopped) == (best.step, True, best.age.stopped)
    assert same(run.params, best.params)


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, "last"])
def test_killed_and_resumed_it_ends_at_the_same_step(early, patient, tmp_path, at):
    """Killed at the second validation, or right before it would see that it is over."""
    last = early.step if at == "last" else 5 * at

    def kill(run):
        if run.step == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(patient, tmp_path, quiet=True, observe=kill)
    resumed = fit(patient, tmp_path, which="last", quiet=True)
    assert resumed.step == early.step
    assert same(resumed.params, early.params)
    assert len(read_metrics(tmp_path)) == len(read_metrics(early.workdir))


@pytest.mark.slow
def test_with_more_patience_a_stopped_run_goes_on(patient, to_the_end, tmp_path):
    seen, bounds = to_the_end
    fit(patient, tmp_path, quiet=True)
    more = patient.copy_and_resolve_references()
    more.patience = PATIENCE + 1
    count = callback(bounds, PATIENCE + 1) or VALIDATIONS
    run = fit(more, tmp_path, which="last", quiet=True)
    assert run.step == 5 * count
    assert same(run.params, seen[count - 1].params)


@pytest.mark.parametrize("at_once", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_each_seed_ends_where_it_ends_alone(early, patient, at_once):
    several = patient.copy_and_resolve_references()
    several.num_seeds, several.seeds_at_once = 3, at_once
    runs = fit_seeds(several, which="last", quiet=True)
    assert runs[0].step == early.step
    assert all(run.is_finished for run in runs)
    for mine, theirs in zip(*map(jax.tree.leaves, (runs[0].params, early.params)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    if at_once == 1:
        assert same(runs[0].params, early.params)
        assert len({run.step for run in runs}) > 1


def test_without_a_validation_split_it_is_refused():
    data = "two_moons(size=300, validation=0, test=100)"
    with pytest.raises(UserError, match=r"config.patience=3: the data has no validation split"):
        fit(quick_config(data=data, likelihood="normal", patience=3), quiet=True)
