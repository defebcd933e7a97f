import csv
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import DIGITS, ROOT, call
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


def test_every_faulty_setting_is_said_before_anything_runs(capsys, tmp_path):
    grid = ["--grid=prior=standard_normal|mixtur|mixture(components='two')",
            "--grid=objective=elbo|elbo(kl='closed_form')|elbo(free_bits=-1.0)",
            "--grid=latent_dim=2|zwei"]  # fmt: skip
    status, out, err = call(capsys, *arguments(tmp_path, grid=grid))
    assert status == 2
    assert out == ""
    assert not list(tmp_path.iterdir())
    lines = err.splitlines()
    assert lines[0] == "vae-jax: 16 of 18 settings cannot work:"
    for expected in ("did you mean 'mixture'", "not of type int", "0 or more is needed",
                     "config.latent_dim='zwei'"):  # fmt: skip
        assert sum(expected in line for line in lines) >= 1, expected
    assert "Traceback" not in err


def test_a_pair_without_a_closed_form_is_found_before_anything_runs(capsys, tmp_path):
    grid = ["--grid=prior=standard_normal|mixture", "--grid=objective=elbo(kl='closed_form')"]
    status, _, err = call(capsys, *arguments(tmp_path, grid=grid))
    assert status == 2
    assert err.splitlines()[0] == "vae-jax: 1 of 2 settings cannot work:"
    assert "has no closed form" in err
    assert "[prior=mixture, objective=elbo(kl='closed_form')]" in err


MISTAKES = [
    (["--grid=piror=mixture"], "did you mean 'prior'"),
    (["--grid=prior"], "write field=value|value"),
    (["--grid=seed=0|1"], "seeds have --num_seeds"),
    (["--grid=latent_dim=2|3", "--grid=batch_size=50", "--zip"], "need as many values each"),
    (["--grid=latent_dim=integers(2, 4)"], "--random=N"),
    (["--split=tets"], "did you mean 'test'"),
    (["--num_seeds=0"], "not a positive integer"),
    (["--workdir=/proc/nowhere/sweep"], "cannot be written"),
    (["--grid=data=npz(path='nowhere.npz')"], "no such file"),
    (["--quadrature_points=50", "--config.latent_dim=3"], "for 1 or 2 latent dimensions"),
    (["--iwae_samples=50"], "50"),
    (["--grid=optimizer=polyak_sgd"], "missing"),
    (["--config.seeds_at_once=2", "--config.max_device_bytes=0"], "one seed at a time"),
    (["--grid=latent_dim=2,3"], "separated by |"),
    (["--grid=data=two_moons", "--grid=likelihood=normal", "--grid=encoder=conv"], "needs images"),
]


@pytest.mark.parametrize(("more", "expected"), MISTAKES, ids=lambda v: str(v)[-40:])
def test_mistakes_are_said(capsys, tmp_path, more, expected):
    status, _, err = call(capsys, *arguments(tmp_path, *more, grid=[], seeds=1))
    assert status == 2, err
    assert expected in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_single_run_is_no_place_for_a_sweep(capsys, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    status, _, err = call(capsys, *arguments(tmp_path))
    assert status == 2
    assert "holds a single run" in err


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


EXPERIMENT = """
from vae_jax.config import default_config


def get_config():
    config = default_config()
    config.encoder = config.decoder = "mlp(hidden=(8,))"
    config.num_epochs, config.num_seeds = 1, 2
    return config


def sweep():
    return [{"latent_dim": 2}, {"latent_dim": 3, "optimizer": "sgd(learning_rate=1e9)"}]
"""


@pytest.mark.slow
def test_an_experiment_file_lists_its_settings_and_what_diverges_is_shown(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(EXPERIMENT)
    workdir = tmp_path / "sweep"
    command = ["sweep", f"--config={tmp_path / 'mine.py'}", f"--workdir={workdir}", *EVALUATION]
    status, out, err = call(capsys, *command)
    assert status == 1
    assert "vae-jax: 2 runs failed or diverged:" in err
    assert err.splitlines()[-1].endswith(": diverged at step 2 (seeds 0, 1)")
    assert err.count("diverged at step") == 3  # as it happens, and once at the end
    assert "2 diverged, no log_p" in out
    status, out, _ = call(capsys, *command)
    assert status == 0
    assert "4 of them done before" in out  # it would diverge again
    assert call(capsys, "report", f"--workdir={workdir}")[0] == 0
    assert "2 diverged" in (workdir / "table.md").read_text()
    assert (workdir / "report.html").read_text().count("diverged") >= 3


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


ABLATIONS = {
    "digits": "9 settings, 18 runs",
    "likelihoods": "10 settings, 10 runs",
    "objectives": "7 settings, 7 runs",
    "posteriors": "3 settings, 3 runs",
    "priors": "6 settings, 6 runs",
}


@pytest.mark.slow  # everything is traced
@pytest.mark.parametrize("name", ABLATIONS)
def test_the_ablations_can_run(capsys, tmp_path, name):
    file = ROOT / "experiments" / "ablations" / f"{name}.py"
    needs_mnist = "mnist.py" in file.read_text() or name == "posteriors"
    if needs_mnist and not (Path(os.environ.get("TFDS_DATA_DIR", "-")) / "mnist").exists():
        pytest.skip("no MNIST in TFDS_DATA_DIR")
    command = ["sweep", f"--config={file}:quick", f"--workdir={tmp_path}", "--dry_run"]
    status, out, _ = call(capsys, *command)
    assert status == 0
    assert out.splitlines()[-1] == f"{ABLATIONS[name]}, 0 of them done before"


def test_every_ablation_is_known():
    folder = ROOT / "experiments" / "ablations"
    assert {path.stem for path in folder.glob("*.py")} == ABLATIONS.keys()


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
    for by_hand in (["--checkpoint=last"], ["--seed=3"], ["--num_importance_samples=21"]):
        evaluated = ["evaluate", f"--workdir={run}", *EVALUATION, *by_hand]
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


def test_a_mistake_in_an_experiment_costs_one_line(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(EXPERIMENT.replace("return [{", "1 / 0; return [{"))
    command = ["sweep", f"--config={tmp_path / 'mine.py'}", f"--workdir={tmp_path / 'sweep'}"]
    status, _, err = call(capsys, *command)
    assert status == 2
    assert err.count("\n") == 1
    assert "mine.py, line 13: ZeroDivisionError: division by zero" in err
    (tmp_path / "mine.py").write_text(EXPERIMENT.replace("return [{", "return 3; [{"))
    assert "a list of dicts" in call(capsys, *command)[2]


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


def test_fields_are_taken_together(capsys, tmp_path):
    together = ["--grid=latent_dim=2|3", "--grid=batch_size=50|100", "--zip", "--dry_run"]
    _, out, _ = call(capsys, *arguments(tmp_path, *together, grid=[], seeds=1))
    assert "latent_dim=2,batch_size=50: " in out
    assert "latent_dim=3,batch_size=100: " in out
    assert out.splitlines()[-1] == "2 settings, 2 runs, 0 of them done before"
    apart = ["--zip=latent_dim=2|3", "--zip=batch_size=50|100", "--grid=prior=mixture", "--dry_run"]
    _, out, _ = call(capsys, *arguments(tmp_path, *apart, grid=[], seeds=1))
    assert "prior=mixture,latent_dim=3,batch_size=100: " in out
