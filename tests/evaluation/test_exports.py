"""Exported files hold what the library gives, in the units and under the names that were brought."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae_jax
from tests.by_hand import run_of, with_parts
from tests.evaluation.test_arrays import GREYS, WHICH, N, small_run
from vae_jax import UserError, build_model
from vae_jax.brought import Origin
from vae_jax.datasets._making import make_dataset
from vae_jax.datasets.csv import csv as csv_dataset
from vae_jax.evaluation.exports import asked, computed, save, sentence

NAMES = ("age", "income", "visits")
TABLE = np.round(np.random.default_rng(0).normal([50, 4e4, 3], [10, 9e3, 1], (N, 3)))
ROWS = np.random.default_rng(1).permutation(N)


@pytest.fixture(scope="module")
def table_run():
    """A model of a table of whole numbers, standardized, a fifth of them missing."""
    data = np.where(np.random.default_rng(2).uniform(size=TABLE.shape) < 0.2, np.nan, TABLE)
    origins = {name: Origin("t", ROWS) for name in ("train", "test")}
    dataset = make_dataset({"train": data, "test": data}, standardize=True, origins=origins)
    usable = lambda raw: ~np.isinf(raw)  # noqa: E731
    dataset = dataset._replace(missing=True, names=NAMES, usable=usable)
    model = build_model(
        (3,), 2, likelihood="normal", encoder="linear", decoder="linear", missing=True
    )
    params = model.init(jax.random.key(0), jnp.nan_to_num(jnp.asarray(dataset.splits["train"])))
    return run_of(model, dataset, params, latent_dim=2), data


def exported(run, tmp_path, what, **flags):
    """The .npz and the tables, each the columns by name."""
    [one] = asked(what, flags)
    export = computed(run, one)
    [npz, *tables] = save(export, tmp_path)
    assert str(npz) in sentence(one, export, [npz, *tables])
    read = {path.name: list(csv.DictReader(path.open())) for path in tables}
    return dict(np.load(npz)), read


def column(table, name):
    return np.array([float(row[name]) for row in table])


def test_files_hold_what_the_library_gives(tmp_path):
    run = small_run()
    arrays, tables = exported(run, tmp_path, "latents", split="test", seed=2)
    for name, array in vae_jax.latents(run, seed=2).items():
        np.testing.assert_array_equal(arrays[name], array)
    assert arrays["ids"].tolist() == list(range(N))
    assert arrays["labels"].tolist() == WHICH.tolist()
    about = json.loads(str(arrays["about"]))
    assert (about["what"], about["split"], about["seed"]) == ("latents(seed=2)", "test", 2)
    assert about["checkpoint_step"] == 0
    table = tables["latents-test-z_mean.csv"]
    assert list(table[0]) == ["id", "label", "z_1", "z_2"]
    np.testing.assert_array_equal(np.float32(column(table, "z_2")), arrays["z_mean"][:, 1])
    assert [row["label"] for row in table] == WHICH.tolist()


def test_numbers_of_examples_stand_in_one_table(tmp_path):
    arrays, tables = exported(
        small_run(), tmp_path, "log_p(num_samples=3)", split="test", num_examples=5
    )
    [(name, table)] = tables.items()
    assert name == "log_p-test-first-5.csv"
    np.testing.assert_array_equal(column(table, "log_p"), arrays["log_p"])
    assert len(table) == 5


def test_a_table_goes_out_as_it_came_in(table_run, tmp_path):
    run, data = table_run
    flags = {"split": "test", "num_samples": 20}
    arrays, tables = exported(run, tmp_path, "imputations(num_draws=3)", **flags)
    filled = vae_jax.imputations(run, num_samples=20, num_draws=3)
    np.testing.assert_allclose(arrays["x_mean"], run.restore(filled["x_mean"]), rtol=1e-5)
    seen = ~np.isnan(data)
    np.testing.assert_array_equal(arrays["x_mean"][seen], TABLE[seen])  # not 36.99999988
    assert (arrays["ids"] == ROWS).all()
    single = tables["imputations-test-x_mean.csv"]
    assert list(single[0]) == ["id", *NAMES]
    assert [row["age"] for row, is_seen in zip(single, seen[:, 0], strict=True) if is_seen] == [
        str(float(age)) for age in TABLE[seen[:, 0], 0]
    ]
    multiple = tables["imputations-test-x_draws.csv"]
    assert list(multiple[0]) == ["id", "draw", *NAMES]
    draws = np.array([[float(row[n]) for n in NAMES] for row in multiple]).reshape(N, 3, 3)
    np.testing.assert_array_equal(draws, arrays["x_draws"])
    assert [row["draw"] for row in multiple[:3]] == ["1", "2", "3"]


def test_images_have_no_table_and_levels_are_levels(tmp_path):
    levels = np.random.default_rng(0).integers(0, 17, (N, 2, 2, 1)).astype(np.uint8)
    data = make_dataset({"train": levels, "test": levels}, values="dequantized", scale=16)
    model = build_model((2, 2, 1), 2, likelihood="normal", encoder="linear", decoder="linear")
    params = model.init(jax.random.key(0), jnp.zeros((2, 2, 2, 1)))
    run = run_of(model, data, params, latent_dim=2)
    arrays, tables = exported(run, tmp_path, "reconstructions", split="test")
    assert tables == {}
    assert arrays["x_mean"].shape == (N, 2, 2, 1)
    mean = vae_jax.reconstructions(run)["x_mean"]
    np.testing.assert_array_equal(arrays["x_mean"], np.clip(np.floor(mean * 17), 0, 16))


def test_samples_carry_the_conditions_they_were_drawn_under(tmp_path):
    run = small_run("labels")
    arrays, tables = exported(run, tmp_path, "samples", num_samples=4, given="b")
    assert arrays["given"].tolist() == ["b"] * 4
    assert [row["given"] for row in tables["samples-given-b-z_draw.csv"]] == ["b"] * 4
    several, _ = exported(run, tmp_path, "samples", num_samples=50)
    assert set(several["given"]) == set("abc")


def test_other_data_has_files_of_its_own(tmp_path):
    run = small_run()
    other = make_dataset({"test": GREYS[:7]}, binarize="dynamic")
    run = with_parts(run, dataset=other)._replace(other_data="npz(path='b.npz')")
    exported(run, tmp_path, "latents", split="test")
    [path] = (tmp_path / "exports").glob("*.npz")
    assert path.stem.startswith("latents-test-")
    assert path.stem.endswith(run.parts.record("test").sha256[:12])


@pytest.mark.parametrize(
    ("what", "flags", "message"),
    [
        ("latnts", {}, "did you mean 'latents'"),
        ("latents(num_sample=3)", {}, "did you mean 'num_samples'"),
        ("latents(num_samples=0)", {}, "an integer of 2 or more is needed"),
        ("samples", {"num_examples": 3}, "--num_examples=3: samples takes no --num_examples"),
        ("samples|reconstructions", {"given": None}, None),
        ("latents|samples", {"split": "test"}, None),
        ("latents, samples", {}, "separated by |"),
    ],
)
def test_mistakes_are_known_before_anything_is_computed(what, flags, message):
    if message is None:
        assert len(asked(what, flags, flags)) == 2
        return
    with pytest.raises(UserError) as caught:
        asked(what, flags, flags)
    assert message in str(caught.value)


def test_a_flag_goes_to_what_takes_it_and_a_text_goes_before_it():
    latents, log_p, samples = asked(
        "latents|log_p(num_samples=7)|samples", {"num_samples": 20, "seed": 3, "split": "train"}
    )
    assert latents.call.arguments == {"num_samples": 20, "seed": 3}
    assert log_p.call.arguments == {"num_samples": 7, "seed": 3}
    assert samples.more == {"n": 20}
    assert (latents.split, samples.split) == ("train", "")


def test_ids_are_the_names_that_a_table_has(tmp_path):
    """Of a table that was shuffled: the name of a row tells what is in it."""
    rows = [f"P{i},{i},{-i}" for i in range(20)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["who,a,b", *rows]), encoding="utf-8")
    dataset = csv_dataset(path=str(path), id="who", standardize=False)
    model = build_model((2,), 1, likelihood="normal", encoder="linear", decoder="linear")
    params = model.init(jax.random.key(0), jnp.zeros((2, 2)))
    run = run_of(model, dataset, params, latent_dim=1)
    arrays, tables = exported(run, tmp_path, "latents", split="test")
    a = np.asarray(dataset.splits["test"])[:, 0]
    assert arrays["ids"].tolist() == [f"P{i:.0f}" for i in a]
    assert a.tolist() != sorted(a)
    assert [row["id"] for row in tables["latents-test-z_mean.csv"]] == arrays["ids"].tolist()
