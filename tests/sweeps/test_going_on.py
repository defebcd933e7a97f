"""A sweep that is called again: what is done stays, the rest is done."""

import json
import shutil

import pytest

from tests.cli.test_cli import call
from tests.sweeps.commands import EVALUATION, arguments, table
from vae_jax.runs import directory
from vae_jax.sweeps.plan import is_done


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_a_larger_grid_adds_runs(capsys, swept, tmp_path):
    workdir = shutil.copytree(swept[0], tmp_path / "sweep")
    stamps = {p: p.stat().st_mtime_ns for p in workdir.glob("*/*/*") if p.is_file()}
    status, out, _ = call(capsys, *arguments(workdir))
    assert status == 0
    assert "4 settings, 12 runs, 12 of them done before" in out
    grid = ["--grid=prior=mixture(components=3)|standard_normal()", "--grid=latent_dim=3|2|4"]
    status, out, _ = call(capsys, *arguments(workdir, "--dry_run", grid=grid, seeds=4))
    assert "prior=standard_normal,latent_dim=2: " in out  # recognized, though written otherwise
    assert out.count("3 of 4 done") == 4
    assert out.count("seeds 0, 1, 2, 3") == 6
    grid = ["--grid=prior=standard_normal", "--grid=latent_dim=2|4"]
    status, out, _ = call(capsys, *arguments(workdir, grid=grid, seeds=4))
    assert "2 settings, 8 runs, 3 of them done before" in out
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert call(capsys, "report", f"--workdir={workdir}")[0] == 0
    assert [row["num_seeds"] for row in table(workdir)] == ["4", "3", "3", "3", "4"]


def test_again_no_evaluation_counts_and_what_diverged_stays(tmp_path):
    asked = {"split": "test", "estimators": ["importance(num_samples=20)"]}
    entries = {"finished": True, "checkpoint": "best", "seed": 0, **asked}
    (tmp_path / "results.json").write_text(json.dumps({"test": entries}))
    assert is_done(tmp_path, asked)
    assert not is_done(tmp_path, asked, again=True)
    directory.record_failure(tmp_path, "diverged", "step 3: kl is nan")
    assert is_done(tmp_path, asked, again=True)


@pytest.mark.slow
def test_again_evaluates_anew_and_trains_nothing(capsys, swept, tmp_path):
    workdir = shutil.copytree(swept[0], tmp_path / "sweep")
    grid = ["--grid=prior=standard_normal", "--grid=latent_dim=2"]
    [path] = workdir.glob("prior=standard_normal,latent_dim=2/seed_1/results.json")
    metrics, before = path.with_name("metrics.jsonl").read_text(), path.read_text()
    edited = json.loads(before)
    edited["test"]["numbers"]["log_p"]["mean"] = 3.0
    path.write_text(json.dumps(edited))
    assert call(capsys, *arguments(workdir, grid=grid))[0] == 0
    assert json.loads(path.read_text()) == edited
    status, out, _ = call(capsys, *arguments(workdir, "--again", grid=grid))
    assert status == 0
    assert "1 setting, 3 runs, 0 of them done before, 3 only to be evaluated as asked" in out
    assert json.loads(path.read_text())["test"]["numbers"] == json.loads(before)["test"]["numbers"]
    assert path.with_name("metrics.jsonl").read_text() == metrics


@pytest.mark.slow
def test_a_full_disk_stops_it_and_keeps_what_was_finished(capsys, tmp_path, monkeypatch):
    from collections import namedtuple

    usage, seen = namedtuple("usage", "free"), []

    def disk_usage(path):
        seen.append(path)
        return usage(10**9 if len(seen) <= 2 else 10)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    grid = ["--grid=latent_dim=2|3"]
    status, _, err = call(capsys, *arguments(tmp_path, grid=grid, seeds=1))
    assert status == 1
    assert "No space left on device" in err.splitlines()[-1]
    assert "what was finished is kept, the same command goes on" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert (tmp_path / "latent_dim=2" / "seed_0" / "results.json").exists()
    monkeypatch.undo()
    status, out, _ = call(capsys, *arguments(tmp_path, grid=grid, seeds=1))
    assert status == 0
    assert "1 of them done before" in out


