"""One exact pass of a function over a split: no example dropped, none counted twice."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from jax.sharding import Mesh

from vae_jax import hosts
from vae_jax.batches.devices import rows_here, split_over_devices
from vae_jax.batches.rows import gather

Function = Callable[[Any, Any], dict[str, Any]]


class Kept(Protocol):
    """A place for the values of batches, in which a pass that was stopped left them."""

    def read(self, first: int, count: int) -> dict[str, np.ndarray] | None:
        """The values of `count` examples from `first` on, None where there are none."""

    def write(self, first: int, count: int, values: dict[str, np.ndarray], seconds: float) -> None:
        """Takes values, and how long they took."""


def exact_pass(
    function: Function,
    split: Any,
    batch_size: int,
    mesh: Mesh,
    progress: Callable[..., object] = lambda count, kept: None,
    kept: Kept | None = None,
) -> dict[str, np.ndarray]:
    """`function(raw [batch, ...], ids [batch])`, a dict of `[batch, ...]`, on each example once.

    A short last batch is filled up with its first example, and the filling thrown away.

    Args:
        function: of stored examples and their places in the split.
        split: the examples.
        batch_size: of each call.
        mesh: of devices.
        progress: called with the number of examples, and whether they were kept already.
        kept: values that an earlier pass left are not computed again.

    Returns:
        a dict of float64 arrays `[len(split), ...]`, in the split's order.
    """
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, len(split), batch_size):
        ids = np.arange(start, min(start + batch_size, len(split)))
        values = kept.read(start, len(ids)) if kept else None
        is_new = bool(hosts.largest(values is None))
        if is_new or values is None:
            began = time.monotonic()
            values = _of_batch(function, split, ids, batch_size, mesh)
            if kept and hosts.is_first():
                kept.write(start, len(ids), values, time.monotonic() - began)
        parts.append(values)
        progress(len(ids), not is_new)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_batch(
    function: Function, split: Any, ids: np.ndarray, batch_size: int, mesh: Mesh
) -> dict[str, np.ndarray]:
    full = np.concatenate([ids, np.full(batch_size - len(ids), ids[0])])
    here = full[rows_here(mesh, batch_size)]
    raw, where = split_over_devices((gather(split, here), here), mesh, size=batch_size)
    values = hosts.gathered(function(raw, where))
    return {name: np.asarray(v, np.float64)[: len(ids)] for name, v in values.items()}
