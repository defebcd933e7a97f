"""Where a sweep's runs are trained: here, in processes that may die, and in a file of one's own."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.test_cli import call
from tests.sweeps import works
from tests.sweeps.commands import (
    LONGER,
    ONE,
    arguments,
    children,
    start,
    table,
    wait_for,
)
from vae_jax.config import components
from vae_jax.sweeps.backends.here import here
from vae_jax.sweeps.backends.processes import processes
from vae_jax.sweeps.units import Death, Unit, split

BACKWARDS = '''
from functools import partial


def backwards(units, work, on_message, stopped, *, diary: str = "diary.txt"):
    """The last setting first, all in this process."""
    for unit in reversed(units):
        if not stopped():
            work(unit, partial(on_message, unit))
            with open(diary, "a") as lines:
                print(unit.name, *unit.folders, file=lines)
'''


@pytest.mark.slow  # the sweep before it
def test_a_backend_is_one_file_wherever_it_is(capsys, tmp_path, monkeypatch, swept):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "backwards.py").write_text(BACKWARDS)
    monkeypatch.syspath_prepend(tmp_path)
    diary, workdir = tmp_path / "lab.txt", tmp_path / "sweep"
    grid = ["--grid=prior=standard_normal", "--grid=latent_dim=2|3"]
    backend = f"--backend=lab.backwards(diary={str(diary)!r})"
    status, _, err = call(capsys, *arguments(workdir, backend, grid=grid, seeds=2))
    assert status == 0, err
    assert "[4/4]" in err
    names = ["prior=standard_normal,latent_dim=3", "prior=standard_normal,latent_dim=2"]
    assert diary.read_text().splitlines() == [f"{name} 0 1" for name in names]
    for run in (f"{name}/seed_{seed}" for name in names for seed in (0, 1)):
        mine, theirs = (
            json.loads((path / run / "results.json").read_text())["test"]["numbers"]
            for path in (workdir, swept[0])
        )
        for name, number in mine.items():
            assert number["mean"] == pytest.approx(theirs[name]["mean"], rel=1e-4)


def test_the_family_is_its_folder():
    assert components.names("sweeps.backends") == ["here", "processes", "ray", "slurm"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--backend=procesess"], "unknown backend 'procesess': did you mean 'processes'"),
        (["--backend=processes(workers=2)"], "did you mean 'num_workers'"),
        (["--backend=processes(num_workers='two')"], "num_workers"),
        (["--backend=processes(num_workers=0)"], "a positive integer"),
        (["--backend=no_lab.cluster"], "no module 'no_lab.cluster'"),
        (["--backend=here", "--num_workers=2"], "give one of them"),
        (["--num_workers=0"], "num_workers"),
    ],
)
def test_a_wrong_backend_is_said_before_anything_runs(capsys, tmp_path, flags, expected):
    status, _, err = call(capsys, *arguments(tmp_path, *flags, grid=[]))
    assert status == 2
    assert expected in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def unit(name, seeds=1, steps=10):
    return Unit(name, {}, {seed: Path(name) / str(seed) for seed in range(seeds)}, {}, steps)


def test_seeds_are_shared_out_where_settings_are_too_few():
    units = [unit("a", seeds=3, steps=30), unit("b", seeds=1)]
    shared = split(units, 4)
    assert [(u.name, list(u.folders), u.steps) for u in shared] == [
        ("a", [0, 2], 20), ("a", [1], 10), ("b", [0], 10),
    ]  # fmt: skip
    assert split(units, 2) == units
    assert split(units, 1) == units


class Recorder:
    """The messages that a backend passes on."""

    def __init__(self):
        self.messages = []

    def __call__(self, unit, message):
        self.messages.append((unit.name, message))

    def of(self, name):
        return [message for of, message in self.messages if of == name]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [here, processes])
def test_what_works_tell_is_passed_on(backend):
    recorder = Recorder()
    backend([unit("a"), unit("b"), unit("c")], works.tells_twice, recorder, lambda: False)
    for name in "abc":
        assert recorder.of(name) == [(name, 1), (name, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [here, processes])
def test_nothing_is_begun_once_it_is_stopped(backend):
    recorder = Recorder()
    units = [unit(name) for name in "abcdef"]
    backend(units, works.tells_twice, recorder, lambda: len(recorder.messages) >= 2)
    assert recorder.messages
    assert len({name for name, _ in recorder.messages}) < len(units)


@pytest.mark.slow
def test_a_unit_whose_process_dies_is_tried_once_more_and_the_others_are_done():
    recorder = Recorder()
    units = [unit("mortal"), unit("a"), unit("b")]
    processes(units, works.dies_of_mortals, recorder, lambda: False, num_workers=1)
    reason = "its process ended with status 3"
    assert recorder.of("mortal") == [Death(reason, False), Death(reason, True)]
    assert recorder.of("a") == recorder.of("b") == ["alive"]


def reported(capsys, workdir):
    assert call(capsys, "report", f"--workdir={workdir}")[0] == 0
    return table(workdir)


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_is_replaced_and_its_runs_go_on(capsys, tmp_path, longer):
    process = start(tmp_path, "--num_workers=2", *LONGER, grid=ONE, seeds=2)
    wait_for(lambda: any(tmp_path.glob("*/seed_0/checkpoints/[1-9]*")), process)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    assert process.wait(200) == 0
    assert "was ended by SIGKILL, as when memory runs out; tried once more" in process.stderr.read()
    assert reported(capsys, tmp_path) == reported(capsys, longer)


@needs_proc
@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_table(capsys, tmp_path, longer):
    process = start(tmp_path, "--num_workers=2", *LONGER, grid=ONE, seeds=2)
    wait_for(lambda: any(tmp_path.glob("*/seed_0/checkpoints/[1-9]*")), process)
    orphans = children(process.pid)
    process.kill()
    process.wait()
    again = start(tmp_path, "--num_workers=2", *LONGER, grid=ONE, seeds=2)
    assert again.wait(200) == 0, again.stderr.read()
    assert not any(Path(f"/proc/{orphan}").exists() for orphan in orphans)
    assert reported(capsys, tmp_path) == reported(capsys, longer)


@pytest.mark.slow
@needs_proc
def test_a_signal_stops_all_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path, "--num_workers=2", *LONGER, grid=ONE, seeds=2)
    wait_for(lambda: any(tmp_path.glob("*/seed_0/checkpoints/[1-9]*")), process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    err = process.stderr.read()
    assert err.strip().endswith("vae-jax: stopped; the same command goes on from here")
    assert "Traceback" not in err
    assert "ended" not in err
