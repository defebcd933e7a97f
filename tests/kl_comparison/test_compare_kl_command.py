"""`vae-jax compare-kl` from its flags to its files."""

import json

import numpy as np
import pytest
from scipy import stats

from vae_jax.cli.main import main
from vae_jax.config import components
from vae_jax.kl_comparison.pairs.named import names


def call(capsys, *arguments):
    status = main(["vae-jax", "compare-kl", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_from_names_to_files(capsys, tmp_path):
    sizes = ("--max_samples=4", "--num_repetitions=100")
    pair = ("--q=normal(loc=1.0, scale=0.5)", "--p=laplace(loc=0.0, scale=1.0)")
    status, out, err = call(capsys, *pair, *sizes, f"--output={tmp_path / 'new'}")
    assert status == 0, err
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    estimators = {row["name"] for row in results["rows"]}
    assert estimators == set(components.names("kl_estimators"))
    # E|z| for z ~ N(1, 1/4), less the entropy of q, and log 2
    folded = 2 * 0.5 * stats.norm.pdf(2) + 1 - 2 * stats.norm.cdf(-2)
    expected = folded + np.log(2) - stats.norm(1, 0.5).entropy()
    assert results["truth"]["value"] == pytest.approx(expected, abs=1e-6)
    assert f"{expected:.8f}"[:7] in out
    assert all(name in out for name in estimators)
    assert str(tmp_path / "new" / "figures" / "compare_kl.png") in out
    picture = (tmp_path / "new" / "figures" / "compare_kl.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width = int.from_bytes(picture[16:20], "big")
    assert width == round(3.4 * 200)
    assert "## plain" in (tmp_path / "new" / "table.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say either --q=DISTRIBUTION --p=DISTRIBUTION or --workdir=RUN"),
        (["--q=normal"], "--p=DISTRIBUTION is needed too"),
        (["--p=normal"], "--q=DISTRIBUTION is needed too"),
        (["--q=normal", "--p=normal", "--workdir=runs/a"], "say either"),
        (["--q=normal", "--p=normal", "--split=test"], "--split goes with --workdir"),
        (["--workdir=runs/a", "--output=b"], "runs/a holds no run"),
        (["--workdir={tmp}"], "holds no run"),
        (["--q=normal", "--p=laplce"], "did you mean 'laplace'"),
        (["--q=normal", "--p=normal", "--max_samples=0"], "not a positive integer"),
        (["--q=normal", "--p=normal", "--num_repetitions=1"], "1 is not integer >= 2"),
        (["--q=normal", "--p=normal", "--device=tpu"], "is not there"),
        (["--q=normal", "--p=normal", "--output=/proc/nowhere"], "--output=/proc/nowhere cannot be"),
        (["normal", "laplace"], "unexpected argument 'normal'"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_one_line(capsys, tmp_path, arguments, expected):
    status, out, err = call(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert status == 2, err
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_lists_the_distributions(capsys):
    status, out, _ = call(capsys, "--help")
    assert status == 0
    assert all(name in out for name in names())
