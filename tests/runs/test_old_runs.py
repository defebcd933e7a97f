"""Runs that version 0.1.0 trained load, evaluate and go on, to the numbers that it gave them."""

import json
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import evaluate, fit, load
from vae_jax.cli.main import main
from vae_jax.datasets import _making
from vae_jax.runs.directory import read_metrics

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "run_of_0_1_0.json").read_text())["test"]["numbers"]


@pytest.fixture
def workdir(tmp_path):
    """A run that was stopped after 36 of its 72 updates."""
    with tarfile.open(HERE / "run_of_0_1_0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def drawn_by_0_1_0(key, size):
    """Its halves of random words, side by side; those of today are others, of the same law."""
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].astype(float)


@pytest.mark.slow
def test_it_goes_on_to_the_same_end(workdir, monkeypatch):
    """`EXPECTED` is what 0.1.0 said of the run that it trained to its end, with its own bits."""
    monkeypatch.setattr(_making, "_uniform16", drawn_by_0_1_0)
    run = load(workdir, "last")
    assert run.step == 36
    assert not run.is_finished
    fit(run.config, workdir, quiet=True)
    ended = load(workdir, "last")
    assert ended.step == 72
    numbers = evaluate(ended, num_importance_samples=20, quiet=True)["numbers"]
    assert numbers.keys() == EXPECTED.keys()
    for name, number in EXPECTED.items():
        np.testing.assert_allclose(numbers[name]["mean"], number["mean"], rtol=1e-3, err_msg=name)
        assert numbers[name]["unit"] == number["unit"]
    assert [r["step"] for r in read_metrics(workdir) if "bound" in r] == [12, 24, 36, 48, 60, 72]


def test_every_command_takes_it(workdir, capsys):
    (workdir / "results.json").write_bytes((HERE / "run_of_0_1_0.json").read_bytes())
    for command in (["report"], ["evaluate", "--num_importance_samples=2"], ["report"]):
        assert main(["vae-jax", *command, f"--workdir={workdir}"]) == 0, capsys.readouterr().err
    assert "log_p" in (workdir / "report.html").read_text()
