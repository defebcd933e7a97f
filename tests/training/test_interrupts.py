"""Runs that are killed or stopped by a signal go on to the same end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quick_runs import quick_config, same
from vae_jax import fit, fit_seeds
from vae_jax.runs.directory import read_metrics
from vae_jax.training import loop
from vae_jax.training.interrupts import Interrupted, caught_signals

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, os, signal
from tests.quick_runs import quick_config
from vae_jax import fit
from vae_jax.runs import checkpoints
from vae_jax.training import loop
where, at = sys.argv[2], int(sys.argv[3])
save, log = checkpoints.save, loop._log_window
def kill(): os.kill(os.getpid(), int(sys.argv[4]))
if where == "during":   # as Orbax makes the checkpoint visible
    import orbax.checkpoint as ocp
    finish = os.rename
    def rename(a, b, *args, **kwargs):
        if str(b).endswith(f"checkpoints/{at}"): kill()
        return finish(a, b, *args, **kwargs)
    os.rename = rename
    import pathlib
    pathlib.Path.rename = lambda self, target: (rename(self, target), pathlib.Path(target))[1]
def logged(member, *args):
    if where == "before" and member.step == at: kill()
    return log(member, *args)
def saved(manager, step, *args):
    save(manager, step, *args)
    if where == "after" and step == at: kill()
loop._log_window, checkpoints.save = logged, saved
fit(quick_config(), sys.argv[1], quiet=True)
"""


def run_program(workdir, where, at, signum):
    command = [sys.executable, "-c", PROGRAM, str(workdir), where, str(at), str(int(signum))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "during", "after"])
def test_killed_and_resumed_it_ends_the_same(tmp_path, trained, where):
    killed = run_program(tmp_path, where, 24, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    steps = [int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(steps) == (24 if where == "after" else 12)
    resumed = fit(quick_config(), tmp_path, quiet=True)
    assert same(resumed.params, trained.params)
    mine, theirs = read_metrics(tmp_path), read_metrics(trained.workdir)
    assert [r["step"] for r in mine] == [r["step"] for r in theirs]
    assert mine[-1]["validation_bound"] == theirs[-1]["validation_bound"]


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGINT,
        *(
            pytest.param(signum, marks=pytest.mark.slow)
            for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
        ),
    ],
)
def test_a_signal_saves_and_the_run_goes_on(tmp_path, trained, signum):
    stopped = run_program(tmp_path, "before", 24, signum)
    assert "stopped after step 24; the same command goes on from here" in stopped.stderr
    assert (tmp_path / "checkpoints" / "24").exists()
    assert same(fit(quick_config(), tmp_path, quiet=True).params, trained.params)


@pytest.mark.slow
def test_ctrl_c_outside_the_main_thread_is_the_callers_affair():
    import threading

    done = []
    thread = threading.Thread(
        target=lambda: done.append(fit(quick_config(num_epochs=1), quiet=True))
    )
    thread.start()
    thread.join()
    assert done[0].step == 12


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    fit(quick_config(num_epochs=1), quiet=True)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    """As that of a closed terminal is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with caught_signals() as received:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGUSR1)
        assert received == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_in_the_last_window_leaves_a_run_that_is_complete(tmp_path, monkeypatch, caplog):
    """Of two seeds the first is at its end, and the other is not begun."""
    log = loop._log_window

    def logged(member, *args):
        if member.step == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return log(member, *args)

    monkeypatch.setattr(loop, "_log_window", logged)
    cfg = quick_config(num_epochs=1, num_seeds=2, seeds_at_once=1)
    with pytest.raises(Interrupted, match="stopped before seed 1; the same command goes on"):
        fit_seeds(cfg, tmp_path, quiet=True)
    assert (tmp_path / "seed_0" / "checkpoints" / "12").exists()
    assert not (tmp_path / "seed_1" / "checkpoints").exists()
    with caplog.at_level("INFO", logger="vae_jax"):
        fit_seeds(cfg, tmp_path, quiet=True)
    assert "nothing was left to stop" in caplog.text
