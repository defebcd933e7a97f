"""A killed evaluation goes on after the last batch that it finished."""

import importlib.metadata

import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.progress import Bar
from vae_jax.runs import chunks
from vae_jax.runs.chunks import Chunks

OPTIONS = {"num_importance_samples": 5, "batch_size": 50, "quiet": True}


class Killed(BaseException):
    """Nothing catches it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(quick_config(num_epochs=1), tmp_path_factory.mktemp("run"), quiet=True)


@pytest.fixture
def killed(run, monkeypatch):
    """The run, whose evaluation has been killed in its third batch of 50, none being too short."""
    monkeypatch.setattr(chunks, "LEAST_SECONDS", 0.0)
    batches = iter(range(2))

    def advance(bar, *counts):
        if next(batches, None) is None:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "advance", advance)
        with pytest.raises(Killed):
            evaluate(run, **OPTIONS)
    return run


def counted(run, monkeypatch, **options):
    """The results, and how many examples were kept already in their making."""
    kept = []
    monkeypatch.setattr(Bar, "advance", lambda bar, count, was_kept: kept.append(count * was_kept))
    return evaluate(run, **{**OPTIONS, **options}), sum(kept)


def unfinished(run):
    return list((run.workdir / "per_example").glob("unfinished-*"))


def test_it_goes_on_and_ends_the_same(killed, monkeypatch):
    whole = evaluate(killed._replace(workdir=None), **OPTIONS)["per_example"]
    assert unfinished(killed)
    results, kept = counted(killed, monkeypatch)
    assert kept == 150  # the third batch was written, not counted
    for name, array in results["per_example"].items():
        np.testing.assert_array_equal(array, whole[name])
    assert not unfinished(killed)


@pytest.mark.parametrize("change", [{"seed": 1}, {"num_importance_samples": 6}, {"split": "train"}])
def test_what_another_evaluation_left_is_not_taken(killed, monkeypatch, change):
    assert counted(killed, monkeypatch, **change)[1] == 0


def test_other_parameters_begin_again(killed, monkeypatch):
    moved = {**killed.params, "prior": {"moved": np.ones(1)}}
    assert counted(killed._replace(params=moved), monkeypatch)[1] == 0


def test_another_version_begins_again(killed, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "0.0.1")
    assert counted(killed, monkeypatch)[1] == 0


def test_a_damaged_batch_is_done_again(killed, monkeypatch):
    (folder,) = unfinished(killed)
    (folder / "50-50.npz").write_bytes(b"half")
    assert counted(killed, monkeypatch)[1] == 100


def test_a_full_disk_costs_a_warning(tmp_path, monkeypatch, caplog):
    place = Chunks(tmp_path, "what")
    (tmp_path / "per_example").write_text("no folder")
    place.write(0, 1, {"a": np.zeros(1)}, seconds=5.0)
    assert "will begin again" in caplog.text
    place.write(0, 1, {"a": np.zeros(1)}, seconds=5.0)
    assert place.read(0, 1) is None
    assert len(caplog.records) == 1


def test_short_work_leaves_nothing(tmp_path):
    Chunks(tmp_path, "what").write(0, 1, {"a": np.zeros(1)}, seconds=0.1)
    assert not list(tmp_path.iterdir())
