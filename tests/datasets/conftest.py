import pytest

from tests.datasets.building import Source
from vae_jax.datasets import tfds as tfds_module


@pytest.fixture
def mocked_tfds(tmp_path, monkeypatch):
    """The folder in which a prepared kmnist would be, and a source in place of TFDS's."""
    folder = tmp_path / "kmnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    for split in ("train", "test"):
        (folder / f"kmnist-{split}.array_record-00000-of-00001").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VAE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tfds_module, "_source", lambda name, split: Source(split))
    return tmp_path
