"""Files as people have them: the names of their arrays, labels, and what is no file of arrays."""

import re
import zipfile

import numpy as np
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid
from vae_jax.cli.main import main
from vae_jax.datasets import make_dataset

VALUES = np.arange(50, dtype=np.float32).reshape(50, 1)  # example i is i
LABELS = np.arange(50) % 7


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test", "train_labels", "test_labels"),
        ("train", "test", "train_y", "test_y"),
        ("train", "test", "y_train", "y_test"),
        ("x_train", "x_test", "y_train", "y_test"),
        ("X_train", "X_test", "Y_train", "Y_test"),
        ("xtrain", "xtest", "ytrain", "ytest"),
        ("Xtr", "Xte", "ytr", "yte"),
        ("trainX", "testX", "trainY", "testY"),
        ("train_images", "test_images", "train_labels", "test_labels"),
        ("train-data", "test-data", "train-targets", "test-targets"),
        ("training_data", "testing_data", "training_labels", "testing_labels"),
    ],
)
def test_labels_stay_with_their_examples(tmp_path, names):
    arrays = dict(zip(names, (VALUES[:40], VALUES[40:], LABELS[:40], LABELS[40:]), strict=True))
    dataset = make(save(tmp_path, **arrays))
    assert not dataset.remarks
    assert dataset.labels.keys() == dataset.splits.keys() == {"train", "validation", "test"}
    for split, kept in dataset.labels.items():
        np.testing.assert_array_equal(kept, dataset.splits[split][:, 0] % 7)


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev"])
def test_a_validation_split_has_its_labels(tmp_path, name):
    arrays = {"train": VALUES[:30], name: VALUES[30:40], "test": VALUES[40:]}
    dataset = make(save(tmp_path, **arrays, **{f"{name}_labels": LABELS[30:40]}))
    np.testing.assert_array_equal(dataset.labels["validation"], LABELS[30:40])
    assert len(dataset.splits["train"]) == 30


@pytest.mark.parametrize("examples", ["mine", "x", "data", "train", "arr_0"])
@pytest.mark.parametrize("labels", ["labels", "y", "target"])
def test_labels_of_one_array_are_shuffled_with_it(tmp_path, examples, labels):
    names = np.array([f"class {i}" for i in LABELS])
    dataset = make(save(tmp_path, **{examples: VALUES, labels: names}))
    assert dataset.labels.keys() == {"train", "validation", "test"}
    for split, kept in dataset.labels.items():
        assert kept.tolist() == [f"class {i % 7}" for i in dataset.splits[split][:, 0].astype(int)]


