"""Data sets of TFDS: from a source in place of its files, and MNIST itself where it is prepared."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorflow_datasets

from tests.datasets.building import Source, make
from vae_jax import UserError
from vae_jax.batches.rows import gather
from vae_jax.batches.splits import x_shape
from vae_jax.datasets import binarized_mnist
from vae_jax.datasets import tfds as tfds_module


def test_tfds_is_decoded_and_cached(mocked_tfds):
    dataset = make("kmnist(validation=5, binarize='none')")
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 25,
        "validation": 5,
        "test": 30,
    }
    assert dataset.splits["train"].dtype == np.uint8
    assert x_shape(dataset) == (28, 28, 1)
    assert len(list((mocked_tfds / "cache").glob("kmnist-*.npy"))) == 4
    cached = make("kmnist(validation=5, binarize='none')")
    np.testing.assert_array_equal(cached.splits["test"], dataset.splits["test"])
    np.testing.assert_array_equal(cached.labels["test"], dataset.labels["test"])


def test_tfds_can_be_redrawn_and_read_without_a_cache(mocked_tfds):
    small = make("tfds(name='kmnist', size=14, grey=True, invert=True, validation=5)")
    assert x_shape(small) == (14, 14, 1)
    blocks = Source("train").images[3, ..., 0].reshape(14, 2, 14, 2).mean((1, 3))
    np.testing.assert_allclose(small.splits["train"][3][..., 0], 255 - blocks, atol=1)
    lazy = make("tfds(name='kmnist', cache=False, validation=5)")
    kept = make("tfds(name='kmnist', validation=5)")
    assert len(lazy.splits["train"]) == 25
    assert lazy.splits["train"][3].shape == kept.splits["train"][3].shape
    assert lazy.splits["validation"][0].dtype == np.uint8


def test_examples_have_labels_and_are_named_by_their_records(mocked_tfds):
    dataset = make("tfds(name='kmnist', validation=5, train=20)")
    rows = {"train": range(20), "validation": range(25, 30), "test": range(30)}
    assert {name: origin.rows for name, origin in dataset.origins.items()} == rows
    assert dataset.origins["validation"].array == "kmnist train"
    for name, of in rows.items():
        assert dataset.labels[name].tolist() == [i % 10 for i in of]


@pytest.mark.parametrize("more", ["", ", cache=False", ", binarize='dynamic'"])
def test_images_of_0_and_1_need_their_scale(mocked_tfds, monkeypatch, more):
    class Bits(Source):
        def __init__(self, split):
            super().__init__(split)
            self.images = self.images // 128

    monkeypatch.setattr(tfds_module, "_source", lambda name, split: Bits(split))
    with pytest.raises(UserError, match=r"kmnist holds uint8 from 0 to 1, .*give scale=1 "):
        make(f"tfds(name='kmnist'{more})")
    dataset = make(f"tfds(name='kmnist', scale=1{more})")
    x = dataset.preprocess(jax.random.key(0), np.asarray(dataset.splits["test"][0]))
    np.testing.assert_array_equal(x, Bits("test").images[0])


def test_binarized_mnist_which_is_stored_as_0_and_1_is_bits(monkeypatch):
    asked = {}
    monkeypatch.setattr(binarized_mnist, "tfds", lambda **arguments: asked.update(arguments))
    make("binarized_mnist")
    assert asked == {"name": "binarized_mnist", "scale": 1.0}


def test_a_data_set_that_is_not_prepared_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError) as caught:
        make("mnist")
    assert "vae-jax data prepare mnist" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_preparing_needs_tensorflow(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs TensorFlow"):
        tfds_module.prepare("mnist")


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Colour images that TFDS itself makes up, where a prepared cifar10 would be."""
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    for split in ("train", "test"):
        (folder / f"cifar10-{split}.array_record-00000-of-00001").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VAE_JAX_CACHE", str(tmp_path / "cache"))

    class Mocked:
        """The mocked source; its own `__getitems__` cannot be called."""

        def __init__(self, name, split):
            self.source = real(name, split)

        def __len__(self):
            return len(self.source)

        def __getitem__(self, i):
            return self.source[i]

        def __getitems__(self, rows):
            return [self.source[i] for i in rows]

    real = tfds_module._source
    monkeypatch.setattr(tfds_module, "_source", Mocked)
    with tensorflow_datasets.testing.mock_data(num_examples=30):
        yield real


@pytest.mark.parametrize("cache", [True, False])
def test_colour_images_keep_their_colours(cifar, cache):
    dataset = make(f"tfds(name='cifar10', validation=5, cache={cache})")
    source = cifar("cifar10", "train")
    expected = np.stack([source[i]["image"] for i in range(30)])
    assert expected.shape == (30, 32, 32, 3)
    kept = np.concatenate([gather(dataset.splits[n], slice(None)) for n in ("train", "validation")])
    np.testing.assert_array_equal(kept, expected)
    x = dataset.preprocess(jax.random.key(0), kept[3])
    np.testing.assert_allclose(x, expected[3] / 255, rtol=1e-6)
    if cache:
        assert dataset.labels["train"].tolist() == [int(source[i]["label"]) for i in range(25)]


def test_colour_images_become_smaller_and_grey_as_pillow_makes_them(cifar):
    small = make("tfds(name='cifar10', size=8, validation=5)")
    grey = make("tfds(name='cifar10', grey=True, invert=True, validation=5)")
    image = cifar("cifar10", "train")[4]["image"]
    blocks = image.astype(float).reshape(8, 4, 8, 4, 3).mean((1, 3))
    np.testing.assert_allclose(small.splits["train"][4], blocks, atol=1)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    np.testing.assert_allclose(grey.splits["train"][4][..., 0], 255 - image @ weights, atol=1)


@pytest.mark.parametrize("cache", [True, False])
def test_images_of_different_sizes_need_one(mocked_tfds, monkeypatch, cache):
    class Mixed(Source):
        def __getitem__(self, i):
            return {"image": self.images[i][: 20 + i % 3], "label": i % 10}

    monkeypatch.setattr(tfds_module, "_source", lambda name, split: Mixed(split))
    with pytest.raises(UserError, match="20 x 28 x 1 and 21 x 28 x 1: give size="):
        make(f"tfds(name='kmnist', cache={cache})")
    assert x_shape(make(f"tfds(name='kmnist', cache={cache}, size=9)")) == (9, 9, 1)


MNIST = Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / "mnist"


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="no MNIST in TFDS_DATA_DIR")
@pytest.mark.filterwarnings("ignore")
def test_mnist_is_mnist():
    dataset = make("mnist(binarize='none')")
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 59_000,
        "validation": 1_000,
        "test": 10_000,
    }
    assert x_shape(dataset) == (28, 28, 1)
    pixels = np.concatenate([dataset.splits["train"], dataset.splits["validation"]])
    np.testing.assert_allclose(pixels.mean() / 255, 0.13066, atol=1e-5)  # the usual normalization
    np.testing.assert_allclose(pixels.std() / 255, 0.30811, atol=1e-5)
    assert np.bincount(dataset.labels["test"]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
