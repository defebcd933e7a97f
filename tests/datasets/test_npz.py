import jax
import numpy as np

from tests.datasets.building import make, save


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
