"""The examples of training steps: in the device's memory, or in a stream through Grain."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from vae_jax.batches.devices import copy_to_devices, split_over_devices
from vae_jax.batches.rows import example_bytes, gather

WINDOW_BYTES = 256 * 2**20


class Window(NamedTuple):
    """The examples of some successive steps: `data[rows]` are those that `ids` names."""

    data: Any
    rows: Any  # [steps, batch], places in `data`
    ids: Any  # [steps, batch], places in the split


Windows = Callable[[np.ndarray], Iterator[Window]]  # (ids [steps, batch] of an epoch) -> windows


def fits(split: Any, max_bytes: int) -> bool:
    """Whether a split, as it is stored, is no larger than `max_bytes`."""
    return len(split) * example_bytes(split) <= max_bytes


def windows(split: Any, mesh: Mesh, batch_size: int, max_steps: int, max_bytes: int) -> Windows:
    """Cuts an epoch into windows of at most `max_steps` steps.

    A split of up to `max_bytes` is put on the device as it is stored, once; a larger one is
    streamed, the next windows being read while the device works on this one.
    """
    if fits(split, max_bytes):
        data = copy_to_devices(gather(split, slice(None)), mesh)
        return lambda ids: (_window(data, i, i, mesh) for i in _cut(ids, max_steps))
    steps = min(max_steps, max(1, WINDOW_BYTES // (batch_size * example_bytes(split))))
    return lambda ids: _streamed(split, _cut(ids, steps), mesh)


def _cut(ids: np.ndarray, steps: int) -> list[np.ndarray]:
    return [ids[start : start + steps] for start in range(0, len(ids), steps)]


def _streamed(split: Any, pieces: list[np.ndarray], mesh: Mesh) -> Iterator[Window]:
    import grain

    reading = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    read = grain.MapDataset.source(pieces).map(lambda ids: gather(split, ids.reshape(-1)))
    for ids, examples in zip(pieces, read.to_iter_dataset(reading), strict=True):
        data = copy_to_devices(examples, mesh)
        yield _window(data, np.arange(ids.size).reshape(ids.shape), ids, mesh)


def _window(data: Any, rows: np.ndarray, ids: np.ndarray, mesh: Mesh) -> Window:
    places = rows.astype(np.int32), ids.astype(np.int32)  # [steps, batch] each
    return Window(data, *split_over_devices(places, mesh, axis=1))
