"""Sweeps from the command to the report."""

import csv
import json
import shlex
import shutil
import sys

import pytest

from tests.cli.test_cli import DIGITS, call
from tests.sweeps.commands import EVALUATION, SHORT, arguments, table


def test_twelve_runs_with_two_workers(swept):
    workdir, out, err = swept
    assert "4 settings, 12 runs, 0 of them done before" in out
    names = {path.name for path in workdir.iterdir() if path.is_dir()}
    assert names == {
        "prior=standard_normal,latent_dim=2", "prior=standard_normal,latent_dim=3",
        "prior=mixture-components=3,latent_dim=2", "prior=mixture-components=3,latent_dim=3",
    }  # fmt: skip
    for name in names:
        for seed in range(3):
            config = json.loads((workdir / name / f"seed_{seed}" / "config.json").read_text())
            assert (config["seed"], config["num_seeds"]) == (seed, 1)
            results = json.loads((workdir / name / f"seed_{seed}" / "results.json").read_text())
            assert results["test"]["checkpoint_step"] in (12, 24)
    assert "[12/12]" in err
    assert "Warning" not in err


@pytest.mark.slow
def test_a_run_of_a_sweep_is_the_run_that_train_makes(capsys, swept, tmp_path):
    workdir = swept[0]
    flags = [*SHORT, "--config.prior=mixture(components=3)", "--config.latent_dim=3"]
    config = [f"--config={DIGITS}:quick", "--config.seed=1", f"--workdir={tmp_path}"]
    assert call(capsys, "train", *config, *flags)[0] == 0
    assert call(capsys, "evaluate", f"--workdir={tmp_path}", *EVALUATION)[0] == 0
    mine = json.loads((tmp_path / "results.json").read_text())["test"]["numbers"]
    path = workdir / "prior=mixture-components=3,latent_dim=3" / "seed_1"
    theirs = json.loads((path / "results.json").read_text())["test"]["numbers"]
    for name, number in mine.items():
        assert theirs[name]["mean"] == pytest.approx(number["mean"], rel=1e-4)
    assert json.loads((path / "config.json").read_text()) == json.loads(
        (tmp_path / "config.json").read_text()
    )


def test_the_report_of_a_sweep(capsys, swept, tmp_path):
    workdir = shutil.copytree(swept[0], tmp_path / "copy")
    status, out, _ = call(capsys, "report", f"--workdir={workdir}", "--baseline=latent_dim=3, prior=standard_normal")  # fmt: skip
    assert status == 0
    for name in ("report.html", "table.csv", "table.md", "table.tex", "runs.csv"):
        assert str(workdir / name) in out
        assert (workdir / name).stat().st_size
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page.replace("http-equiv", "")
    rows = table(workdir)
    assert [row["remark"] for row in rows] == ["", "baseline", "", ""]
    assert len(list(csv.DictReader((workdir / "runs.csv").open()))) == 12


@pytest.mark.slow
def test_the_commands_that_are_printed_make_the_same_runs(capsys, swept, tmp_path):
    status, out, _ = call(capsys, *arguments(tmp_path, "--print_commands"))
    lines = [shlex.split(line) for line in out.splitlines()]
    assert status == 0
    assert len(lines) == 12
    assert not list(tmp_path.iterdir())
    name = "prior=mixture-components=3,latent_dim=2/seed_2"
    [line] = [line for line in lines if line[-1] == f"--workdir={tmp_path / name}"]
    assert line[:2] == ["vae-jax", "train"]
    assert call(capsys, *line[1:])[0] == 0
    mine, theirs = (
        json.loads((d / name / "config.json").read_text()) for d in (tmp_path, swept[0])
    )
    assert mine == theirs
    status, out, _ = call(capsys, *arguments(tmp_path, "--dry_run"))
    assert "prior=mixture-components=3,latent_dim=2: " in out


