"""Experiment files that list settings: one of a user's own, and the ablations."""

import os
from pathlib import Path

import pytest

from tests.cli.test_cli import ROOT, call
from tests.sweeps.commands import EVALUATION

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


def test_a_mistake_in_an_experiment_costs_one_line(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(EXPERIMENT.replace("return [{", "1 / 0; return [{"))
    command = ["sweep", f"--config={tmp_path / 'mine.py'}", f"--workdir={tmp_path / 'sweep'}"]
    status, _, err = call(capsys, *command)
    assert status == 2
    assert err.count("\n") == 1
    assert "mine.py, line 13: ZeroDivisionError: division by zero" in err
    (tmp_path / "mine.py").write_text(EXPERIMENT.replace("return [{", "return 3; [{"))
    assert "a list of dicts" in call(capsys, *command)[2]


ROADS = [
    ("iwae", "quick", 1),
    ("iwae", "layers=2,k=5,paper,quick", 1),
    ("hierarchical", "quick", 3),
    ("hierarchical", "digits,quick", 3),
    ("ladders", "quick", 10),
    ("diffusion", "swirl,quick", 1),
    ("diffusion", "digits,quick", 1),
    ("diffusion", "mnist,quick", 1),
]


@pytest.mark.slow  # everything is traced
@pytest.mark.parametrize(("name", "words", "count"), ROADS)
def test_the_road_to_diffusion_can_be_run(capsys, tmp_path, name, words, count):
    of_mnist = name == "iwae" or "mnist" in words or (name == "hierarchical" and words == "quick")
    if of_mnist and not (Path(os.environ.get("TFDS_DATA_DIR", "-")) / "mnist").exists():
        pytest.skip("no MNIST in TFDS_DATA_DIR")
    file = ROOT / "experiments" / f"{name}.py"
    command = ["sweep", f"--config={file}:{words}", f"--workdir={tmp_path}", "--dry_run"]
    bound = ["--estimators=bound(kl='one_layer')"] if name == "diffusion" else []
    status, out, _ = call(capsys, *command, "--num_seeds=1", *bound)
    assert status == 0
    assert out.splitlines()[-1].startswith(f"{count} setting")


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("iwae", "layers=3", "layers=1 or 2"),
        ("iwae", "k=1,k=5", "k is given twice"),
        ("hierarchical", "cifar", "mnist or digits"),
        ("diffusion", "cifar", "one of swirl, digits, mnist"),
        ("ladders", "cifar", "mnist or digits"),
    ],
)
def test_an_argument_that_is_not_there_costs_one_line(capsys, tmp_path, name, words, expected):
    file = ROOT / "experiments" / f"{name}.py"
    status, _, err = call(capsys, "train", f"--config={file}:{words}", f"--workdir={tmp_path}/a")
    assert status == 2
    assert expected in err.splitlines()[-1]
