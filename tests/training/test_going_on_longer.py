"""A run with more epochs, another patience or other free fields is the run that it would have been."""

import json

import pytest

from tests.quick_runs import quick_config, same
from vae_jax import UserError, fit, load
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.results import read_results


def test_more_epochs_end_where_a_run_of_so_many_ends(tmp_path, trained):
    short = fit(quick_config(num_epochs=2), tmp_path, which="last", quiet=True)
    assert (short.step, short.is_finished) == (24, True)
    longer = fit(quick_config(), tmp_path, which="last", quiet=True)
    assert (longer.step, longer.is_finished) == (48, True)
    assert same(longer.params, load(trained.workdir, "last").params)
    mine, theirs = read_metrics(tmp_path), read_metrics(trained.workdir)
    assert [(r["step"], r.get("bound"), r.get("validation_bound")) for r in mine] == [
        (r["step"], r.get("bound"), r.get("validation_bound")) for r in theirs
    ]
