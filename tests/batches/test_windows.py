import jax
import numpy as np

from vae_jax.batches import windows as module
from vae_jax.batches.devices import mesh_for
from vae_jax.batches.keys import epoch_order
from vae_jax.batches.windows import Order, windows
from vae_jax.datasets import Lazy


def test_windows_hold_every_example_of_an_epoch_once():
    split = np.arange(1000, dtype=np.float32).reshape(100, 10)
    order = epoch_order(jax.random.key(0), 3, 100, 7)
    assert order.shape == (14, 7)
    assert len(set(order.ravel())) == 98
    np.testing.assert_array_equal(order, epoch_order(jax.random.key(0), 3, 100, 7))
    assert not np.array_equal(order, epoch_order(jax.random.key(0), 4, 100, 7))
    one_epoch = Order(lambda epoch: order, 14, 1)
    for most in (0, 2**30):
        seen = []
        for window in windows(split, mesh_for(7), 7, 4, most)(one_epoch, 0):
            assert window.ids.shape[0] <= 4
            examples = window.data if window.rows is None else window.data[window.rows]
            np.testing.assert_array_equal(examples[..., 0], window.ids * 10)
            seen.append(window.ids)
        np.testing.assert_array_equal(np.concatenate(seen), order)


def test_windows_begin_where_a_run_was_stopped():
    order = Order(lambda epoch: np.arange(5)[:, None] + 10 * epoch, 5, 3)
    starts = [(epoch, steps.start, steps.stop) for epoch, steps in order.pieces(6, 3)]
    assert starts == [(1, 1, 4), (1, 4, 5), (2, 0, 3), (2, 3, 5)]
    assert order.pieces(15, 3) == []


def test_a_process_reads_its_own_columns_of_a_stream_alone(monkeypatch):
    read = []

    def of_rows(rows):
        read.append(rows)
        return rows[:, None].astype(np.float32)

    monkeypatch.setattr(module, "rows_here", lambda mesh, size: slice(3, 7))
    monkeypatch.setattr(module, "split_over_devices", lambda tree, *_: tree)  # there is one process
    ids = np.random.default_rng(0).permutation(100).reshape(10, 10)
    cut = windows(Lazy(of_rows, np.arange(100)), mesh_for(10), 10, 4, max_bytes=0)
    examples = [window.data for window in cut(Order(lambda epoch: ids, 10, 1), 0)]
    np.testing.assert_array_equal(np.concatenate(examples)[..., 0], ids[:, 3:7])
    of_windows = [rows for rows in read if len(rows) > 1]  # others tell the size of an example
    assert {*np.concatenate(of_windows)} == {*ids[:, 3:7].ravel()}
