"""Tables that pandas wrote, as text and as parquet: columns by their names and types."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.datasets.building import make
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid
from vae_jax.datasets import csv

RNG = np.random.default_rng(0)
N = 80
FRAME = pd.DataFrame(
    {
        "patient": [f"P{i:02d}" for i in range(N)],
        "age": RNG.integers(20, 90, N),
        "weight": RNG.normal(70, 12, N),
        "smokes": RNG.random(N) < 0.3,
        "ward": RNG.choice(["A", "B", "C"], N),
        "outcome": RNG.choice([0, 1], N),
    }
)
X = ["age", "weight", "smokes"]
CALL = "id='patient', label='outcome', drop='ward'"
KINDS = ["csv", "parquet"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(kind, frame=FRAME, index=False, **options):
    getattr(frame, f"to_{kind}")(f"table.{kind}", index=index, **options)


def read(kind, options=CALL, frame=FRAME, **how):
    """The data set of a table that pandas writes."""
    write(kind, frame, **how)
    return make(f"{kind}(path='table.{kind}'{', ' * bool(options)}{options})")


def rows_of(dataset):
    """Places in the table, and all of x in that order."""
    return np.concatenate([dataset.origins[name].rows for name in dataset.splits]), np.concatenate(
        [*dataset.splits.values()]
    )


def brought(dataset):
    """x of all examples in the units and the order of the table."""
    rows, x = rows_of(dataset)
    done = dataset.standardization
    return (x if done is None else done.undo(x))[np.argsort(rows)]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_become_x_and_all_else_stands_beside_it(kind):
    dataset = read(kind)
    assert dataset.names == ("age", "weight", "smokes")
    np.testing.assert_allclose(brought(dataset), FRAME[X].astype(float), rtol=1e-5, atol=1e-5)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 58,
        "validation": 6,
        "test": 16,
    }
    for name, origin in dataset.origins.items():
        of_split = FRAME.iloc[origin.rows]
        assert origin.ids.tolist() == of_split["patient"].tolist()
        assert dataset.labels[name].tolist() == of_split["outcome"].tolist()
        assert dataset.covariates["ward"][name].tolist() == of_split["ward"].tolist()
        np.testing.assert_array_equal(dataset.covariates["outcome"][name], dataset.labels[name])
    assert dataset.covariates.keys() == {"ward", "outcome"}
    assert not dataset.missing
    assert not dataset.remarks


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_standardized_by_the_training_split(kind):
    dataset = read(kind)
    train = FRAME[X].astype(float).iloc[dataset.origins["train"].rows].to_numpy()
    test = FRAME[X].astype(float).iloc[dataset.origins["test"].rows].to_numpy()
    np.testing.assert_allclose(
        dataset.splits["test"], stats.zmap(test, train), rtol=1e-4, atol=1e-5
    )
    plain = read(kind, CALL + ", standardize=False")
    assert plain.standardization is None
    np.testing.assert_allclose(brought(plain), FRAME[X].astype(float), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_bits_stays_as_it_is(kind):
    dataset = read(kind, "columns=('smokes', 'outcome')")
    assert dataset.standardization is None
    np.testing.assert_array_equal(brought(dataset), FRAME[["smokes", "outcome"]])
    require_valid(dataset, build_model((2,), 2))
    assert dataset.covariates.keys() == {"patient", "age", "weight", "ward"}


def test_counts_that_were_standardized_say_how_they_stay_counts():
    likelihood = build_model((1,), 2, likelihood="poisson")
    with pytest.raises(UserError, match=r"column 'age' is .*standardize=False leaves x as it was"):
        require_valid(read("csv", "columns='age'"), likelihood)
    require_valid(read("csv", "columns='age', standardize=False"), likelihood)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_come_in_the_order_in_which_they_are_named(kind):
    dataset = read(kind, "columns=('weight', 'ward=B', 'age'), standardize=False")
    assert dataset.names == ("weight", "ward=B", "age")
    expected = np.stack([FRAME["weight"], FRAME["ward"] == "B", FRAME["age"]], axis=1)
    np.testing.assert_allclose(brought(dataset), expected.astype(float), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_hot_columns_are_those_of_pandas(kind):
    dataset = read(kind, "columns=('ward', 'smokes'), one_hot='ward'")
    expected = pd.get_dummies(FRAME[["ward", "smokes"]], columns=["ward"], prefix_sep="=")
    expected = expected[["ward=A", "ward=B", "ward=C", "smokes"]]
    assert list(dataset.names) == list(expected.columns)
    np.testing.assert_array_equal(brought(dataset), expected)
    assert "ward" not in dataset.covariates


@pytest.mark.parametrize("kind", KINDS)
def test_empty_cells_are_missing_and_counted_by_column(kind):
    holed = FRAME.copy()
    holed["smokes"] = holed["smokes"].astype("boolean")
    holed.loc[3:5, "weight"] = np.nan
    holed.loc[4, ["smokes", "ward"]] = None
    dataset = read(kind, CALL, holed)
    assert dataset.missing
    assert dataset.remarks == [
        "4 of 240 values are missing (columns weight, smokes): taken as not observed"
    ]
    expected = holed[X].astype({"smokes": "Float64"}).to_numpy(float, na_value=np.nan)
    np.testing.assert_allclose(brought(dataset), expected, rtol=1e-5, atol=1e-5)
    one_hot = read(kind, "columns=('age', 'ward'), one_hot='ward', standardize=False", holed)
    np.testing.assert_array_equal(np.isnan(brought(one_hot)).any(1).nonzero()[0], [4])


def test_other_words_for_a_missing_value_are_told():
    frame = FRAME.assign(weight=FRAME["weight"].astype(str))
    frame.loc[7, "weight"] = "?"
    with pytest.raises(UserError, match=r"text in 'weight', such as '\?': missing='\?' if"):
        read("csv", CALL, frame)
    dataset = read("csv", CALL + ", missing=('?', '-99')", frame)
    assert np.argwhere(np.isnan(brought(dataset))).tolist() == [[7, 1]]


REFUSED = {
    "text": (
        "id='patient'",
        r"text in 'ward', such as '[ABC]': drop='ward' leaves .* one_hot='ward'",
    ),
    "two of text": (
        "",
        r"text in 'patient', 'ward', such as 'P00': .* id='patient' .*'ward' keeps",
    ),
    "no such label": ("label='outcom'", "unknown column 'outcom': did you mean 'outcome'"),
    "no such column": ("columns='wieght'", "unknown column 'wieght': .* made of 'wieght'$"),
    "no such drop": ("drop=('ward', 'x')", "unknown column 'x'"),
    "nothing left": (
        "drop=('patient','age','weight','smokes','ward','outcome')",
        "no column is left",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", REFUSED)
def test_columns_that_cannot_be_x_are_refused_by_name(kind, what):
    options, expected = REFUSED[what]
    with pytest.raises(UserError, match=rf"table\.{kind}: {expected}") as error:
        read(kind, options)
    assert "\n" not in str(error.value)


VALUES = {
    "dates": (
        pd.date_range("2020-01-01", periods=N),
        "column 'new' holds dates or times: drop='new'",
    ),
    "days": ([datetime.date(2020, 1, 1)] * N, "column 'new' holds dates or times"),
    "infinite": (
        [1.0] * 3 + [np.inf] + [2.0] * (N - 4),
        r"row 3 \(counted from 0\), column 'new' is inf",
    ),
    "decimal commas": (["1,5"] * N, "text in 'new', such as '1,5': decimal=','"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", VALUES)
def test_values_that_cannot_be_x_are_refused_by_name(kind, what):
    values, expected = VALUES[what]
    with pytest.raises(UserError, match=expected):
        read(kind, CALL, FRAME.assign(new=values))


def test_lists_in_a_parquet_file_are_refused_by_name():
    with pytest.raises(UserError, match="column 'new' holds values of type list<"):
        read("parquet", CALL, FRAME.assign(new=[[1.0, 2.0]] * N))


def test_every_type_of_number_in_a_parquet_file_is_read():
    values = RNG.integers(0, 100, N)
    types = ["int8", "uint8", "int16", "uint32", "int64", "float32", "Int64", "Float32", "category"]
    frame = pd.DataFrame({name: pd.Series(values).astype(name) for name in types})
    frame["decimal"] = [decimal.Decimal(int(v)) for v in values]
    dataset = read("parquet", "standardize=False", frame)
    np.testing.assert_array_equal(brought(dataset), np.repeat(values[:, None], 10, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_without_a_name_names_the_rows(kind):
    indexed = FRAME.drop(columns="patient").set_axis(np.arange(N) + 1000)
    dataset = read(kind, "label='outcome', drop='ward'", indexed, index=True)
    assert dataset.names == tuple(X)
    assert dataset.remarks == [f"table.{kind}: its column without a name is an index, and not in x"]
    origin = dataset.origins["test"]
    np.testing.assert_array_equal(origin.ids, origin.rows + 1000)


def test_a_row_is_named_by_its_number_and_its_id():
    frame = FRAME.assign(weight=-FRAME["weight"])
    model = build_model((3,), 2, likelihood="poisson")
    with pytest.raises(
        UserError, match=r"example (\d+) \('P\1'\) of 'table.csv', column '(weight|age)'"
    ):
        require_valid(read("csv", CALL, frame), model)


@pytest.mark.parametrize("kind", KINDS)
def test_all_rows_can_be_test_in_their_order(kind):
    write(kind, FRAME[["smokes", "age"]])
    call = f"{kind}(path='table.{kind}', {CALL}, columns=('age', 'smokes'), test=1.0"
    dataset = make(f"{call}, standardize=False)")
    assert dataset.splits.keys() == {"test"}
    np.testing.assert_array_equal(dataset.splits["test"], FRAME[["age", "smokes"]])
    assert dataset.remarks == [f"table.{kind} has no column 'ward', 'outcome', 'patient'"]
    assert not dataset.labels


TEXTS = {
    "semicolons": ({"sep": ";", "decimal": ","}, ", decimal=','"),
    "tabs": ({"sep": "\t"}, ""),
    "bars": ({"sep": "|"}, ""),
    "spaces": ({"sep": " "}, ""),
    "quotes": ({"quoting": 2}, ""),
    "windows": ({"lineterminator": "\r\n"}, ""),
    "a byte order mark": ({"encoding": "utf-8-sig"}, ""),
}


@pytest.mark.parametrize("what", TEXTS)
def test_text_is_read_as_programs_write_it(what):
    how, options = TEXTS[what]
    dataset = read("csv", CALL + options, **how)
    np.testing.assert_allclose(brought(dataset), FRAME[X].astype(float), rtol=1e-5, atol=1e-5)
    assert not dataset.remarks


def test_text_may_be_compressed():
    FRAME.to_csv("table.csv.gz", index=False)
    dataset = make(f"csv(path='table.csv.gz', {CALL})")
    np.testing.assert_allclose(brought(dataset), FRAME[X].astype(float), rtol=1e-5, atol=1e-5)


def test_text_of_another_encoding_is_read():
    frame = FRAME.assign(ward=np.where(FRAME["ward"] == "A", "Zürich", "Bern"))
    dataset = read("csv", CALL, frame, encoding="latin1")
    assert "Zürich" in dataset.covariates["ward"]["train"]
    assert dataset.remarks == ["table.csv is not UTF-8: it is read as Latin-1"]


def test_a_line_of_names_may_be_lacking():
    dataset = read("csv", "drop=('f0', 'f4'), label='f5'", header=False)
    np.testing.assert_allclose(brought(dataset), FRAME[X].astype(float), rtol=1e-5, atol=1e-5)
    assert dataset.remarks == ["table.csv: the first line has no names: columns are f0, f1, ..."]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("columns", [1, 3])
def test_numbers_in_a_row_are_names(index, columns):
    values = pd.DataFrame(RNG.normal(size=(N, columns)))
    dataset = read("csv", "standardize=False", values, index=index)
    np.testing.assert_allclose(brought(dataset), values, rtol=1e-6)
    assert dataset.names == tuple(map(str, range(columns)))


def test_a_column_of_integers_may_end_in_fractions(monkeypatch):
    """Types are found from all of a file, not from its beginning."""
    monkeypatch.setattr(csv, "BLOCK_BYTES", 2**16)
    values = pd.DataFrame({"a": np.r_[np.arange(30_000), 0.5], "b": 1.0}).astype({"a": object})
    values.loc[: len(values) - 2, "a"] = np.arange(30_000)
    dataset = read("csv", "standardize=False, test=1.0", values)
    assert dataset.splits["test"][-1].tolist() == [0.5, 1]


WRONG = {
    "missing": (None, r"/.*table\.csv: there is no such file"),
    "empty": ("", "is no table: Empty CSV"),
    "names alone": ("a,b\n", "has no rows"),
    "ragged": ("a,b\n1,2\n3\n", "is no table: .*Expected 2 columns, got 1: 3"),
    "the same name": ("a,a\n1,2\n", "has several columns 'a'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_table_costs_one_line(what, tmp_path):
    text, expected = WRONG[what]
    if text is not None:
        (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError, match=expected) as error:
        make("csv(path='table.csv')")
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_costs_one_line(tmp_path):
    write("csv")
    write("parquet")
    for text in ("parquet(path='table.csv')", "csv(path='table.parquet')", "parquet(path='no')"):
        with pytest.raises(UserError, match=r"no table|no \.parquet|no such file") as error:
            make(text)
        assert str(error.value).isprintable()
    for name in KINDS:
        with pytest.raises(UserError, match=f"{name} needs a file"):
            make(name)
        with pytest.raises(UserError):
            make(f"{name}(path='.')")
