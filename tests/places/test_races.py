"""A run is read while it trains: what is deleted or written meanwhile is neither damage nor absence."""

import shutil
import threading

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from vae_jax import UserError
from vae_jax.runs import checkpoints, directory
from vae_jax.runs.results import read_results

BOUNDS = {10: -5.0, 20: -3.0, 30: -4.0}


def state(step):
    return {"w": jnp.full(3, step, jnp.float32)}


def write(workdir, bounds):
    with checkpoints.opened(workdir, write=True) as manager:
        for step, bound in bounds.items():
            checkpoints.save(manager, step, state(step), bound)


def read(workdir, which):
    with checkpoints.opened(workdir) as manager:
        step, restored = checkpoints.restore(manager, state(0), which)
    assert np.array_equal(restored["w"], state(step)["w"])
    return step


def said(caplog):
    """Our warnings; Orbax has its own, which the command line leaves out."""
    return [record for record in caplog.records if record.name.startswith("vae_jax")]


@pytest.fixture
def workdir(tmp_path):
    write(tmp_path, BOUNDS)
    return tmp_path


def rotate(workdir, old, new, bound):
    """A training saves a checkpoint, and deletes another."""
    write(workdir, {new: bound})
    shutil.rmtree(workdir / "checkpoints" / str(old), ignore_errors=True)


def once(monkeypatch, name, before=None, after=None):
    """Does something before, or after, the first call of a method of Orbax's manager."""
    method, left = getattr(ocp.CheckpointManager, name), [True]

    def patched(*args, **kwargs):
        first = bool(left and left.pop())
        if first and before:
            before()
        result = method(*args, **kwargs)
        if first and after:
            after()
        return result

    monkeypatch.setattr(ocp.CheckpointManager, name, patched)


@pytest.mark.parametrize("method", ["item_metadata", "restore"])
@pytest.mark.parametrize(("which", "old", "expected"), [("best", 20, 40), ("last", 30, 40)])
def test_a_checkpoint_deleted_before_it_is_read(
    workdir, monkeypatch, caplog, method, which, old, expected
):
    """The next in rank of the old list would be 30 or 20; the new best and last is 40."""
    once(monkeypatch, method, before=lambda: rotate(workdir, old, 40, -1.0))
    assert read(workdir, which) == expected
    assert not said(caplog)


def test_a_checkpoint_deleted_while_it_is_read(workdir, monkeypatch, caplog):
    """Half of it may have been read: it does not count."""
    once(monkeypatch, "restore", after=lambda: rotate(workdir, 20, 40, -1.0))
    assert read(workdir, "best") == 40
    assert not said(caplog)


def test_a_checkpoint_that_is_deleted_file_by_file(workdir, monkeypatch, caplog):
    doomed = workdir / "checkpoints" / "30"
    files = sorted(path for path in doomed.rglob("*") if path.is_file())

    def begin():
        for path in files[::2]:
            path.unlink()
        threading.Timer(0.1, shutil.rmtree, [doomed]).start()

    once(monkeypatch, "item_metadata", before=begin)
    assert read(workdir, "last") == 20
    assert not said(caplog)


def test_a_step_that_is_not_there_any_more_is_called_so(workdir):
    shutil.rmtree(workdir / "checkpoints" / "20")
    with pytest.raises(UserError, match="no checkpoint 20: there is"):
        read(workdir, 20)


def test_readers_rename_nothing_and_the_best_is_not_guessed(workdir, caplog):
    """The process that trains may do so, as it holds the lock."""
    metrics = workdir / "checkpoints" / "20" / "metrics" / "metrics"
    metrics.write_text('{"bound": -')
    assert read(workdir, "best") == 30
    assert "the bound of checkpoint 20 is damaged" in caplog.text
    assert (workdir / "checkpoints" / "20").exists()


def test_a_reader_writes_nothing(workdir):
    def content():
        paths = sorted(workdir.rglob("*"))
        return [(path, path.stat().st_mtime_ns) for path in paths]

    before = content()
    read(workdir, "best")
    assert content() == before


def test_metrics_are_read_while_a_line_is_written(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "terms": {"kl": 1.0}}\n{"step": 2, "a": {"b": 1}'
    )
    assert [record["step"] for record in directory.read_metrics(tmp_path)] == [1]


def test_writers_leave_a_file_whole_at_every_moment(tmp_path):
    """A reader beside a writer sees the old content or the new one."""
    path, going = tmp_path / "results.json", threading.Event()
    directory.write_json(path, {"n": 0})

    def write_on():
        n = 0
        while not going.is_set():
            directory.write_json(path, {"n": (n := n + 1), "more": "x" * 10_000})

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(300):
            assert "n" in read_results(tmp_path)
    finally:
        going.set()
        writer.join()
