"""Sweeps on several machines: a Ray cluster of several nodes, jobs of submitit, all on this one."""

import importlib.util
import os
import signal

import pytest

from tests.cli.test_cli import ROOT, call
from tests.sweeps import works
from tests.sweeps.commands import LONGER, ONE, arguments, start, table, wait_for
from tests.sweeps.test_backends import Recorder
from vae_jax import UserError
from vae_jax.config import components
from vae_jax.sweeps import execute, plan, shared_disk
from vae_jax.sweeps.units import Death, Unit


def needs(module):
    there = importlib.util.find_spec(module)
    return pytest.mark.skipif(there is None, reason=f"{module} is not installed (extra)")


def unit(tmp_path, name):
    return Unit(name, {}, {0: tmp_path / name / "seed_0"}, {}, 10)


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_backend_whose_module_is_missing_is_one_line(capsys, tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    status, _, err = call(capsys, *arguments(tmp_path, f"--backend={name}", grid=[]))
    assert status == 2
    assert f"pip install 'vae-jax[{name}]'" in err
    assert err.count("\n") == 1


def test_a_machine_that_does_not_see_the_paths_says_which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with shared_disk.token_in([unit(tmp_path, "a")]) as token:
        around = shared_disk.surroundings(token)
        assert around.entered() == ""
        assert around._replace(current="/not/here").entered() == "/not/here"
    assert around.entered() == token.name  # closed, and so deleted
    assert not list(tmp_path.iterdir())


NOT_THERE = [
    ("rey", "did you mean 'ray'?"),
    ("processes(num_worker=2)", "did you mean 'num_workers'?"),
    pytest.param("slurm", "cluster='slurm': sbatch is not here", marks=needs("submitit")),
    pytest.param(
        "slurm(cluster='no')", "doesn't know any executor named no", marks=needs("submitit")
    ),
    pytest.param("ray(address='localhost:1')", "no Ray cluster is there", marks=needs("ray")),
    pytest.param("ray(address='here')", "Invalid address format: here", marks=needs("ray")),
]


def planned(*args):
    raise UserError("settings are checked")


@pytest.mark.parametrize(("backend", "expected"), NOT_THERE)
def test_a_backend_that_cannot_work_is_refused_before_settings_are_checked(
    capsys, tmp_path, monkeypatch, backend, expected
):
    (tmp_path / "srun").touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(plan, "plan", planned)
    status, _, err = call(capsys, *arguments(tmp_path / "sweep", f"--backend={backend}"))
    assert (status, err.count("\n")) == (2, 1), err
    assert expected in err
    assert not (tmp_path / "sweep").exists()


@needs("submitit")
@pytest.mark.parametrize("shown", ["--dry_run", "--print_commands"])
def test_a_sweep_that_is_only_shown_needs_no_cluster(capsys, tmp_path, monkeypatch, shown):
    monkeypatch.setattr(plan, "plan", planned)
    assert "settings are checked" in call(capsys, *arguments(tmp_path, "--backend=slurm", shown))[2]


@pytest.mark.parametrize("backend", ["here", "processes"])
def test_without_units_nothing_is_done_or_said(caplog, backend):
    caplog.set_level("INFO", "vae_jax")
    execute.require_there(components.build("sweeps.backends", backend))
    assert not caplog.messages


@pytest.fixture
def cluster(monkeypatch):
    """A head that takes no work and two nodes, each with a place for one actor."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=1)
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


BACKENDS = [
    pytest.param("ray(address='local')", marks=needs("ray")),
    pytest.param("slurm(cluster='local')", marks=needs("submitit")),
]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_works_tell_is_passed_on(backend, tmp_path):
    recorder, units = Recorder(), [unit(tmp_path, name) for name in "abc"]
    components.build("sweeps.backends", backend)(units, works.tells_twice, recorder, lambda: False)
    for name in "abc":
        assert recorder.of(name) == [(name, 1), (name, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_unit_whose_process_dies_is_tried_once_more(backend, tmp_path):
    recorder, units = Recorder(), [unit(tmp_path, name) for name in ("mortal", "a")]
    components.build("sweeps.backends", backend)(
        units, works.dies_of_mortals, recorder, lambda: False
    )
    assert [death.final for death in recorder.of("mortal")] == [False, True]
    assert all(isinstance(death, Death) for death in recorder.of("mortal"))
    assert recorder.of("a") == ["alive"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_paths_that_no_disk_shares_are_refused_in_one_line(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(
        shared_disk, "surroundings",
        lambda token: shared_disk.Surroundings("/not/here", [], token.name),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"^/not/here is not there on .*: (ray|slurm) needs"):
        components.build("sweeps.backends", backend)(
            [unit(tmp_path, "a")], works.tells_twice, Recorder(), lambda: False
        )


def reported(capsys, workdir):
    assert call(capsys, "report", f"--workdir={workdir}")[0] == 0
    return table(workdir)


def has_begun(workdir):
    return len({path.parts[-4] for path in workdir.glob("*/seed_0/checkpoints/[1-9]*")}) == 2


@pytest.mark.slow
@needs("ray")
def test_a_killed_node_costs_a_checkpoint_interval_and_the_table_is_the_same(
    capsys, tmp_path, longer, cluster
):
    backend = f"--backend=ray(address='{cluster.address}')"
    process = start(tmp_path, backend, *LONGER, grid=ONE, seeds=2)
    wait_for(lambda: has_begun(tmp_path), process, seconds=300)
    cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)
    assert process.wait(600) == 0, process.stderr.read()
    assert "its actor or its machine is gone" in process.stderr.read()
    assert reported(capsys, tmp_path) == reported(capsys, longer)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_stops_all_and_the_same_command_goes_on(capsys, tmp_path, longer, backend):
    flags = (f"--backend={backend}", *LONGER)
    process = start(tmp_path, *flags, grid=ONE, seeds=2)
    wait_for(lambda: has_begun(tmp_path), process, seconds=300)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(90) == 130
    err = process.stderr.read()
    assert err.strip().endswith("vae-jax: stopped; the same command goes on from here")
    assert "docs.ray.io" not in err  # what the library recommends, and is no error
    again = start(tmp_path, *flags, grid=ONE, seeds=2)
    assert again.wait(600) == 0, again.stderr.read()
    assert reported(capsys, tmp_path) == reported(capsys, longer)
