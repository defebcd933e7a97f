"""The recipe for each kind of file, with a file that another program wrote."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from tests.docs.pages import PAGES, ROOT, commands, sections
from vae_jax import config
from vae_jax.batches.splits import require_valid
from vae_jax.cli.flags import Flags
from vae_jax.cli.main import find_command, main
from vae_jax.runs import load
from vae_jax.runs.parts import make_parts
from vae_jax.runs.results import read_splits

PARTS = re.split(r"^### ", sections(PAGES["docs/data.md"])["A file of each kind"], flags=re.M)[1:]
RECIPES = {text.partition(":")[0]: commands(text) for text in PARTS}
RECIPES["missing"] = commands(sections(PAGES["docs/data.md"])["Missing values"])
NETWORK = "mlp(hidden=(4,))"
TINY = ["--config.num_epochs=1", f"--config.encoder={NETWORK}", f"--config.decoder={NETWORK}"]
QUICK = ("csv",)


def patients():
    """Measurements in four units, a tenth of one of them missing, with text and dates beside them."""
    rng = np.random.default_rng(0)
    frame = load_breast_cancer(as_frame=True).data.iloc[:300, :4].copy()
    frame.loc[rng.random(300) < 0.1, "mean area"] = np.nan
    frame["patient"] = [f"P{i:03d}" for i in range(300)]
    frame["diagnosis"] = rng.choice(["benign", "malignant"], 300)
    frame["ward"] = rng.choice(["A", "B", "C"], 300)
    frame["visit"] = pd.date_range("2020-01-01", periods=300)
    return frame


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A directory with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    rng, digits = np.random.default_rng(0), load_digits()
    np.savez("mine.npz", train=(15 * digits.images[:300]).astype(np.uint8), y_train=digits.target[:300],
             test=(15 * digits.images[300:400]).astype(np.uint8), y_test=digits.target[300:400])  # fmt: skip
    np.save("big.npy", digits.images[:300] / 16)
    patients().to_csv("patients.csv", index=False)
    patients()[5:15].drop(columns=["visit", "diagnosis"]).to_csv("new_patients.csv", index=False)
    answers = pd.DataFrame(rng.random((300, 3)) < 0.4, columns=["yes", "no", "often"])
    answers.assign(day=patients()["visit"]).to_parquet("answers.parquet")
    for i in range(200):
        (tmp_path / "photos" / f"kind{i % 2}").mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (9 + i % 3, 12, 3), np.uint8)
        Image.fromarray(pixels).save(f"photos/kind{i % 2}/{i}.{('png', 'jpg')[i % 2]}")
    return tmp_path


@pytest.mark.parametrize("kind", RECIPES)
def test_the_data_of_a_recipe_is_read_and_suits_its_likelihood(kind, lab):
    prepare(RECIPES[kind])
    for words in RECIPES[kind]:
        if words[:2] == ["vae-jax", "train"]:
            command, flags = find_command("train"), Flags(words[1:])
            command.flags(flags)
            cfg = config.resolve(flags.read().config)
            parts = make_parts(cfg)
            require_valid(parts.dataset, parts.model)
            assert {"train", "validation", "test"} == parts.dataset.splits.keys()
            assert parts.dataset.missing == any(f in cfg.data for f in ("patients", "holes"))


def prepare(recipe):
    """Runs what comes before the commands."""
    for words in recipe:
        if words[0] == "python":
            exec(words[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] * (k not in QUICK)) for k in RECIPES]
)
def test_a_recipe_works(kind, lab, capsys):
    prepare(RECIPES[kind])
    for words in RECIPES[kind]:
        if words[0] == "vae-jax":
            assert main(words + TINY * (words[1] == "train")) == 0, capsys.readouterr().err
    if kind == "csv":
        check_new_patients()


def check_new_patients():
    """All rows were evaluated, in their order, with their ids, standardized as the run's own are."""
    [name] = read_splits(Path("runs/patients"))
    assert name.startswith("test of csv(path='new_patients.csv'")
    run = load("runs/patients", data="csv(path='new_patients.csv')")
    assert run.dataset.origins["test"].ids.tolist() == [f"P{i:03d}" for i in range(5, 15)]
    brought = patients()[5:15].iloc[:, :4].to_numpy()
    np.testing.assert_allclose(run.restore(run.dataset.splits["test"]), brought, rtol=1e-5)
