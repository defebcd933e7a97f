"""A run that several processes train, stop, go on with and evaluate is the run of one process."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from tests.cli.test_cli import DIGITS, TINY
from tests.hosts.several import SMALL, ended, run_together, started, wait_for_lines
from vae_jax.cli.main import main
from vae_jax.runs import load
from vae_jax.runs.directory import read_metrics

EPOCHS = 12
MANY = 40  # epochs, of a run that is stopped in the middle


def train(count, folder, *more, epochs=EPOCHS, devices=1):
    command = ["train", *SMALL, f"--workdir={folder}", f"--config.num_epochs={epochs}", *more]
    return run_together(count, *command, devices=devices)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train(1, folder)
    return folder


def assert_same_parameters(one, other):
    one, other = load(one, "last"), load(other, "last")
    assert one.step == other.step
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


SIX_UPDATES = (
    *("train", f"--config={DIGITS}:quick", *TINY),
    *("--config.batch_size=200", "--config.num_epochs=1", "--config.trackers="),
)


def test_two_processes_train_the_run_of_one_for_six_updates(tmp_path):
    run_together(2, *SIX_UPDATES, f"--workdir={tmp_path}/two")
    assert main(["vae-jax", *SIX_UPDATES, f"--workdir={tmp_path}/one"]) == 0
    assert_same_parameters(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--config.seed=7", "--config.batch_size=50"])
def test_processes_that_were_called_differently_are_refused(tmp_path, flag):
    command = ("train", *SMALL, f"--workdir={tmp_path}/two")
    outcomes = ended(started(2, *command, of_last=[flag]), 60)
    name, value = flag.split("=")
    assert [status for status, _, _ in outcomes] == [2, 2]
    assert all(f"{name}={value} where process 0 has {name}=" in line for _, _, line in outcomes)
    assert not (tmp_path / "two" / "config.json").exists()


SECOND_LATE = """
import time
from vae_jax import hosts
from vae_jax.cli.main import run
from vae_jax.runs import claims

require_same = claims.require_same
def late(*arguments):
    time.sleep(3 * hosts.index())
    return require_same(*arguments)
claims.require_same = late
run()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("field", "value"), [("patience", 5), ("eval_every_epochs", 30.0)])
def test_a_finished_run_takes_another_config_though_one_process_is_late(tmp_path, field, value):
    assert main(["vae-jax", *SIX_UPDATES, f"--workdir={tmp_path}"]) == 0
    changed = ["train", f"--workdir={tmp_path}", f"--config.{field}={value}"]
    outcomes = run_together(2, *changed, seconds=60, program=("-c", SECOND_LATE))
    assert "6 steps are done" in outcomes[0][1]
    assert json.loads((tmp_path / "config.json").read_text())[field] == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "devices", "more"),
    [
        (2, 1, ()),
        (2, 1, ("--config.max_device_bytes=0",)),
        (4, 2, ("--config.mesh=data=4, model=2",)),
        (2, 1, ("--config.mesh=data=1, model=2", "--config.max_device_bytes=0")),
    ],
    ids=["resident", "streamed", "four_on_a_mesh", "model_over_processes"],
)
def test_several_processes_train_the_run_of_one(alone, tmp_path, count, devices, more):
    outcomes = train(count, tmp_path, *more, devices=devices)
    assert_same_parameters(alone, tmp_path)
    assert ["steps are done" in out for _, out, _ in outcomes] == [True] + [False] * (count - 1)
    bounds = [[r["step"] for r in read_metrics(p)] for p in (alone, tmp_path)]
    assert bounds[0] == bounds[1]


@pytest.mark.slow
def test_several_processes_evaluate_as_one_does(alone):
    numbers = []
    for count in (1, 2):
        command = ["evaluate", f"--workdir={alone}", "--num_importance_samples=50"]
        run_together(count, *command, "--batch_size=70")
        numbers.append(json.loads((alone / "results.json").read_text())["test"]["numbers"])
        (alone / "results.json").unlink()
    assert numbers[0].keys() == numbers[1].keys()
    for name, number in numbers[0].items():
        np.testing.assert_allclose(number["mean"], numbers[1][name]["mean"], rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def long_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    train(1, folder, epochs=MANY)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "which"), [("SIGTERM", 1), ("SIGKILL", 1), ("SIGKILL", 0)])
def test_a_signal_to_one_ends_all_and_the_run_goes_on_to_the_same(
    long_alone, tmp_path, signum, which
):
    command = ["train", *SMALL, f"--workdir={tmp_path}", f"--config.num_epochs={MANY}"]
    processes = started(2, *command)
    wait_for_lines(tmp_path / "metrics.jsonl", 6)
    os.kill(processes[which].pid, getattr(signal, signum))
    outcomes = ended(processes)
    if signum == "SIGTERM":
        assert [status for status, _, _ in outcomes] == [128 + signal.SIGTERM] * 2
        assert outcomes[0][2] == outcomes[1][2]
        assert "stopped after step" in outcomes[0][2]
    elif which == 1:
        assert outcomes[0][0] == 1
        assert "another process of this work has ended" in outcomes[0][2]
    else:  # JAX aborts the others when the first is gone, beside what they say
        assert outcomes[1][0] != 0
    stopped = load(tmp_path, "last").step
    assert 0 < stopped < load(long_alone, "last").step
    train(1 if which == 0 else 2, tmp_path, epochs=MANY)
    assert_same_parameters(long_alone, tmp_path)
