"""Under all that clusters, cron, notebooks and containers do, work is done or a line says why not."""

import asyncio
import io
import os
import subprocess
import sys
import threading

import jax
import pytest

from tests.cli.test_cli import ROOT, call
from tests.places.conftest import FEW, TRAIN
from tests.quick_runs import quick_config
from vae_jax import fit
from vae_jax.batches import devices
from vae_jax.cli.streams import Stream
from vae_jax.errors import UserError
from vae_jax.places import is_watched, named
from vae_jax.runs.directory import environment

SAMPLE = ["sample", "--workdir={run}", "--num_samples=4"]
EVALUATE = ["evaluate", "--workdir={run}", *FEW]


def shell(words, run, redirected="", **variables):
    """A command in a process of its own, through a shell that redirects its streams."""
    line = [sys.executable, "-m", "vae_jax", *(word.format(run=run) for word in words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    script = ["sh", "-c", f'exec "$@" {redirected}', "sh", *line]
    return subprocess.run(script, env=env, capture_output=True, text=True)


def test_a_stream_that_cannot_be_written_is_written_on_into_nothing():
    with open("/dev/full", "w", encoding="utf-8") as full:
        stream = Stream(full)
        for _ in range(3):
            assert stream.write("text\n") == 5
            stream.flush()
        assert stream.error.strerror == "No space left on device"
        assert not stream.isatty()


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", ">&-", "<&- >&- 2>&-"])
@pytest.mark.slow
def test_a_run_trains_whatever_its_streams_are(redirected, tmp_path):
    done = shell([*TRAIN, f"--workdir={tmp_path / 'new'}"], "", redirected)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "checkpoints").is_dir()


@pytest.mark.slow
def test_results_are_saved_where_they_cannot_be_printed(run):
    (run / "results.json").unlink()
    done = shell(EVALUATE, run, ">/dev/full", PYTHONUNBUFFERED="")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "vae-jax: standard output: No space left on device"
    assert "Traceback" not in done.stderr
    assert (run / "results.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"MPLBACKEND": "module://not_there"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONOPTIMIZE": "2"},
        {"JAX_ENABLE_X64": "1"},
        {"JAX_DEBUG_NANS": "1"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_commands_on_a_run_work_under_every_variable(variables, run):
    for words in (EVALUATE, SAMPLE, ["report", "--workdir={run}"]):
        done = shell(words, run, **variables)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/nowhere", ""])
def test_without_git_there_is_no_commit(path, monkeypatch):
    monkeypatch.setenv("PATH", path)
    assert environment()["commit"] is None


def test_a_platform_that_is_not_there_costs_one_line(run, capsys, monkeypatch):
    for kind in (RuntimeError, AssertionError):

        def no_devices(kind=kind):
            raise kind("a plugin says something long\nin many lines")

        monkeypatch.setattr(jax, "devices", no_devices)
        status, _, err = call(capsys, *[word.format(run=run) for word in SAMPLE])
        assert status == 2
        assert err.startswith("vae-jax: JAX_PLATFORMS=")
        assert err.count("\n") == 1


def test_a_program_is_not_compiled_ahead_where_jit_is_disabled():
    double = jax.jit(lambda x: 2 * x)
    assert devices.compiled(double, 1.0)(2.0) == 4
    with jax.disable_jit():
        assert devices.compiled(double, 1.0) is double


def test_a_path_of_letters_that_cannot_be_read_is_refused(capsys):
    path = os.fsdecode(b"runs/\xfc")  # latin-1 in a UTF-8 world, or UTF-8 in an ASCII one
    with pytest.raises(UserError, match="cannot be read here"):
        named(path)
    status, _, err = call(capsys, "report", f"--workdir={path}")
    assert status == 2
    assert err.count("\n") == 1


class OnlyWrites:
    """A stream as logging frameworks put it in the place of stderr."""

    def write(self, text):
        return len(text)

    def flush(self):
        pass


@pytest.mark.parametrize("stream", [None, OnlyWrites(), io.StringIO()], ids=["none", "own", "text"])
def test_the_library_trains_without_a_real_stderr(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    assert not is_watched()
    assert fit(quick_config(num_epochs=1)).step == 12


@pytest.mark.slow
def test_the_library_trains_in_a_thread_and_beside_an_event_loop(tmp_path):
    runs = []

    async def beside_a_loop():
        runs.append(fit(quick_config(num_epochs=1), tmp_path / "loop", quiet=True))

    def in_a_thread():
        runs.append(fit(quick_config(num_epochs=1), tmp_path / "thread", quiet=True))

    asyncio.run(beside_a_loop())
    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert [run.step for run in runs] == [12, 12]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a b", "Übung ñ", "🎲", "-x", "a#b%20c?d&e'f\"g*", "new\nline"])
def test_a_run_has_any_name(name, run, capsys):
    path = run.rename(run.parent / name)
    status, _, err = call(capsys, "evaluate", f"--workdir={path}", *FEW)
    assert status == 0, err
    status, _, err = call(capsys, "report", f"--workdir={path}")
    assert status == 0, err
    assert (path / "report.html").exists()


@pytest.mark.parametrize("name", ["run[1]", "back\\slash"])
def test_a_path_below_which_checkpoints_are_lost_is_refused_before_training(name, tmp_path, capsys):
    for words in (TRAIN, [*TRAIN, "--config.num_seeds=2"], ["sweep", *TRAIN[1:]]):
        status, _, err = call(capsys, *words, f"--workdir={tmp_path / name}")
        assert status == 2
        assert "checkpoints cannot be kept below a path with" in err
        assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
