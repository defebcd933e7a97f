"""Runs in columns: the differences are paired, and what does not compare says why in a line."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_cli import call
from tests.reporting.made import number, write
from vae_jax.errors import UserError
from vae_jax.reporting.columns import column
from vae_jax.reporting.side_by_side import differences, report

RNG = np.random.default_rng(0)
ELBO = RNG.normal(-90, 20, 100)
BETTER = ELBO + RNG.normal(1, 0.5, 100)


def between(tmp_path, first, other):
    paths = [write(tmp_path / "a", **first), write(tmp_path / "b", **other)]
    columns = [column(path, lambda story: {}) for path in paths]
    return differences(columns, paths)


def test_a_difference_is_that_of_the_pairs(tmp_path):
    [told] = between(
        tmp_path, {"test": {"elbo": ELBO, "kl": ELBO}}, {"test": {"elbo": BETTER, "log_p": ELBO}}
    )
    [line] = told.lines
    assert (told.first, told.other, told.why) == ("a", "b", "")
    assert line.name == "elbo"
    assert line.apart.mean == pytest.approx((BETTER - ELBO).mean())
    assert line.apart.error == pytest.approx((BETTER - ELBO).std(ddof=1) / 10)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sha256": "b"}, "other data than the first run's"),
        ({"size": 99}, "other data than the first run's"),
        ({"elbo": number(-80.0, method="otherwise")}, "evaluated otherwise than the first run"),
    ],
)
def test_what_does_not_compare_says_why(tmp_path, change, why):
    [told] = between(tmp_path, {"test": {"elbo": ELBO}}, {"test": {"elbo": BETTER} | change})
    assert told.why == why
    assert told.lines[0].apart is None


def test_examples_of_other_names_are_not_compared(tmp_path):
    assert between(tmp_path, {"test": {"elbo": ELBO}}, {"train": {"elbo": ELBO}}) == []


def test_the_page_has_both_runs_and_is_written_into_the_first(capsys, tmp_path):
    first = write(tmp_path / "a", test={"elbo": ELBO, "log_p": ELBO + 3})
    other = write(tmp_path / "b", test={"elbo": BETTER, "log_p": BETTER + 2})
    status, out, err = call(capsys, "report", f"--workdir={first}", f"--workdir={other}")
    assert status == 0, err
    assert out.splitlines()[-1] == str(first / "side_by_side.html")
    page = (first / "side_by_side.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "b minus a, test (100 examples)" in text
    assert page.count("<h3>a</h3>") == page.count("<h3>b</h3>") >= 4
    assert not list(other.glob("*.html"))
    assert not (first / "report.html").exists()
    assert not (other / "figures").exists()
    assert f"vae-jax sample --workdir={other}" in text


def test_the_page_goes_where_output_says_and_leaves_the_runs_alone(tmp_path):
    paths = [write(tmp_path / n / "run", test={"elbo": ELBO}) for n in ("a", "b") if
             (tmp_path / n).mkdir() is None]  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    page = report(paths, tmp_path / "out")
    assert page == tmp_path / "out" / "side_by_side.html"
    assert sorted(p for p in tmp_path.rglob("*") if "out" not in p.parts) == before
    assert f"<h3>{paths[1]}</h3>" in page.read_text()  # their names are alike


def test_runs_of_any_kind_are_compared_each_once(tmp_path):
    run = write(tmp_path / "a", test={"elbo": ELBO})
    many = tmp_path / "many"
    for seed in (0, 1):
        (many / f"seed_{seed}").mkdir(parents=True)
        write(many / f"seed_{seed}", test={"elbo": ELBO})
    page = report([run, many])  # of which one is two seeds: no columns, but a row
    text = page.read_text()
    assert text.count("<tr><td data-name") == 2 * 2  # of the main table, and of all numbers
    assert "<h3>a</h3>" not in text
    with pytest.raises(UserError, match="given twice"):
        report([run, Path(f"{run}/../a")])
    with pytest.raises(UserError, match=r"no config\.json"):
        report([run, tmp_path / "nothing"])


def test_other_commands_take_one_workdir(capsys, tmp_path):
    words = [f"--workdir={tmp_path}/a", f"--workdir={tmp_path}/b"]
    status, _, err = call(capsys, "evaluate", *words)
    assert status == 2
    assert "is given twice" in err
