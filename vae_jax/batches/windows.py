"""The examples of training steps: in the device's memory, or in a stream through Grain."""

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
        return lambda ids: (Window(data, i, i) for i in _placed(_cut(ids, max_steps), mesh))
    steps = min(max_steps, max(1, WINDOW_BYTES // (batch_size * example_bytes(split))))
    return lambda ids: _streamed(split, _cut(ids, steps), mesh)


def _cut(ids: np.ndarray, steps: int) -> list[np.ndarray]:
    return [ids[start : start + steps] for start in range(0, len(ids), steps)]


def _streamed(split: Any, pieces: list[np.ndarray], mesh: Mesh) -> Iterator[Window]:
    """The windows of pieces `[steps, batch]`, of which each process reads its columns."""
    import grain

    columns = rows_here(mesh, pieces[0].shape[1])
    reading = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    read = grain.MapDataset.source(pieces).map(lambda ids: _read(split, ids[:, columns]))
    windows = zip(_placed(pieces, mesh), read.to_iter_dataset(reading), strict=True)
    for ids, examples in windows:
        yield Window(split_over_devices(examples, mesh, 1, ids.shape[1]), None, ids)


def _read(split: Any, ids: np.ndarray) -> Any:
    """The examples that `ids` names, `[*ids.shape, ...]`."""
    examples = gather(split, ids.reshape(-1))
    return jax.tree.map(lambda a: a.reshape(*ids.shape, *a.shape[1:]), examples)


def _placed(pieces: list[np.ndarray], mesh: Mesh) -> Iterator[Any]:
    """Places of examples, `[steps, batch]` each, on the devices."""
    return (split_over_devices(ids.astype(np.int32), mesh, 1) for ids in pieces)
