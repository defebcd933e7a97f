"""A run that can be read only: numbers are printed, figures go where `--output` says."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.test_cli import ROOT, call
from tests.places.conftest import FEW
from tests.places.test_homes import KL
from vae_jax import places
from vae_jax.runs import load, outputs

COMPARE = ["compare-kl", "--max_samples=4", "--num_repetitions=32", "--workdir={run}"]
PRINTED = {"evaluate": ["evaluate", "--workdir={run}", "--again", *FEW], "compare-kl": COMPARE}
WRITTEN = {
    "sample": ["sample", "--workdir={run}", "--num_samples=4"],
    "report": ["report", "--workdir={run}"],
    "export": ["export", "--workdir={run}", "--what=latents", "--num_examples=3"],
}
TRAINING = {
    "train": ["train", "--workdir={run}"],
    "sweep": ["sweep", f"--config={ROOT}/experiments/digits.py:quick", "--workdir={run}/sweep"],
}
SLOW = pytest.mark.slow
READ_BY = PRINTED | WRITTEN


def files(folder):
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


@pytest.fixture
def read_only(run, monkeypatch):
    """A run below which nothing can be written, as far as our own checks can tell."""

    def refusal(folder):
        return "Permission denied" if run in (folder, *folder.parents) else None

    for module in (outputs, places):
        monkeypatch.setattr(module, "refusal", refusal)
    before = files(run)
    yield run
    assert files(run) == before


@pytest.mark.parametrize(
    "command", ["evaluate", pytest.param("compare-kl", marks=pytest.mark.slow)]
)
def test_numbers_are_printed_and_not_saved(command, read_only, capsys, caplog):
    words = [word.format(run=read_only) for word in PRINTED[command]]
    status, out, err = call(capsys, *words)
    assert status == 0, err
    assert "not saved" in out
    assert "KL" in out
    assert "cannot be written (Permission denied): nothing is saved; --output=DIR" in caplog.text


@pytest.mark.parametrize("command", WRITTEN)
def test_figures_and_reports_are_refused_at_once(command, read_only, capsys, monkeypatch):
    monkeypatch.setattr("vae_jax.runs.load", None)  # nothing is loaded for them
    words = [word.format(run=read_only) for word in WRITTEN[command]]
    status, _, err = call(capsys, *words)
    assert status == 2
    assert err == (
        f"vae-jax: {read_only} cannot be written: Permission denied; "
        "--output=DIR takes another directory\n"
    )


@pytest.mark.parametrize("command", TRAINING)
def test_training_is_refused_at_once(command, read_only, capsys, monkeypatch):
    monkeypatch.setattr("vae_jax.config.resolve", None)
    status, _, err = call(capsys, *[word.format(run=read_only) for word in TRAINING[command]])
    assert status == 2
    assert "cannot be written: Permission denied" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "evaluate",
        "report",
        "export",
        *(pytest.param(c, marks=SLOW) for c in ("sample", "compare-kl")),
    ],
)
def test_output_takes_what_is_made(command, read_only, tmp_path, capsys):
    words = [word.format(run=read_only) for word in READ_BY[command]]
    status, out, err = call(capsys, *words, f"--output={tmp_path / 'mine'}")
    assert status == 0, err
    assert str(tmp_path / "mine") in out
    assert "not saved" not in out


@pytest.mark.slow
def test_an_output_is_read_as_the_run_is(run, tmp_path, capsys):
    mine, evaluate = tmp_path / "mine", READ_BY["evaluate"]
    before = files(run)
    words = [word.format(run=run) for word in evaluate]
    assert call(capsys, *words, "--split=train", f"--output={mine}")[0] == 0
    assert json.loads((mine / "results.json").read_text()).keys() == {"test", "train"}
    assert load(mine).step == load(run).step
    for command in WRITTEN.values():
        assert call(capsys, *[word.format(run=mine) for word in command])[0] == 0
    elbo = json.loads((mine / "results.json").read_text())["train"]["numbers"]["elbo"]["mean"]
    assert f"{elbo:.4f}" in (mine / "report.html").read_text()
    assert files(run) == before


@pytest.mark.slow
def test_an_output_follows_its_run(run, tmp_path, capsys):
    mine = tmp_path / "mine"
    words = [word.format(run=run) for word in WRITTEN["report"]]
    assert call(capsys, *words, f"--output={mine}")[0] == 0
    (run / "metrics.jsonl").unlink()
    assert call(capsys, *words, f"--output={mine}")[0] == 0
    assert not (mine / "metrics.jsonl").exists()


def test_an_output_of_many_runs(shared, tmp_path, capsys):
    for seed in (0, 1):
        shutil.copytree(shared, tmp_path / "many" / f"seed_{seed}")
    before = files(tmp_path / "many")
    words = [f"--workdir={tmp_path / 'many'}", f"--output={tmp_path / 'mine'}"]
    assert call(capsys, "evaluate", *words, *FEW, "--split=train")[0] == 0
    assert call(capsys, "report", *words, "--split=train")[0] == 0
    assert (tmp_path / "mine" / "table.csv").exists()
    assert files(tmp_path / "many") == before


@pytest.mark.slow
def test_an_output_is_neither_another_run_nor_inside_nor_trained(run, shared, tmp_path, capsys):
    words = [word.format(run=run) for word in WRITTEN["report"]]
    status, _, err = call(capsys, *words, f"--output={shared}")
    assert (status, err) == (
        2, f"vae-jax: --output={shared} holds another run: give a new directory\n"
    )  # fmt: skip
    status, _, err = call(capsys, *words, f"--output={run}/mine")
    assert status == 2
    assert "lies inside" in err
    assert call(capsys, *words, f"--output={tmp_path / 'mine'}")[0] == 0
    status, _, err = call(capsys, "train", f"--workdir={tmp_path / 'mine'}")
    assert status == 2
    assert f"shows the run in {run}: train there" in err


def test_of_a_pair_the_output_is_checked_first(capsys):
    status, _, err = call(capsys, *KL, "--output=/proc/nowhere")
    assert status == 2
    assert "--output=/proc/nowhere cannot be written" in err


def without_privileges():
    """The words that run a command as a user who may not write what he owns, if it is ours."""
    if os.geteuid():
        return []
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("root writes everywhere here: there is no setpriv")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["evaluate", *(pytest.param(c, marks=pytest.mark.slow) for c in ("sample", "report", "train"))],
)
def test_a_directory_without_permission(command, run, tmp_path):
    """The real thing: a process without privileges, and modes that forbid it to write."""
    folders = [run, *(p for p in run.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    words = [word.format(run=run) for word in (READ_BY | TRAINING)[command]]
    line = [*without_privileges(), sys.executable, "-m", "vae_jax", *words]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    for folder in folders:
        folder.chmod(0o755)
    assert done.returncode == (0 if command in PRINTED else 2), done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert ("not saved" in done.stdout) == (command in PRINTED)
