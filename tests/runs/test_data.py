"""A run knows which data it was trained on, whatever its file is called."""

import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.quick_runs import quick_config, same
from vae_jax import UserError, evaluate, fit, load
from vae_jax.cli.main import main
from vae_jax.runs.results import read_results

SIZES = {"train": 200, "validation": 40, "test": 60}


def images(seed, sizes=SIZES, share=0.1):
    rng = np.random.default_rng(seed)
    return {n: (rng.uniform(size=(k, 4, 4)) < share).astype(np.float32) for n, k in sizes.items()}


def config_of(path, **changes):
    return quick_config(
        data=f"npz(path='{path}', binarize='static')", num_epochs=8, batch_size=20, **changes
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A trained run and its file, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    np.savez(folder / "mine.npz", **images(0))
    fit(config_of(folder / "mine.npz"), folder / "run", quiet=True)
    return folder


@pytest.fixture
def trained(original, tmp_path, monkeypatch):
    """A copy of the run, with a file that a test may change."""
    shutil.copytree(original, tmp_path / "copy")
    path = tmp_path / "copy" / "run" / "config.json"
    config = json.loads(path.read_text())
    config["data"] = config["data"].replace(str(original), str(tmp_path / "copy"))
    path.write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


CHANGES = {
    "other values": images(1),
    "another test set": images(0) | {"test": images(1)["test"]},
    "another training set": images(0) | {"train": images(1)["train"]},
    "the test set in another order": images(0) | {"test": images(0)["test"][::-1]},
    "fewer examples": {name: array[:-1] for name, array in images(0).items()},
    "one pixel": images(0)
    | {"train": 1 - np.abs(images(0)["train"] - (np.arange(3200) != 5).reshape(200, 4, 4))},
}
COMMANDS = {
    "evaluate": ["--num_importance_samples=5"],
    "sample": [],
    "compare-kl": ["--max_samples=4", "--num_repetitions=32"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_not_loaded_with_changed_data(trained, change):
    np.savez(trained / "mine.npz", **CHANGES[change])
    with pytest.raises(UserError, match=r"is not what .*run was trained on: its .* split was"):
        load(trained / "run")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_changed_data(trained, capsys, command):
    np.savez(trained / "mine.npz", **images(1))
    assert main(["vae-jax", command, f"--workdir={trained / 'run'}", *COMMANDS[command]]) == 2
    out, err = capsys.readouterr()
    assert err.strip().splitlines()[-1].endswith("as other data (--data)")
    assert not out


@pytest.mark.slow
def test_a_training_does_not_go_on_with_changed_data(original, tmp_path):
    np.savez(tmp_path / "mine.npz", **images(0))
    config = config_of(tmp_path / "mine.npz")
    half = ConfigDict({**config.to_dict(), "num_epochs": 4})
    fit(half, tmp_path / "run", quiet=True)
    written = tmp_path / "run" / "config.json"  # as if stopped half-way
    written.write_text(json.dumps(json.loads(written.read_text()) | {"num_epochs": 8}))
    np.savez(tmp_path / "mine.npz", **images(1))
    with pytest.raises(UserError, match=r"its train split was .*; choose another --workdir"):
        fit(config, tmp_path / "run", quiet=True)
    np.savez(tmp_path / "mine.npz", **images(0))
    assert fit(config, tmp_path / "run", quiet=True).workdir


def test_data_as_it_was_is_the_same_in_another_dtype_of_the_file(trained):
    before = load(trained / "run")
    wide = {name: array.astype(np.float64) for name, array in images(0).items()}
    np.savez_compressed(trained / "mine.npz", **wide)
    assert same(load(trained / "run").params, before.params)


@pytest.mark.slow
def test_a_copy_of_the_data_elsewhere_is_the_run_s_own(trained, tmp_path):
    own = evaluate(load(trained / "run"), num_importance_samples=5, quiet=True)
    (trained / "mine.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(UserError, match="no such file"):
        load(trained / "run")
    run = load(trained / "run", data=f"npz(path='{tmp_path / 'moved.npz'}')")
    assert run.other_data is None
    again = evaluate(run, num_importance_samples=5, quiet=True)
    assert again["numbers"] == own["numbers"]
    assert again["fingerprint"] == own["fingerprint"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["other.npz", "mine.npz"])
def test_other_data_is_evaluated_by_name_beside_the_run_s_own(trained, path, capsys):
    command = ["vae-jax", "evaluate", f"--workdir={trained / 'run'}", "--num_importance_samples=5"]
    assert main(command) == 0
    before = read_results(trained / "run")["test"]
    np.savez(trained / path, **images(1, share=0.6))
    capsys.readouterr()
    assert main([*command, f"--data=npz(path='{path}')"]) == 0
    name = f"test of npz(path='{path}', binarize='static')"
    results = read_results(trained / "run")
    [key] = results.keys() - {"test"}
    assert key.startswith(name)
    assert results["test"] == before
    other = results[key]
    assert other["numbers"]["log_p"]["mean"] < before["numbers"]["log_p"]["mean"] - 1
    assert f"60 examples of {key}" in capsys.readouterr().out
    with np.load(trained / "run" / other["arrays"]) as arrays:
        assert arrays["log_p"].mean() == other["numbers"]["log_p"]["mean"]


@pytest.mark.slow
def test_other_data_is_made_x_of_as_the_run_s_own(trained):
    greys = {n: (200 * v + 20).astype(np.uint8) for n, v in images(0).items()}
    np.savez(trained / "greys.npz", **greys)
    own = load(trained / "run")
    run = load(trained / "run", data="npz(path='greys.npz')")  # 20 and 220 of 255: the same bits
    asked = {"num_importance_samples": 5, "quiet": True}
    numbers, expected = evaluate(run, **asked)["numbers"], evaluate(own, **asked)["numbers"]
    assert numbers["log_p"]["mean"] == expected["log_p"]["mean"]


def test_the_same_examples_with_another_x_are_other_data(trained):
    run = load(trained / "run", data="npz(path='mine.npz', binarize='none', scale=2.0)")
    assert run.other_data == "npz(path='mine.npz', binarize='none', scale=2.0)"
    assert evaluate(run, num_importance_samples=5, quiet=True)["data"]["x"]["max"] == 0.5


def test_an_x_that_is_made_otherwise_is_warned_of(trained, caplog):
    path = trained / "run" / "data.json"
    known = json.loads(path.read_text())
    evaluate(load(trained / "run"), num_importance_samples=5, quiet=True)
    assert "otherwise" not in caplog.text
    known["splits"]["test"]["x"]["mean"] *= 1.01
    path.write_text(json.dumps(known))
    evaluate(load(trained / "run"), num_importance_samples=5, quiet=True)
    assert "x of the test split is made otherwise" in caplog.text


def test_other_data_of_another_shape_or_range_is_refused(trained):
    flat = {name: array.reshape(-1, 16) for name, array in images(1).items()}
    np.savez(trained / "flat.npz", **flat)
    with pytest.raises(UserError, match=r"x has shape \(16,\), and \(4, 4\) in this run"):
        load(trained / "run", data="npz(path='flat.npz')")
    np.savez(trained / "high.npz", **{name: 7 * array for name, array in images(1).items()})
    with pytest.raises(UserError, match="train split, example 0"):
        load(trained / "run", data="npz(path='high.npz')")


def test_a_run_of_an_older_version_learns_its_data_when_it_goes_on(original, tmp_path):
    shutil.copytree(original / "run", tmp_path / "run")
    (tmp_path / "run" / "data.json").unlink()
    assert load(tmp_path / "run").step
    config = config_of(original / "mine.npz")
    fit(config, tmp_path / "run", quiet=True)
    known = json.loads((tmp_path / "run" / "data.json").read_text())["splits"]
    assert known["test"]["shape"] == [60, 4, 4]