FORMS = {
    "a column": LABELS[:, None],
    "one-hot": np.eye(7)[LABELS],
    "one-hot bytes": np.eye(7, dtype=np.uint8)[LABELS],
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_have_many_forms(tmp_path, form):
    dataset = make(save(tmp_path, x=VALUES, y=FORMS[form]))
    np.testing.assert_array_equal(dataset.labels["test"], dataset.splits["test"][:, 0] % 7)


@pytest.mark.parametrize("standardize", [False, True])
def test_labels_are_no_examples_and_a_wrong_number_of_them_is_refused(tmp_path, standardize):
    text = save(tmp_path, train=VALUES, test=VALUES, train_labels=LABELS[:-1])
    expected = r"labels 'train_labels' have shape \(49,\), and the examples 'train' have \(50, 1\)"
    with pytest.raises(UserError, match=expected):
        make(f"{text[:-1]}, standardize={standardize})")


@pytest.mark.parametrize("name", ["age", "Age_years", "blood-pressure"])
@pytest.mark.parametrize("kind", ["floats", "text", "several"])
def test_arrays_of_one_row_an_example_stand_beside_one_array(tmp_path, name, kind):
    ages = VALUES[:, 0] + 20
    beside = {"floats": ages, "text": ages.astype(str), "several": np.stack([ages, ages], 1)}[kind]
    dataset = make(save(tmp_path, x=VALUES, **{name: beside}))
    assert dataset.covariates.keys() == {name}
    assert not dataset.remarks
    for split, kept in dataset.covariates[name].items():
        np.testing.assert_array_equal(kept, beside[dataset.origins[split].rows])


@pytest.mark.parametrize("names", ["age_train age_test", "train_age test_age", "trainAge testAge"])
def test_arrays_beside_splits_are_known_without_the_split_s_name(tmp_path, names):
    ages = dict(zip(names.split(), (VALUES[:40, 0], VALUES[40:, 0]), strict=True))
    dataset = make(save(tmp_path, train=VALUES[:40], test=VALUES[40:], **ages))
    [name] = dataset.covariates
    assert name.lower() == "age"
    assert dataset.covariates[name].keys() == {"train", "validation", "test"}
    for split, kept in dataset.covariates[name].items():
        np.testing.assert_array_equal(kept, dataset.splits[split][:, 0])
    assert not dataset.remarks


def test_labels_are_known_by_their_name_in_the_file_too(tmp_path):
    dataset = make(save(tmp_path, xtrain=VALUES, xtest=VALUES, ytrain=LABELS, ytest=LABELS))
    assert dataset.covariates.keys() == {"y"}
    assert dataset.covariates["y"].keys() == dataset.labels.keys()
    for split, kept in dataset.covariates["y"].items():
        np.testing.assert_array_equal(kept, dataset.labels[split])


def test_what_lies_beside_a_test_split_alone_needs_no_name_of_a_split(tmp_path):
    dataset = make(save(tmp_path, test=VALUES, y=LABELS, age=VALUES[:, 0], observed=VALUES > 3))
    np.testing.assert_array_equal(dataset.labels["test"], LABELS)
    np.testing.assert_array_equal(dataset.covariates["age"]["test"], VALUES[:, 0])
    assert np.isnan(dataset.splits["test"]).sum() == 4
    assert not [remark for remark in dataset.remarks if "not read" in remark]


BESIDE = {
    "a split lacks it": {"train_age": VALUES[:40, 0]},
    "another length": {"train_age": VALUES[:39, 0], "test_age": VALUES[40:, 0]},
    "dates": {"train_age": np.zeros(40, "M8[D]"), "test_age": np.zeros(10, "M8[D]")},
    "images": {"train_age": np.zeros((40, 2, 2)), "test_age": np.zeros((10, 2, 2))},
}


@pytest.mark.parametrize("what", BESIDE)
def test_arrays_that_can_be_no_condition_are_named(tmp_path, what):
    dataset = make(save(tmp_path, train=VALUES[:40], test=VALUES[40:], **BESIDE[what]))
    assert not dataset.covariates
    unread = [remark for remark in dataset.remarks if "is not read" in remark]
    assert len(unread) == len(BESIDE[what])


UNREAD = {
    "weights": (VALUES, "'weights' is not read: 'train' and 'test', or one array, is read"),
    "y": (LABELS, "'y' is not read: labels are 'train_labels', 'test_labels'"),
    "validation_labels": (LABELS, "'validation_labels' is not read: labels are"),
    "train_labels": (np.zeros((50, 2)), "'train_labels' is not read: labels are one a row"),
    "test_y": (np.full(50, None), "it holds Python objects; test_y.astype(str) makes text"),
    "n": (np.array(50), "'n' is not read"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_nothing_is_dropped_without_a_word(tmp_path, name):
    array, expected = UNREAD[name]
    dataset = make(save(tmp_path, train=VALUES, test=VALUES, **{name: array}))
    [remark] = [remark for remark in dataset.remarks if "not read" in remark]
    assert remark.startswith("data.npz: ")
    assert expected in remark


REFUSED = {
    "a b": "data.npz holds 'a', 'b': 'train' and 'test', or one array, is read",
    "x data": "data.npz holds 'x' and 'data', which are both read as",
    "train x_train test": "data.npz holds 'train' and 'x_train', which are both read as train",
    "train validation": "data.npz holds 'train', 'validation': 'train' and 'test'",
    "": "data.npz holds nothing",
}


@pytest.mark.parametrize("names", REFUSED)
def test_names_that_do_not_say_which_are_the_examples_are_refused(tmp_path, names):
    with pytest.raises(UserError) as error:
        make(save(tmp_path, **dict.fromkeys(names.split(), VALUES)))
    assert str(error.value).startswith(REFUSED[names])


def test_one_array_of_a_known_name_is_read_beside_others(tmp_path):
    more = {"latents": np.zeros((50, 3)), "metadata": np.array({"author": "me"})}
    dataset = make(save(tmp_path, imgs=VALUES, **more))
    assert len(dataset.splits["train"]) == 36
    [remark] = [remark for remark in dataset.remarks if "is not read" in remark]
    assert remark.startswith("data.npz: 'metadata' is not read")
    assert dataset.covariates.keys() == {"latents"}


def test_the_row_is_named_as_the_user_numbers_it(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    values[5, 1] = np.inf
    model = build_model((3,), 2, likelihood="normal")
    for options in (")", ", standardize=True)"):
        with pytest.raises(UserError, match=r"split, example 5 of 'mine', element \[1\] is inf"):
            require_valid(make(save(tmp_path, mine=values)[:-1] + options), model)
    values[5, 1], values[58, 2] = 0, np.inf
    with pytest.raises(UserError, match=r"validation split, example 58 of 'train', element \[2\]"):
        require_valid(make(save(tmp_path, train=values, test=values[:9])), model)


def test_training_names_the_row_as_the_user_numbers_it(tmp_path, capsys):
    values = np.zeros((300, 3))
    values[46, 2] = np.inf
    flags = ["--config=experiments/digits.py:quick", f"--workdir={tmp_path}/run"]
    data = f"--config.data={save(tmp_path, mine=values)}"
    assert main(["vae-jax", "train", *flags, data, "--config.likelihood=normal"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(r"vae-jax: data: \w+ split, example 46 of 'mine', element \[2\] is inf: ", last)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", ["digits", "tabular(name='iris')"])
def test_examples_of_shipped_data_have_labels_and_origins(data):
    dataset = make(data)
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    assert {name: len(labels) for name, labels in dataset.labels.items()} == sizes
    rows = np.concatenate([dataset.origins[name].rows for name in sizes])
    assert sorted(rows) == list(range(sum(sizes.values())))


def test_a_row_of_the_digits_is_that_of_scikit_learn():
    from sklearn.datasets import load_digits

    dataset, bunch = make("digits"), load_digits()
    for name, split in dataset.splits.items():
        rows = dataset.origins[name].rows
        np.testing.assert_array_equal(split[..., 0], bunch.images[rows])
        np.testing.assert_array_equal(dataset.labels[name], bunch.target[rows])


def test_a_file_with_test_alone_cannot_be_trained_on(tmp_path, capsys):
    dataset = make(save(tmp_path, test=VALUES, test_labels=LABELS))
    np.testing.assert_array_equal(dataset.labels["test"], LABELS)
    text = save(tmp_path, test=VALUES)
    flags = ["--config=experiments/digits.py:quick", f"--workdir={tmp_path}/run"]
    assert main(["vae-jax", "train", *flags, f"--config.data={text}"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.endswith("npz holds test alone: a train split is needed")


def write(path, content):
    path.write_bytes(content)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


WRONG = {
    "missing": (lambda p: None, r"/.*/file\.npz: there is no such file"),
    "directory": (lambda p: p.mkdir(), "is a directory: name the .npz file in it"),
    "npy": (lambda p: np.save(p.open("wb"), VALUES), r"a single array, .*: npy\(path=...\) reads"),
    "empty": (lambda p: write(p, b""), "is no .npz file: np.savez"),
    "text": (lambda p: write(p, b"a,b\n1,2\n"), "is no .npz file: np.savez"),
    "pickle": (lambda p: write(p, b"\x80\x04N."), "is no .npz file: np.savez"),
    "cut zip": (lambda p: write(p, b"PK\x03\x04" + bytes(50)), "is no .npz file: np.savez"),
    "other zip": (lambda p: zipped(p, data="1,2"), "holds no arrays: np.savez"),
    "cut member": (
        lambda p: zipped(p, **{"x.npy": b"\x93NUMPY\x01\x00"}), "damaged: 'x' cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_file_of_arrays_costs_one_line(tmp_path, what):
    create, expected = WRONG[what]
    create(tmp_path / "file.npz")
    with pytest.raises(UserError, match=expected) as error:
        make(f"npz(path='{tmp_path}/file.npz')")
    assert "\n" not in str(error.value)
    assert "binarize" not in str(error.value)


def test_a_file_that_may_not_be_read_is_called_so(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    text = save(tmp_path, mine=VALUES)
    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(UserError, match=r"data\.npz cannot be read: Permission denied"):
        make(text)


def test_home_is_where_the_tilde_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, mine=VALUES)
    assert make("npz(path='~/data.npz')").splits["train"].shape == (36, 1)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}/nowhere.npz: there is no such file"):
        make("npz(path='nowhere.npz')")


def test_make_dataset_keeps_labels_of_every_split():
    labels = {"train": LABELS, "test": LABELS}
    assert make_dataset({"train": VALUES, "test": VALUES}, labels=labels).labels == labels
