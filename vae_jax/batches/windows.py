"""The examples of training steps: in the device's memory, or in a stream through Grain."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vae_jax.batches.devices import copy_to_devices, rows_here, split_over_devices
from vae_jax.batches.rows import example_bytes, gather

WINDOW_BYTES = 256 * 2**20


class Window(NamedTuple):
    """The examples of some successive steps: `data[rows]`, or `data` itself without `rows`."""

    data: Any  # [n, ...] as stored; without rows [steps, batch, ...]
    rows: Any  # [steps, batch], places in `data`, or None
    ids: Any  # [steps, batch], places in the split


class Order(NamedTuple):
    """The examples of all steps of a run."""

    of_epoch: Callable[[int], np.ndarray]  # epoch -> ids [per_epoch, batch]
    per_epoch: int  # steps
    num_epochs: int

    def pieces(self, step: int, longest: int) -> list[tuple[int, slice]]:
        """The epochs, and steps of each, of the windows from a step on: none is of two epochs."""
        per_epoch, first = self.per_epoch, step // self.per_epoch
        return [
            (epoch, slice(start, min(start + longest, per_epoch)))
            for epoch in range(first, self.num_epochs)
            for start in range(step % per_epoch if epoch == first else 0, per_epoch, longest)
        ]


Windows = Callable[[Order, int], Iterator[Window]]  # (order, step) -> the windows from a step on


def fits(split: Any, max_bytes: int) -> bool:
    """Whether a split, as it is stored, is no larger than `max_bytes`."""
    return len(split) * example_bytes(split) <= max_bytes


def windows(split: Any, mesh: Mesh, batch_size: int, max_steps: int, max_bytes: int) -> Windows:
    """Cuts epochs into windows of at most `max_steps` steps.

    A split of up to `max_bytes` is put on the device as it is stored, once; a larger one is
    streamed, the next windows, also of the next epoch, being read while the device works on this
    one.
    """
    if fits(split, max_bytes):
        data = copy_to_devices(gather(split, slice(None)), mesh)
        return lambda order, step: _resident(data, order, order.pieces(step, max_steps), mesh)
    steps = min(max_steps, max(1, WINDOW_BYTES // (batch_size * example_bytes(split))))
    return lambda order, step: _streamed(split, order, order.pieces(step, steps), mesh)


def _resident(
    data: Any, order: Order, pieces: list[tuple[int, slice]], mesh: Mesh
) -> Iterator[Window]:
    of_epoch = functools.lru_cache(maxsize=1)(order.of_epoch)
    for epoch, steps in pieces:
        ids = _placed(of_epoch(epoch)[steps], mesh)
        yield Window(data, ids, ids)


def _streamed(
    split: Any, order: Order, pieces: list[tuple[int, slice]], mesh: Mesh
) -> Iterator[Window]:
    """The windows, of which each process reads the columns of its own devices."""
    import grain

    of_epoch = functools.lru_cache(maxsize=2)(order.of_epoch)

    def read(piece: tuple[int, slice]) -> tuple[np.ndarray, Any]:
        ids = of_epoch(piece[0])[piece[1]]
        here = ids[:, rows_here(mesh, ids.shape[1])]
        examples = gather(split, here.reshape(-1))
        return ids, jax.tree.map(lambda a: a.reshape(*here.shape, *a.shape[1:]), examples)

    reading = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    for ids, examples in grain.MapDataset.source(pieces).map(read).to_iter_dataset(reading):
        yield Window(split_over_devices(examples, mesh, 1, ids.shape[1]), None, _placed(ids, mesh))


def _placed(ids: np.ndarray, mesh: Mesh) -> Any:
    """Places of examples, `[steps, batch]`, on the devices."""
    return split_over_devices(ids.astype(np.int32), mesh, 1)
