import jax
import numpy as np
import pytest

from tests.datasets.building import make, save
from vae_jax import UserError


def test_npz_reads_a_users_arrays(tmp_path):
    images = np.arange(40 * 6, dtype=np.uint8).reshape(40, 3, 2)
    dataset = make(save(tmp_path, train=images[:30], test=images[30:]))
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 27,
        "validation": 3,
        "test": 10,
    }
    x = dataset.preprocess(jax.random.key(0), images[0])
    np.testing.assert_allclose(x, images[0] / 255, rtol=1e-6)
    one = make(save(tmp_path, mine=images.astype(np.float32)))
    assert {k: len(v) for k, v in one.splits.items()} == {"train": 29, "validation": 3, "test": 8}
    np.testing.assert_allclose(one.preprocess(jax.random.key(0), images[3]), images[3])


def test_npz_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        make("npz(path='nowhere.npz')")
    with pytest.raises(UserError, match="train' and 'test'"):
        make(save(tmp_path, a=np.zeros(3), b=np.zeros(3)))
    with pytest.raises(UserError, match="no array of numbers"):
        make(save(tmp_path, train=np.array(["a"]), test=np.array(["b"])))
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(UserError, match="plain arrays"):
        make(f"npz(path={str(tmp_path / 'text.npz')!r})")
