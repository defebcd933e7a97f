"""Numbers and figures of an earlier step than would be taken now are shown with a word about it."""

import json
import re

import pytest

from tests.cli.test_cli import call
from tests.quick_runs import quick_config
from vae_jax import evaluate, fit, load
from vae_jax.plots import read_figure
from vae_jax.runs.age import Age, age_now, outdated
from vae_jax.runs.results import read_results
from vae_jax.sweeps.compare import compare
from vae_jax.sweeps.plan import is_done

OPTIONS = ["--num_importance_samples=20", "--iwae_samples=1,5"]
ASKED = {"split": "test", "estimators": ()}


class StoppedError(Exception):
    """Stops a training, as losing power does."""


def stop_at(step):
    def observe(run):
        if run.step >= step:
            raise StoppedError

    return observe


def shown(capsys, workdir):
    """The text of the report."""
    assert call(capsys, "report", f"--workdir={workdir}")[0] == 0
    page = (workdir / "report.html").read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>|base64,[^\"]*", " ", page))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that is at step 12 of 48."""
    workdir = tmp_path_factory.mktemp("stopped") / "setting" / "seed_0"
    config = quick_config()
    with pytest.raises(StoppedError):
        fit(config, workdir, quiet=True, observe=stop_at(24))
    return workdir


@pytest.mark.slow
def test_an_unfinished_run_says_so_and_a_trained_one_that_its_numbers_are_old(capsys, stopped):
    trained = load(stopped).age.trained
    assert trained < 48
    early = f"step {trained} of 48"
    status, out, _ = call(capsys, "evaluate", f"--workdir={stopped}", *OPTIONS)
    assert status == 0
    assert f"unfinished: {early}" in out
    assert f"unfinished: {early}" in read_results(stopped)["test"]["warning"]
    status, _, err = call(capsys, "sample", f"--workdir={stopped}")
    assert f"unfinished: {early}" in err
    page = shown(capsys, stopped)
    assert f"Unfinished: {early}." in page
    assert "This is of step" not in page
    assert not is_done(stopped, ASKED)
    [row] = compare(stopped.parents[1]).rows
    assert row.remark.startswith("1 evaluated before its end")
    assert early in row.runs[0].message

    fit(load(stopped).config, stopped, quiet=True)
    page = shown(capsys, stopped)
    assert "Unfinished" not in page
    old = f"This is of step {trained}; the run is at step 48"
    again = f"vae-jax evaluate --workdir={stopped} again."
    assert page.count(old) >= 1 + 2 + 3  # numbers, bounds, at least samples and two more
    assert again in page
    assert f"vae-jax sample --workdir={stopped} again." in page
    [row] = compare(stopped.parents[1]).rows
    assert row.remark.startswith("1 trained on after its evaluation")
    assert row.estimate is None
    assert not is_done(stopped, ASKED)

    call(capsys, "evaluate", f"--workdir={stopped}", *OPTIONS)
    call(capsys, "sample", f"--workdir={stopped}")
    assert "This is of step" not in shown(capsys, stopped)
    assert read_results(stopped)["test"]["warning"] is None
    assert is_done(stopped, ASKED)
    assert compare(stopped.parents[1]).rows[0].estimate is not None


def test_the_best_of_an_earlier_step_is_not_old(tmp_path):
    """The one that would be taken now was taken then, although the run was trained further."""
    for step, bound in ((10, -5.0), (20, -7.0)):
        folder = tmp_path / "checkpoints" / str(step) / "metrics"
        folder.mkdir(parents=True)
        (folder / "metrics").write_text(json.dumps({"bound": bound}))
    assert age_now(tmp_path).step == 10
    assert age_now(tmp_path).trained == 20
    assert outdated(tmp_path, Age("best", 10)) == ""
    assert outdated(tmp_path, Age("last", 20)) == ""
    assert outdated(tmp_path, Age(10, 10)) == ""
    assert outdated(tmp_path, Age("last", 10)) == "of step 10; the run is at step 20"
    assert outdated(tmp_path, Age("best", 5)) == (
        "of step 5; the run is at step 20, its best checkpoint at 10"
    )


def test_without_checkpoints_nothing_is_said_to_be_old(tmp_path):
    assert outdated(tmp_path, Age("best", 10)) == ""
    assert outdated(tmp_path, None) == ""


def test_the_step_that_is_taken_is_the_one_that_is_loaded(trained):
    for which in ("best", "last"):
        assert age_now(trained.workdir, which) == load(trained.workdir, which).age


@pytest.mark.slow
def test_a_fit_without_a_directory_knows_its_age_too():
    run = fit(quick_config(num_epochs=1), quiet=True)
    results = evaluate(run, num_importance_samples=5, quiet=True)
    assert (results["num_steps"], results["trained_steps"]) == (12, 12)
    assert results["warning"] is None
    early = run._replace(step=5, trained=5)
    results = evaluate(early, num_importance_samples=5, quiet=True)
    assert results["warning"] == "unfinished: step 5 of 12"


@pytest.mark.slow
def test_a_figure_holds_its_caption_and_its_step(capsys, trained):
    call(capsys, "sample", f"--workdir={trained.workdir}")
    caption, about, inches = read_figure(trained.workdir / "figures" / "samples.png")
    assert caption.startswith("Test data, and means of p(x|z)")
    assert Age.read(about) == load(trained.workdir).age
    assert 10 < inches < 12
