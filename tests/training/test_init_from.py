"""A run that starts from another one's parameters takes the parts that fit, and says which."""

import json
import shutil

import jax
import numpy as np
import pytest

from tests.cli.test_cli import call
from tests.quick_runs import quick_config
from vae_jax import UserError, fit, fit_seeds, load
from vae_jax.batches.keys import keys_of
from vae_jax.kl_comparison.models.stages import stages
from vae_jax.runs import checkpoints

STILL = "sgd(learning_rate=1e-30)"  # moves nothing: the parameters stay those of the start
TAKEN = ("encoder", "decoder")


def like(one, other):
    """The same, but for updates by 1e-30."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in pairs)


def still(**changes):
    return quick_config(num_epochs=1, optimizer=STILL, **changes)


@pytest.fixture(scope="module")
def started(trained, tmp_path_factory):
    """A run of another prior that starts from a copy of `trained`, which is gone afterwards."""
    source = tmp_path_factory.mktemp("source") / "run"
    shutil.copytree(trained.workdir, source)
    config = still(prior="mixture(components=3)")
    run = fit(config, source.parent / "started", init_from=f"{source}:36", quiet=True)
    source.rename(source.parent / "moved")
    return run


def test_what_fits_is_taken_and_the_rest_starts_anew(started, trained):
    theirs = load(trained.workdir, 36).params
    mine = started.parts.start(keys_of(0)).params
    for name in TAKEN:
        assert like(started.params[name], theirs[name])
        assert not like(started.params[name], mine[name])
    assert like(started.params["prior"], mine["prior"])


def test_it_is_noted_and_is_another_run(started, trained):
    record = json.loads((started.workdir / "init.json").read_text())
    assert (record["step"], record["taken"]) == (36, list(TAKEN))
    assert record["anew"] == {"prior": "is not there"}
    assert len(record["sha256"]) == 64
    config = still(prior="mixture(components=3)")
    with pytest.raises(UserError, match=r"of another config .init_from: '.*:36' -> ''"):
        fit(config, started.workdir, quiet=True)


@pytest.mark.slow
def test_the_other_run_is_not_needed_any_more(started, capsys):
    """Not to go on, whether or not the command names it, and not for the stage of the start."""
    flags = [f"--workdir={started.workdir}", "--config.num_epochs=2"]
    assert call(capsys, "train", *flags)[0] == 0
    config = load(started.workdir).config
    again = fit(config, started.workdir, which="last", quiet=True)
    assert like(again.params, started.params)
    first = stages(again)[0]
    assert (first.name, first.step) == ("initialization", 0)
    assert like(first.params, started.params)


def test_before_its_first_validation_a_killed_run_has_its_start(trained, tmp_path):
    def kill(run):
        raise KeyboardInterrupt

    config = still(init_from=str(trained.workdir))
    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path, quiet=True, observe=kill)
    assert checkpoints.taken(tmp_path, "last") == 0
    assert like(load(tmp_path).params, load(trained.workdir).params)


@pytest.mark.slow
def test_averages_are_taken_where_they_are_evaluated_and_begin_there(tmp_path, caplog):
    caplog.set_level("INFO", "vae_jax")
    other = fit(quick_config(num_epochs=1, ema_decay=0.9), tmp_path / "other", quiet=True)
    seen = []
    config = still(ema_decay=0.5)
    fit(config, init_from=other.workdir, observe=seen.append, quiet=True)
    for run in seen:
        assert like(run.params, other.params)
    assert f"init_from {other.workdir} step 12: encoder, decoder taken" in caplog.text


@pytest.mark.slow
def test_each_seed_starts_from_its_own_where_there_are_seeds(tmp_path):
    others = fit_seeds(still(num_seeds=2), tmp_path / "others", quiet=True)
    runs = fit_seeds(still(num_seeds=2), init_from=tmp_path / "others", quiet=True)
    assert like([run.params for run in runs], [run.params for run in others])
    assert not like(runs[0].params, runs[1].params)
    with pytest.raises(UserError, match="it holds seeds 0, 1, and not 2"):
        fit_seeds(still(seed=1, num_seeds=2), init_from=tmp_path / "others", quiet=True)
    both = fit_seeds(still(num_seeds=2), init_from=tmp_path / "others" / "seed_1", quiet=True)
    assert like(both[0].params, both[1].params)


@pytest.mark.slow
def test_what_cannot_be_a_start_is_refused_in_one_line(trained, tmp_path, capsys):
    for text, reason in {
        tmp_path: "holds no run: RUN or RUN:STEP is needed",
        f"{trained.workdir}:5": "holds no checkpoint 5: there is 24, 36, 48",
        f"{trained.workdir}:late": "'late' is no step",
    }.items():
        with pytest.raises(UserError, match=reason):
            fit(still(), tmp_path / "new", init_from=text, quiet=True)
    config = still(encoder="mlp(hidden=(3,))", decoder="mlp(hidden=(3,))")
    with pytest.raises(UserError, match=r"no part fits; init_from .* encoder differs in shape"):
        fit(config, tmp_path / "new", init_from=trained.workdir, quiet=True)
    assert not (tmp_path / "new").exists()
    flags = ["--config=experiments/digits.py", f"--workdir={tmp_path / 'new'}"]
    both = ["--init_from=a", "--config.init_from=b"]
    status, _, err = call(capsys, "train", *flags, *both)
    assert status == 2
    assert "--init_from is short for --config.init_from" in err
