"""Each command says at once what it does, and shows how far it is where that takes long."""

import io
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.test_cli import DIGITS, ROOT, call
from tests.places.conftest import FEW
from tests.places.test_homes import COMMANDS, KL
from vae_jax import progress
from vae_jax.cli.main import command_names
from vae_jax.progress import Bar, each
from vae_jax.training.logs import Progress

# Ends a command at its first line, and tells the time that the processor had spent by then.
FIRST_LINE = """import logging, os, sys, time
class First(logging.Handler):
    def emit(self, record):
        jax = "jax" in sys.modules
        print(time.process_time(), jax, record.getMessage(), file=sys.__stdout__, flush=True)
        os._exit(0)
logging.getLogger("vae_jax").addHandler(First())
from vae_jax.cli.main import run
run()
"""
MORE = {
    "export": ["export", "--workdir={run}", "--what=latents"],
    "compare-kl of a run": ["compare-kl", "--workdir={run}"],
    "train again": ["train", "--workdir={run}"],
    "sweep --dry_run": ["sweep", f"--config={DIGITS}", "--workdir={new}", "--dry_run"],
}
EVERY = COMMANDS | MORE


def test_no_command_is_left_out():
    assert {words[0] for words in EVERY.values()} == {*command_names()}


@pytest.mark.parametrize("name", EVERY)
def test_a_command_says_within_a_second_what_it_does(name, shared, tmp_path):
    words = [word.format(run=shared, new=tmp_path / "new") for word in EVERY[name]]
    command = [sys.executable, "-c", FIRST_LINE, *words]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    seconds, jax, said = done.stdout.partition("\n")[0].split(" ", 2)
    assert float(seconds) < 1, done.stdout
    assert jax == "False"
    assert any(word in said for word in [*words[1:2], str(shared), str(tmp_path), "KL("]), said


class Terminal(io.StringIO):
    def isatty(self):
        return True


SLOW = pytest.mark.slow
TWO_PRIORS = ["--grid=prior=standard_normal|mixture(components=2)"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["evaluate", "--workdir={run}", *FEW], "359/359"),
        pytest.param(["sample", "--workdir={run}", "--num_samples=4"], "5/5", marks=SLOW),
        (["report", "--workdir={run}"], "1/1"),
        (["sweep", *MORE["sweep --dry_run"][1:], *TWO_PRIORS], "2/2"),
        pytest.param([*KL, "--output={new}"], "17/17", marks=SLOW),
    ],
)
def test_a_bar_is_seen_on_a_terminal(words, shown, run, tmp_path, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    words = [word.format(run=run, new=tmp_path / "new") for word in words]
    assert call(capsys, *words)[0] == 0
    assert shown in terminal.getvalue()
    assert "%|" in terminal.getvalue()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told the time."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_lines_come_after_3_seconds_then_ever_later(clock, caplog):
    caplog.set_level(logging.INFO)
    with Bar(400, "example", "test") as bar:
        for second in range(400):
            clock[0] = float(second)
            bar.advance()
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "test: 5 of 400 examples, 316 s to go, after 4 s"
    at = [int(text.split()[-2]) for text in said]
    assert at == [4, 11, 24, 49, 98, 159, 220, 281, 342]  # 3, 6, 12, 24, 48 s apart, then 60


def test_what_was_kept_says_nothing_about_the_pace(clock, caplog):
    caplog.set_level(logging.INFO)
    with Bar(400, "example", "test") as bar:
        bar.advance(300, was_kept=True)
        clock[0] = 10.0
        bar.advance(20)
    (record,) = caplog.records
    assert record.getMessage() == "test: 320 of 400 examples, 40 s to go, after 10 s"


def test_training_without_a_terminal_is_never_silent_for_long(clock, capsys):
    with Progress([0], 0, 1000) as bar:
        for step in range(1, 31):
            clock[0] = 2.0 * step
            bar.advance(step, step / 100, {"bound": -float(step)})
            if step == 12:
                bar.line(step, step / 100, {"bound": -12.0})  # an epoch's end
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [*("epoch 0.11", "epoch 0.12", "epoch 0.23")]
    assert lines[0] == "epoch 0.11  bound -11.00  0.5 steps/s  1978 s left"


def test_short_work_and_quiet_work_say_nothing(clock, caplog):
    caplog.set_level(logging.INFO)
    assert list(each([1, 2], "setting", "check")) == [1, 2]
    for _ in each(range(100), "setting", "check", quiet=True):
        clock[0] += 10
    assert not caplog.records


@pytest.mark.slow
def test_a_mistake_that_costs_nothing_to_find_is_the_only_line(tmp_path):
    for words in (["evaluate", f"--workdir={tmp_path}"], ["train", f"--workdir={tmp_path}"]):
        command = [sys.executable, "-m", "vae_jax", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("seconds", [0.8, *(pytest.param(s, marks=SLOW) for s in (0.3, 1.5))])
def test_ctrl_c_while_libraries_are_imported_costs_one_line(seconds, tmp_path):
    words = ["train", f"--config={DIGITS}", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "vae_jax", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    process.stderr.readline()  # the first: it has begun
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("vae-jax: stopped")
