"""An evaluation that has been made says so, and computes nothing; another one is made."""

import json

import pytest

from tests.places.conftest import FEW
from vae_jax.cli.main import main
from vae_jax.evaluation import evaluate
from vae_jax.runs.stored import _is_own_code


@pytest.fixture
def passes(monkeypatch):
    """The splits that estimators passed over."""
    splits, real = [], evaluate._pass
    monkeypatch.setattr(evaluate, "_pass", lambda run, *a: (splits.append(a[0]), real(run, *a))[1])
    return splits


def evaluated(capsys, run, *flags):
    assert main(["vae-jax", "evaluate", f"--workdir={run}", *FEW, *flags]) == 0
    return capsys.readouterr().out


def test_numbers_that_are_there_are_not_computed_again(run, passes, capsys):
    before = (run / "results.json").read_bytes()
    out = evaluated(capsys, run)
    assert passes == []
    assert f"{json.loads(before)['test']['numbers']['log_p']['mean']:.4f}" in out
    assert "results.json, which had them: --again computes them anew" in out
    assert (run / "results.json").read_bytes() == before


@pytest.mark.parametrize("flag", ["--again", "--seed=1", "--checkpoint=last", "--num_examples=20"])
def test_other_numbers_are_computed(run, passes, capsys, flag):
    assert "which had them" not in evaluated(capsys, run, flag)
    assert passes == ["test"]


def test_numbers_of_other_parameters_do_not_count(run, passes, capsys):
    results = json.loads((run / "results.json").read_text())
    results["test"]["fingerprint"] = "0" * 16
    (run / "results.json").write_text(json.dumps(results))
    evaluated(capsys, run)
    assert passes == ["test"]


def test_numbers_of_a_run_whose_training_set_has_changed_are_refused(run, passes, capsys):
    kept = json.loads((run / "data.json").read_text())
    kept["splits"]["train"]["sha256"] = "0" * 64
    (run / "data.json").write_text(json.dumps(kept))
    assert main(["vae-jax", "evaluate", f"--workdir={run}", *FEW]) == 2
    assert "is not what" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("importance(num_samples=50, defensive=0.1)", False),
        ("normal(scale=1e-3)", False),
        ("my_lab.twice", True),
        ("conditional(prior='my_lab.heavy_tails(scale=0.1)')", True),
    ],
)
def test_a_part_of_one_s_own_may_have_been_edited(text, may_be):
    assert _is_own_code(text) == may_be
