"""Runs, models, data and results show themselves in a line or a table, without their arrays."""

import json

import pytest

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.evaluation.numbers import table
from vae_jax.runs.results import save_results
from vae_jax.training.job import make_job


@pytest.fixture(scope="module")
def run():
    return fit(quick_config(num_epochs=1, prior="mixture(components=3)"), quiet=True)


def test_a_run_is_a_line_that_says_what_it_is(run):
    text = repr(run)
    assert text.count("\n") == 0
    assert len(text) < 300
    for part in ("data=digits", "prior=mixture", "latent_dim=2", "best at step 12 of 12", "seed=0"):
        assert part in text
    assert text == str(run) == f"{run}"
    assert repr([run]) == f"[{text}]"
    assert "runs/one" in repr(run._replace(workdir="runs/one"))
    assert repr(run._replace(which="last")) != text


def test_what_it_is_made_of_is_a_line_too(run):
    for one in (run.parts, run.model, run.dataset, make_job(run.config)):
        assert repr(one).count("\n") == 0
        assert len(repr(one)) < 300
    assert "(8, 8, 1)" in repr(run.model)
    assert f"train={len(run.dataset.splits['train'])} x [8, 8, 1]" in repr(run.dataset)


def test_results_are_a_table_and_a_dict(run, tmp_path):
    results = evaluate(run, num_importance_samples=5, quiet=True)
    assert repr(results) == str(results) == table(results)
    assert f"{results['numbers']['elbo']['mean']:.4f}" in repr(results)
    assert isinstance(results, dict)
    assert json.loads(json.dumps({k: v for k, v in results.items() if k != "per_example"}))
    save_results(tmp_path, "test", results)
    stored = json.loads((tmp_path / "results.json").read_text())["test"]
    assert stored["numbers"] == results["numbers"]
    results.clear()
    assert repr(results) == "{}"


def test_a_notebook_shows_the_same(run):
    pretty = pytest.importorskip("IPython.lib.pretty").pretty
    assert pretty(run) == repr(run)
    assert pretty({"run": run}) == f"{{'run': {run!r}}}"
    results = evaluate(run, num_importance_samples=5, quiet=True)
    assert pretty(results) == table(results)
