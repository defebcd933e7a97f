import jax
import numpy as np

from vae_jax.batches.keys import epoch_order
from vae_jax.batches.windows import windows


def test_windows_hold_every_example_of_an_epoch_once():
    from vae_jax.batches.devices import mesh_for

    split = np.arange(1000, dtype=np.float32).reshape(100, 10)
    order = epoch_order(jax.random.key(0), 3, 100, 7)
    assert order.shape == (14, 7)
    assert len(set(order.ravel())) == 98
    np.testing.assert_array_equal(order, epoch_order(jax.random.key(0), 3, 100, 7))
    assert not np.array_equal(order, epoch_order(jax.random.key(0), 4, 100, 7))
    for most in (0, 2**30):
        seen = []
        for window in windows(split, mesh_for(7), 7, 4, most)(order):
            assert window.ids.shape[0] <= 4
            examples = window.data if window.rows is None else window.data[window.rows]
            np.testing.assert_array_equal(examples[..., 0], window.ids * 10)
            seen.append(window.ids)
        np.testing.assert_array_equal(np.concatenate(seen), order)
