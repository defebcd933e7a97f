"""One process alone, and mistakes in the flags of several."""

import contextlib
import subprocess
import sys

import pytest

from vae_jax import hosts
from vae_jax.cli.main import main
from vae_jax.errors import UserError


def test_one_process_does_what_all_do():
    assert hosts.count() == 1
    assert hosts.is_first()
    assert hosts.largest(3) == 3
    assert hosts.from_first([1.5]) == [1.5]
    assert hosts.after_first(lambda: 7) == 7
    assert list(hosts.each(iter("ab"))) == ["a", "b"]
    with pytest.raises(UserError, match="mine"), hosts.together():
        raise UserError("mine")


def test_a_process_that_was_called_differently_says_in_what(monkeypatch):
    hosts.require_alike({"--seed": 1})  # alone
    monkeypatch.setattr(hosts, "from_first", lambda _: {"--seed": "0", "--split": "test"})
    monkeypatch.setattr(hosts, "together", contextlib.nullcontext)
    monkeypatch.setattr(hosts, "count", lambda: 2)
    hosts.require_alike({"--split": "test", "--seed": 0})
    with pytest.raises(UserError) as error:
        hosts.require_alike({"--seed": 1, "--split": "test", "--again": True})
    differing = (
        "--again=True where process 0 has --again=None; --seed=1 where process 0 has --seed=0"
    )
    assert str(error.value) == f"{differing}: all need the same command"


@pytest.mark.parametrize(
    ("flags", "needed"),
    [
        (["--num_processes=2"], "--num_processes goes with --coordinator: --coordinator=HOST:PORT"),
        (["--num_processes=two"], "--num_processes=two: 'two' is not a positive integer"),
        (["--num_processes=0"], "--num_processes=0: 0 is not a positive integer"),
        (["--process_id=0"], "--process_id goes with --coordinator: --coordinator=HOST:PORT"),
        (["--process_id=x"], "--process_id=x: 'x' is not a non-negative integer"),
        (["--process_id=-1"], "--process_id=-1: -1 is not a non-negative integer"),
        (["--coordinator="], "--coordinator=: HOST:PORT of process 0 is needed, or auto"),
        (["--coordinator=localhost"], "--coordinator=localhost: HOST:PORT of process 0 is needed"),
        (["--coordinator=auto", "--process_id=1"], "--coordinator=auto finds it"),
        (["--coordinator=localhost:70000", "--num_processes=2", "--process_id=0"], "HOST:PORT"),
        (["--coordinator=here:1"], "--num_processes and --process_id are needed"),
        (
            ["--coordinator=here:1", "--num_processes=2"],
            "--num_processes and --process_id are needed",
        ),
        (["--coordinator=here:1", "--process_id=0"], "--num_processes and --process_id are needed"),
        (["--coordinator=here", "--num_processes=2", "--process_id=0"], "HOST:PORT"),
        (["--coordinator=here:1", "--num_processes=2", "--process_id=2"], "from 0 to 1"),
    ],
)
def test_flags_that_do_not_go_together_cost_a_line(tmp_path, capsys, flags, needed):
    command = ["vae-jax", "train", "--config=experiments/digits.py", f"--workdir={tmp_path}/run"]
    assert main([*command, *flags]) == 2
    error = capsys.readouterr().err
    assert needed in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_a_process_that_meets_nobody_says_so(process):
    program = f"from vae_jax import hosts; hosts.join('localhost:{9000 + process}', 2, {process}, seconds=3)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "not all processes met within 3 s" in ended.stderr.splitlines()[-1]
    assert ended.stderr.count("\n") == 1