@pytest.mark.slow
def test_a_run_that_fails_is_noted_and_tried_again(capsys, tmp_path, monkeypatch):
    from vae_jax.evaluation.evaluate import evaluate
    from vae_jax.sweeps import work

    def broken(run, **options):
        if run.config.latent_dim == 3:
            raise MemoryError("too large")
        return evaluate(run, **options)

    monkeypatch.setattr(work, "evaluate", broken)
    grid = ["--grid=latent_dim=2|3"]
    status, out, err = call(capsys, *arguments(tmp_path, grid=grid, seeds=1))
    assert status == 1
    assert "latent_dim=3: MemoryError: too large (seeds 0)" in err
    assert "1 failed, no log_p" in out
    assert "MemoryError" in (tmp_path / "latent_dim=3" / "seed_0" / "traceback.txt").read_text()
    monkeypatch.undo()
    status, out, _ = call(capsys, *arguments(tmp_path, grid=grid, seeds=1))
    assert status == 0
    assert "1 of them done before, 1 only to be evaluated as asked" in out
    assert "failed" not in out
    assert not (tmp_path / "latent_dim=3" / "seed_0" / "traceback.txt").exists()


@pytest.mark.slow
def test_what_was_evaluated_otherwise_is_evaluated_again_and_not_trained_again(capsys, tmp_path):
    grid = ["--grid=latent_dim=2"]
    run = tmp_path / "latent_dim=2" / "seed_0"
    assert call(capsys, *arguments(tmp_path, grid=grid, seeds=1))[0] == 0
    metrics = (run / "metrics.jsonl").read_text()
    other = ["--num_importance_samples=30", "--iwae_samples=7", "--quadrature_points=40"]
    status, out, _ = call(capsys, *arguments(tmp_path, *other, grid=grid, seeds=1))
    assert status == 0
    assert "0 of them done before, 1 only to be evaluated as asked" in out
    numbers = json.loads((run / "results.json").read_text())["test"]["numbers"]
    assert {"iwae_7", "log_p_quadrature"} <= numbers.keys()
    assert "K = 30" in numbers["log_p"]["method"]
    assert (run / "metrics.jsonl").read_text() == metrics
    fewer = [EVALUATION[1], "--num_importance_samples=21"]
    for by_hand in ([*EVALUATION, "--checkpoint=last"], [*EVALUATION, "--seed=3"], fewer):
        evaluated = ["evaluate", f"--workdir={run}", *by_hand]
        assert call(capsys, *evaluated)[0] == 0
        status, out, _ = call(capsys, *arguments(tmp_path, "--dry_run", grid=grid, seeds=1))
        assert "0 of them done before" in out, by_hand
    assert call(capsys, "evaluate", f"--workdir={run}", *EVALUATION)[0] == 0
    status, out, _ = call(capsys, *arguments(tmp_path, "--dry_run", grid=grid, seeds=1))
    assert "1 of them done before" in out


@pytest.mark.slow
def test_a_run_that_was_evaluated_before_its_end_goes_on(capsys, tmp_path, monkeypatch):
    from vae_jax.runs import checkpoints

    def stop(manager, step, *more):
        checkpoints_save(manager, step, *more)
        raise KeyboardInterrupt

    grid, run = ["--grid=latent_dim=2"], tmp_path / "latent_dim=2" / "seed_0"
    checkpoints_save = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", stop)
    assert call(capsys, *arguments(tmp_path, grid=grid, seeds=1))[0] == 130
    monkeypatch.undo()
    assert call(capsys, "evaluate", f"--workdir={run}", *EVALUATION)[0] == 0
    status, out, _ = call(capsys, "report", f"--workdir={tmp_path}")
    assert "1 evaluated before its end" in out
    status, out, _ = call(capsys, *arguments(tmp_path, grid=grid, seeds=1))
    assert status == 0
    assert "0 of them done before" in out
    assert json.loads((run / "results.json").read_text())["test"]["finished"]
