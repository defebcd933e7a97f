"""Differences are of runs that were evaluated on the same examples, whatever these are called."""

import numpy as np
import pytest

from tests.cli.test_cli import call
from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.reporting.tables import legend
from vae_jax.runs.results import save_results
from vae_jax.sweeps.compare import compare


def write(path, seed):
    rng = np.random.default_rng(seed)
    splits = {"train": 60, "validation": 20, "test": 20}
    np.savez(path, **{k: rng.integers(0, 2, (n, 4)).astype(bool) for k, n in splits.items()})


def run(workdir, setting, path, seed=0, extra="", **fields):
    """Trains and evaluates one run of a setting."""
    data = f"npz(path='{path}'{extra})"
    config = quick_config(data=data, seed=seed, num_epochs=1, batch_size=20, **fields)
    folder = workdir / setting / f"seed_{seed}"
    trained = fit(config, folder, quiet=True)
    save_results(folder, "test", evaluate(trained, num_importance_samples=5, quiet=True))


@pytest.fixture
def plain(tmp_path):
    write(tmp_path / "a.npz", 0)
    run(tmp_path / "sweep", "plain", tmp_path / "a.npz")
    return tmp_path


@pytest.mark.slow
def test_a_copy_under_another_path_is_the_same_data(plain):
    (plain / "b.npz").write_bytes((plain / "a.npz").read_bytes())
    run(plain / "sweep", "richer", plain / "b.npz", latent_dim=3)
    comparison = compare(plain / "sweep", baseline="plain")
    assert comparison.rows[1].difference is not None
    assert "All runs share their data (20 examples, sha256" in legend(comparison)


@pytest.mark.slow
def test_a_file_that_was_rewritten_is_other_data(plain):
    write(plain / "a.npz", 1)
    run(plain / "sweep", "richer", plain / "a.npz", latent_dim=3)
    comparison = compare(plain / "sweep", baseline="plain")
    assert comparison.rows[1].difference is None
    assert comparison.rows[1].remark == "other data than the baseline's"
    assert "Runs of different data: " in legend(comparison)


@pytest.mark.slow
def test_the_same_examples_in_other_units_are_other_data(plain):
    run(plain / "sweep", "richer", plain / "a.npz", extra=", scale=2.0")
    comparison = compare(plain / "sweep", baseline="plain")
    assert comparison.rows[1].remark == "other data than the baseline's"


@pytest.mark.slow
def test_seeds_of_one_setting_on_different_data_have_no_mean(plain):
    write(plain / "a.npz", 1)
    run(plain / "sweep", "plain", plain / "a.npz", seed=1)
    [row] = compare(plain / "sweep").rows
    assert row.estimate is None
    assert "runs of different test sets" in row.remark


@pytest.mark.slow
def test_a_sweep_says_before_it_trains_that_a_file_was_rewritten(plain, capsys):
    words = [
        f"--workdir={plain / 'sweep'}",
        f"--config={plain / 'c.py'}",
        "--num_importance_samples=5",
    ]
    (plain / "c.py").write_text(
        "from tests.quick_runs import quick_config\n"
        "def get_config():\n"
        f"    return quick_config(data=\"npz(path='{plain / 'a.npz'}')\", num_epochs=1, batch_size=20)\n"
    )
    assert "other examples" not in call(capsys, "sweep", *words)[2]
    write(plain / "a.npz", 1)
    _, _, err = call(capsys, "sweep", *words, "--grid=latent_dim=3")
    said = err.index("has other examples than when 1 run here had it")
    assert said < err.index("[1/1]")