@pytest.mark.slow
def test_random_search_and_its_figure(capsys, tmp_path):
    grid = ["--grid=optimizer.learning_rate=log_uniform(1e-4, 1e-2)", "--random=3"]
    status, out, _ = call(capsys, *arguments(tmp_path, *grid, grid=[], seeds=1))
    assert status == 0
    assert "3 settings, 3 runs, 0 of them done before" in out
    assert call(capsys, "report", f"--workdir={tmp_path}")[0] == 0
    assert (tmp_path / "figures" / "random_search.png").exists()
    rates = [float(row["optimizer.learning_rate"]) for row in table(tmp_path)]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert all(row["p_value"] == "" for row in table(tmp_path))  # one seed: no error over seeds


@pytest.mark.slow
def test_train_with_many_seeds_is_evaluated_and_reported_together(capsys, tmp_path):
    flags = [f"--config={DIGITS}:quick", f"--workdir={tmp_path}", *SHORT]
    status, out, _ = call(capsys, "train", *flags, "--config.num_seeds=2")
    assert status == 0
    assert "2 runs are done" in out
    status, out, _ = call(capsys, "evaluate", f"--workdir={tmp_path}", *EVALUATION)
    assert status == 0
    assert out.count("359 examples of test") == 2
    status, out, _ = call(capsys, "report", f"--workdir={tmp_path}")
    assert status == 0
    assert [row["num_seeds"] for row in table(tmp_path)] == ["2"]


@pytest.mark.slow
def test_settings_of_another_base_config_can_be_told_apart(capsys, tmp_path):
    grid = ["--grid=latent_dim=2"]
    assert call(capsys, *arguments(tmp_path, grid=grid, seeds=1))[0] == 0
    more = ["--config.num_epochs=1"]
    assert call(capsys, *arguments(tmp_path, *more, grid=grid, seeds=1))[0] == 0
    assert call(capsys, "report", f"--workdir={tmp_path}")[0] == 0
    rows = table(tmp_path)
    assert [row["num_epochs"] for row in rows] == ["2", "1"]
    assert [row["name"] for row in rows] == ["latent_dim=2", "latent_dim=2-2"]


@pytest.mark.slow
def test_a_sweep_of_a_part_of_ones_own_is_reported_without_it(capsys, tmp_path, monkeypatch):
    (tmp_path / "lab").mkdir()
    source = "from vae_jax.priors.standard_normal import standard_normal as own\n"
    (tmp_path / "lab" / "own.py").write_text(source)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        grid = ["--grid=prior=lab.own|standard_normal"]
        assert call(capsys, *arguments(tmp_path / "sweep", grid=grid, seeds=1))[0] == 0
    monkeypatch.delitem(sys.modules, "lab.own")
    monkeypatch.delitem(sys.modules, "lab")
    assert call(capsys, "report", f"--workdir={tmp_path / 'sweep'}")[0] == 0


def test_an_unknown_split_or_metric_leaves_the_report_alone(capsys, swept, tmp_path):
    workdir = shutil.copytree(swept[0], tmp_path / "copy")
    call(capsys, "report", f"--workdir={workdir}")
    before = (workdir / "report.html").read_bytes()
    for flag, expected in (("--split=tets", "did you mean 'test'"), ("--metric=logp", "'log_p'")):
        status, _, err = call(capsys, "report", f"--workdir={workdir}", flag)
        assert status == 2
        assert expected in err
    assert (workdir / "report.html").read_bytes() == before
    assert call(capsys, "sample", f"--workdir={workdir}")[2].startswith("vae-jax: ")


@pytest.mark.slow
def test_fields_are_taken_together(capsys, tmp_path):
    together = ["--grid=latent_dim=2|3", "--grid=batch_size=50|100", "--zip", "--dry_run"]
    _, out, _ = call(capsys, *arguments(tmp_path, *together, grid=[], seeds=1))
    assert "latent_dim=2,batch_size=50: " in out
    assert "latent_dim=3,batch_size=100: " in out
    assert out.splitlines()[-1] == "2 settings, 2 runs, 0 of them done before"
    apart = ["--zip=latent_dim=2|3", "--zip=batch_size=50|100", "--grid=prior=mixture", "--dry_run"]
    _, out, _ = call(capsys, *arguments(tmp_path, *apart, grid=[], seeds=1))
    assert "prior=mixture,latent_dim=3,batch_size=100: " in out
