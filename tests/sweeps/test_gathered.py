"""Runs that were trained one by one are compared as a sweep's settings are, by examples alone."""

import re

import numpy as np
import pytest
from scipy import stats

from tests.cli.test_cli import call
from tests.sweeps.test_comparisons import make_run
from vae_jax import UserError
from vae_jax.reporting import tables
from vae_jax.sweeps.compare import compare_runs
from vae_jax.sweeps.gathered import gathered, is_sweep

RNG = np.random.default_rng(0)
PLAIN = RNG.normal(-90, 20, 60)
RICHER = PLAIN + RNG.normal(1, 0.5, 60)


@pytest.fixture
def folder(tmp_path):
    """Two runs, and below another folder the two seeds of a third."""
    make_run(tmp_path / "b_plain", PLAIN, seed=0)
    make_run(tmp_path / "a_richer", RICHER, seed=7, prior="mixture(components=5)")
    for seed in (0, 7):
        make_run(
            tmp_path / "more" / "wide" / f"seed_{seed}", RICHER + seed, seed=seed, latent_dim=3
        )
    (tmp_path / "b_plain" / "checkpoints").mkdir()
    return tmp_path


def test_a_folder_holds_runs_and_seeds_of_runs(folder):
    found = {s.name: (dict(s.paths), s.is_single) for s in gathered([folder])}
    assert found == {
        "a_richer": ({7: folder / "a_richer"}, True),
        "b_plain": ({0: folder / "b_plain"}, True),
        "more/wide": ({s: folder / "more" / "wide" / f"seed_{s}" for s in (0, 7)}, False),
    }
    assert not is_sweep(folder)
    assert is_sweep(folder / "more")
    assert is_sweep(folder / "more" / "wide")
    pair = gathered([folder / "b_plain", folder / "more" / "wide"])
    assert [s.name for s in pair] == ["b_plain", "wide"]


def test_single_runs_are_paired_by_example_whatever_their_seeds(folder):
    comparison = compare_runs([folder], baseline="b_plain")
    richer, plain, wide = comparison.rows
    difference = richer.difference
    test = stats.ttest_rel(RICHER, PLAIN)  # SciPy's paired t test
    interval = test.confidence_interval(1 - 0.05 / 2)  # two differences: Bonferroni
    np.testing.assert_allclose(difference.examples_interval, interval)
    assert difference.estimate.mean == pytest.approx((RICHER - PLAIN).mean())
    assert difference.seeds_interval is None
    assert difference.p_value is None
    assert richer.remark == "seed 7, baseline seed 0"
    assert plain.remark == "baseline"
    assert wide.difference.estimate.num_seeds == 1  # seeds in common with the baseline: 0
    np.testing.assert_allclose(wide.difference.estimate.mean, (RICHER - PLAIN).mean())


def test_the_table_of_single_runs_has_no_columns_of_seeds(folder):
    comparison = compare_runs([folder / "b_plain", folder / "a_richer"])
    header = tables.header(comparison)
    assert header[:5] == ["run", "log_p", "± examples", "difference", "[95%, examples]"]
    assert not any("seeds" in name for name in header)
    assert [len(row) for row in tables.cells(comparison)] == [len(header)] * 2
    assert "its difference says nothing of other seeds" in tables.legend(comparison)
    assert tables.csv_rows(comparison).count("\n") == 3
    assert tables.latex(comparison).count(r"\\") == 3


def test_a_folder_makes_the_page_side_by_side_with_all_its_statistics(folder, capsys):
    status, out, err = call(capsys, "report", f"--workdir={folder}", "--baseline=b_plain")
    assert status == 0, err
    path = folder / "side_by_side.html"
    assert out.splitlines()[-1] == str(path)
    comparison = compare_runs([folder], baseline="b_plain")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>|base64,[^\"]*", " ", path.read_text()))
    for row in tables.cells(comparison):
        for cell in row:
            assert cell.strip() in text or cell in ("", "–")
    assert "Their configs differ" in text or comparison.fields
    status, out, err = call(capsys, "report", f"--workdir={folder}", "--baseline=nothing")
    assert (status, err.count("\n")) == (2, 1)
    assert "unknown setting 'nothing'" in err


def test_the_split_that_was_evaluated_is_compared(tmp_path):
    for name in "ab":
        make_run(tmp_path / name, PLAIN)
        path = tmp_path / name / "results.json"
        path.write_text(path.read_text().replace('"test"', '"other"'))
    assert compare_runs([tmp_path]).split == "other"


def test_a_run_that_was_not_evaluated_says_so(tmp_path):
    make_run(tmp_path / "a", PLAIN)
    make_run(tmp_path / "b", None)
    (tmp_path / "b" / "checkpoints" / "100").mkdir(parents=True)
    rows = compare_runs([tmp_path]).rows
    assert rows[1].remark.startswith("1 not evaluated")
    (tmp_path / "b" / "checkpoints" / "100").rmdir()
    assert compare_runs([tmp_path]).rows[1].remark.startswith("1 unfinished")


def test_runs_that_are_none_or_damaged_end_with_a_line(folder):
    with pytest.raises(UserError, match=r"holds no run: there is no config\.json"):
        gathered([folder / "b_plain" / "checkpoints"])
    (folder / "b_plain" / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        gathered([folder])
