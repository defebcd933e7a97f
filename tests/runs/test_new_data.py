"""New files for an old run, by name: all rows, in their order, made x of as the run's own are."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.quick_runs import quick_config
from vae_jax import UserError, config
from vae_jax.runs import data as run_data
from vae_jax.runs.parts import make_parts

RNG = np.random.default_rng(0)
N = 90
FRAME = pd.DataFrame(
    {
        "patient": [f"P{i:02d}" for i in range(N)],
        "age": RNG.normal(50, 9, N),
        "weight": RNG.normal(70, 12, N),
        "ward": RNG.choice(["A", "B", "C"], N),
        "outcome": RNG.choice(["well", "ill"], N),
    }
)
NEW = FRAME[:12].assign(age=FRAME["age"] + 40)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_JAX_CACHE", str(tmp_path / "cache"))


def run_on(data, tmp_path, **changes):
    """The data of a run that is known but not trained, and the way to show it other data."""
    cfg = config.resolve(quick_config(data=data, batch_size=20, **changes))
    parts = make_parts(cfg)
    run_data.keep(tmp_path, parts)
    return parts.dataset, lambda text: run_data.named(tmp_path, cfg, text)


def of_table(tmp_path, call, **changes):
    FRAME.to_csv("table.csv", index=False)
    return run_on(f"csv(path='table.csv', {call})", tmp_path, likelihood="normal", **changes)


CALL = "id='patient', label='outcome', drop='ward'"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_the_columns_of_the_run_whatever_their_order(tmp_path, kind):
    dataset, show = of_table(tmp_path, CALL, given="ward")
    shuffled = NEW[["ward", "weight", "patient", "age"]].assign(note="text", day=1)
    getattr(shuffled, f"to_{kind}")(f"new.{kind}", index=False)
    text, new = show(f"{kind}(path='new.{kind}')")
    assert text == f"{kind}(path='new.{kind}', drop='ward', label='outcome', id='patient')"
    assert new.splits.keys() == {"test"}
    assert new.names == dataset.names == ("age", "weight")
    done = dataset.standardization
    expected = (NEW[["age", "weight"]] - done.mean) / done.scale
    np.testing.assert_allclose(new.splits["test"], expected, rtol=1e-5)
    assert new.origins["test"].ids.tolist() == NEW["patient"].tolist()
    np.testing.assert_array_equal(new.coding.classes[new.given["test"]], NEW["ward"])
    np.testing.assert_array_equal(new.covariates["day"]["test"], 1)
    assert not new.labels


def test_categories_are_those_of_the_run(tmp_path):
    _, show = of_table(tmp_path, "columns=('ward', 'age'), one_hot='ward', standardize=False")
    NEW.assign(ward="B").to_csv("new.csv", index=False)
    _, new = show("csv(path='new.csv')")
    assert new.names == ("ward=A", "ward=B", "ward=C", "age")
    np.testing.assert_array_equal(new.splits["test"][:, :3], [[0, 1, 0]] * 12)
    np.testing.assert_allclose(new.splits["test"][:, 3], NEW["age"], rtol=1e-6)


def test_bits_of_a_run_stay_bits(tmp_path):
    bits = pd.DataFrame(RNG.random((N, 3)) < 0.4, columns=["a", "b", "c"])
    bits.to_csv("bits.csv", index=False)
    dataset, show = run_on("csv(path='bits.csv')", tmp_path)
    assert dataset.standardization is None
    (2.0 * bits[:10]).to_csv("new.csv", index=False)
    text, new = show("csv(path='new.csv')")
    np.testing.assert_array_equal(new.splits["test"], 2.0 * bits[:10])
    assert "standardize=False" in text


def test_a_column_that_is_not_there_costs_one_line(tmp_path):
    _, show = of_table(tmp_path, CALL)
    NEW.drop(columns="age").to_csv("new.csv", index=False)
    with pytest.raises(UserError, match=r"new.csv: unknown column 'age': there is outcome"):
        show("csv(path='new.csv')")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_copy_is_the_run_s_own_data(tmp_path, kind):
    _, show = of_table(tmp_path, CALL + ", test=20, validation=7")
    getattr(FRAME, f"to_{kind}")(f"copy.{kind}", index=False)
    _, copy = show(f"{kind}(path='copy.{kind}')")
    assert run_data.is_own(tmp_path, copy)
    assert {n: len(s) for n, s in copy.splits.items()} == {"train": 63, "validation": 7, "test": 20}
    (FRAME.assign(age=1 + FRAME["age"])).to_csv("other.csv", index=False)
    _, other = show("csv(path='other.csv')")
    assert other.splits.keys() == {"test"}


def test_a_part_of_new_data_can_be_asked_for(tmp_path):
    _, show = of_table(tmp_path, CALL)
    NEW.to_csv("new.csv", index=False)
    _, new = show("csv(path='new.csv', test=0.25)")
    assert {n: len(s) for n, s in new.splits.items()} == {"train": 8, "validation": 1, "test": 3}


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize("options", ["standardize=True", "scale=2.0"])
def test_one_array_is_evaluated_whole(tmp_path, kind, options):
    values = FRAME[["age", "weight"]].to_numpy()
    np.savez("mine.npz", x=values)
    dataset, show = run_on(f"npz(path='mine.npz', {options})", tmp_path, likelihood="normal")
    getattr(np, {"npz": "savez", "npy": "save"}[kind])(f"new.{kind}", NEW[["age", "weight"]])
    _, new = show(f"{kind}(path='new.{kind}')")
    assert new.splits.keys() == {"test"}
    x = [new.preprocess(None, np.asarray(one)) for one in new.splits["test"][:]]
    done = dataset.standardization
    expected = NEW[["age", "weight"]] / 2 if done is None else done.apply(NEW[["age", "weight"]])
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


def test_the_same_array_in_another_kind_of_file_is_the_run_s_own(tmp_path):
    values = FRAME[["age", "weight"]].to_numpy()
    np.savez("mine.npz", x=values)
    _, show = run_on("npz(path='mine.npz', validation=5)", tmp_path, likelihood="normal")
    np.save("x.npy", values)
    assert run_data.is_own(tmp_path, show("npy(path='x.npy')")[1])


def test_new_images_are_made_as_large_and_as_grey(tmp_path):
    for folder, number in (("photos", 40), ("new", 7)):
        (tmp_path / folder).mkdir()
        for i in range(number):
            pixels = RNG.integers(0, 256, (9, 8 + i % 3, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    _, show = run_on("images(path='photos', size=4, grey=True, binarize='dynamic')", tmp_path)
    text, new = show("images(path='new')")
    assert text == "images(path='new', size=4, grey=True, binarize='dynamic')"
    assert new.splits["test"].shape == (7, 4, 4, 1)
    assert new.origins["test"].ids.tolist() == [f"{i}.png" for i in range(7)]


def test_conditions_that_new_rows_lack_are_refused_by_file_and_row(tmp_path):
    _, show = of_table(tmp_path, CALL, given="ward")
    NEW.drop(columns="ward").to_csv("without.csv", index=False)
    with pytest.raises(UserError, match=r"csv\(path='without.csv'\): .*'ward'"):
        show("csv(path='without.csv')")
    for wrong, why in (("Z", "'ward' has no class Z: there are A, B, C"), (None, "1 empty cell")):
        NEW.assign(ward=[*NEW["ward"][:-1], wrong]).to_csv("odd.csv", index=False)
        with pytest.raises(UserError, match=r"example 11 \('P11'\) of '?\S*odd.csv.*" + why):
            show("csv(path='odd.csv')")
