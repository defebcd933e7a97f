"""A run that goes on with another config is the run that it would have been, or is refused."""

import json

import pytest

from tests.cli.test_cli import call
from tests.quick_runs import quick_config, same
from vae_jax import UserError, config, fit, load
from vae_jax.runs import claims
from vae_jax.runs.directory import read_metrics

COSINE = "adam(learning_rate=cosine_decay_schedule(init_value=1e-3, decay_steps={}))"


def resolved(**changes):
    return config.resolve(quick_config(**changes))


def bounds(workdir):
    names = ("step", "bound", "validation_bound")
    return [[record.get(name) for name in names] for record in read_metrics(workdir)]


def stored(workdir):
    return json.loads((workdir / "config.json").read_text())


def content(folder):
    """The files of a directory, but for the lock that whoever looks in makes."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {p: p.read_bytes() for p in files}


def steps_made(workdir, step, per_epoch=12, **changes):
    """A run directory without parameters that has made so many updates."""
    with claims.claimed(workdir, resolved(**changes)):
        pass
    (workdir / "checkpoints" / str(step)).mkdir(parents=True)
    return write_bounds(workdir, [0.0] * (step // per_epoch), per_epoch)


def write_bounds(workdir, bounds, per_epoch=12):
    lines = []
    for epoch, bound in enumerate(bounds, 1):
        lines.append({"step": epoch * per_epoch, "epoch": float(epoch), "bound": bound})
        lines.append({**lines[-1], "validation_bound": bound})
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (workdir / "metrics.jsonl").write_text(text)
    return workdir


@pytest.mark.slow
def test_more_epochs_end_where_a_run_of_so_many_ends(tmp_path, trained, caplog, capsys):
    """And the command needs no --config for it."""
    assert fit(quick_config(num_epochs=2), tmp_path, which="last", quiet=True).is_finished
    before = content(tmp_path / "checkpoints" / "24")
    caplog.set_level("INFO", "vae_jax")
    flags = [f"--workdir={tmp_path}", "--config.num_epochs=4", "--config.log_every_steps=999"]
    status, out, _ = call(capsys, "train", *flags)
    assert status == 0
    assert "48 steps are done; next: " in out
    assert "goes on with num_epochs: 2 -> 4" in caplog.text
    longer = load(tmp_path, "last")
    assert (longer.step, longer.is_finished, stored(tmp_path)["num_epochs"]) == (48, True, 4)
    assert same(longer.params, load(trained.workdir, "last").params)
    assert bounds(tmp_path) == bounds(trained.workdir)
    assert before.items() >= content(tmp_path / "checkpoints" / "24").items()  # kept, or gone


def test_a_schedule_of_the_runs_length_does_not_go_on(tmp_path, capsys):
    workdir = steps_made(tmp_path, 24, num_epochs=2, optimizer=COSINE.format("num_steps"))
    before = content(workdir)
    status, _, err = call(capsys, "train", f"--workdir={workdir}", "--config.num_epochs=4")
    assert status == 2
    [line] = err.strip().splitlines()[-1:]
    assert "holds a run that cannot go on with num_epochs: 2 -> 4: num_steps, the run's" in line
    assert f"another --workdir with --init_from={workdir} starts from its parameters" in line
    assert content(workdir) == before


@pytest.mark.parametrize("optimizer", [COSINE.format(100), "adam(learning_rate=1e-3)"])
def test_what_does_not_know_the_length_goes_on(tmp_path, optimizer):
    workdir = steps_made(tmp_path, 24, num_epochs=2, optimizer=optimizer)
    now = resolved(num_epochs=4, optimizer=optimizer)
    assert claims.require_same(workdir, now) == ["num_epochs: 2 -> 4"]


def test_nothing_was_made_yet_so_nothing_is_changed(tmp_path):
    optimizer = COSINE.format("num_steps")
    with claims.claimed(tmp_path, resolved(optimizer=optimizer)):
        pass
    claims.require_same(tmp_path, resolved(num_epochs=9, optimizer=optimizer))


def test_fewer_epochs_than_were_made_are_refused_and_as_many_end_the_run(tmp_path):
    workdir = steps_made(tmp_path, 36)
    with pytest.raises(UserError, match=r"num_epochs: 4 -> 2: it has made 3 epochs; --checkpoint"):
        fit(quick_config(num_epochs=2), workdir, quiet=True)
    assert stored(workdir)["num_epochs"] == 4
    claims.keep_config(workdir, resolved(num_epochs=3))
    assert stored(workdir)["num_epochs"] == 3


@pytest.mark.slow
def test_a_finished_run_that_nothing_is_left_of_keeps_its_new_config(tmp_path):
    fit(quick_config(num_epochs=1), tmp_path, quiet=True)
    again = quick_config(num_epochs=1, eval_every_epochs=2.0)
    assert fit(again, tmp_path, quiet=True).is_finished
    assert stored(tmp_path)["eval_every_epochs"] == 2.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"eval_every_epochs": 0.5}, "eval_every_epochs: 1.0 -> 0.5: it may validate less often"),
        ({"latent_dim": 3, "num_epochs": 9}, "of another config .latent_dim: 2 -> 3; num_epochs"),
        ({"patience": 1}, "patience: 0 -> 1: it would have ended at epoch 2 and has made 3"),
    ],
)
def test_what_makes_another_run_is_refused(tmp_path, changes, reason):
    write_bounds(steps_made(tmp_path, 36), [-5.0, -6.0, -4.0])
    with pytest.raises(UserError, match=reason):
        claims.require_same(tmp_path, resolved(**changes))


@pytest.mark.parametrize(
    "changes", [{"eval_every_epochs": 3.0}, {"patience": 2}, {"device": "cpu", "trackers": ""}]
)
def test_what_does_not_is_not(tmp_path, changes):
    write_bounds(steps_made(tmp_path, 36), [-5.0, -6.0, -4.0])
    claims.require_same(tmp_path, resolved(**changes))
