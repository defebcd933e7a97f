"""A run's page: one file that needs no other, whatever numbers there are, old or damaged."""

import json
import re

import numpy as np
import pytest

from tests.reporting.made import number, write
from vae_jax import evaluate
from vae_jax.errors import UserError
from vae_jax.reporting.pages import report
from vae_jax.runs.results import save_results

RNG = np.random.default_rng(0)
ELBO = RNG.normal(-90, 20, 100)
UNITS = {"kl_by_unit": RNG.exponential(size=(100, 5)), "variance_by_unit": RNG.random((100, 5))}


def words(page):
    text = re.sub(r"base64,[^\"]*", "", page.read_text())
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL))


@pytest.mark.slow
def test_a_page_needs_no_other_file_and_no_program(trained):
    results = evaluate(trained, num_importance_samples=30, iwae_samples=(1, 5), quiet=True)
    save_results(trained.workdir, "test", results)
    page = report(trained.workdir).read_text()
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,30})', page)
    assert len(sources) >= 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"<script|<link|@import|url\(|http", page)
    images = re.findall(r"<img [^>]{0,200}", page)
    assert len(images) >= 3
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    assert 'name="viewport"' in page
    assert "@media print" in page


def test_a_run_that_was_not_evaluated_says_what_would_do_it(tmp_path):
    path = write(tmp_path / "a b")
    (path / "results.json").unlink()
    text = words(report(path))
    assert "has not been evaluated yet" in text
    assert f"vae-jax evaluate --workdir=&#39;{path}&#39;" in text
    assert list((path / "figures").glob("*.png")) == []


@pytest.mark.slow
def test_numbers_of_estimators_that_come_later_have_their_places(tmp_path):
    coming = {
        name: number(0.5, 0.1, remark=f"finding of {name}" if name == "collapsed_units" else "")
        for name in ("amortization_gap", "approximation_gap", "elbo_flow", "mmd_prior_p",
                     "collapsed_units", "two_sample_p", "exact_copies")
    }  # fmt: skip
    path = write(tmp_path / "run", test={"elbo": ELBO, "log_p": ELBO + 1} | coming)
    arrays = {"elbo": ELBO, "log_p": ELBO + 1} | UNITS
    np.savez(path / "per_example" / "test.npz", **arrays)
    page = report(path)
    for name in coming:
        assert page.read_text().count(f"<code>{name}</code>") == 2  # in its section, and in all
    assert "finding of collapsed_units" in words(page)
    names = {p.stem for p in (path / "figures").iterdir()}
    assert names == {"decomposition", "units"}


def test_figures_whose_numbers_are_gone_go_too(tmp_path):
    path = write(tmp_path / "run", test={"elbo": ELBO, "log_p": ELBO + 1})
    report(path)
    assert (path / "figures" / "decomposition.png").exists()
    write(path, test={"elbo": ELBO})
    report(path)
    assert not (path / "figures" / "decomposition.png").exists()


def test_damaged_arrays_cost_the_errors_of_differences_alone(tmp_path):
    path = write(tmp_path / "run", test={"elbo": ELBO, "log_p": ELBO + 1})
    (path / "per_example" / "test.npz").write_text("junk")
    (path / "metrics.jsonl").write_text('{"epoch": 1, "bou')
    assert "1 nats above it" in words(report(path))


def test_damaged_results_end_with_a_line(tmp_path):
    path = write(tmp_path / "run", test={"elbo": ELBO})
    (path / "results.json").write_text('{"test": {')
    with pytest.raises(UserError, match=r"results\.json is damaged .*: move it away"):
        report(path)


def test_results_of_the_first_version_are_told(tmp_path):
    path = write(tmp_path / "run")
    old = {"num_examples": 359, "checkpoint": "last", "warning": "a doubt of then"}
    old["numbers"] = {"elbo": number(-44.0), "log_p": number(-43.4)}
    (path / "results.json").write_text(json.dumps({"test": old}))
    text = words(report(path))
    assert "is -44.0 ± 0.2 nats per example on test (359 examples)." in text
    assert "A doubt of then." in text
