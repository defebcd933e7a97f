"""One exact pass of a function over a split: no example dropped, none counted twice."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vae_jax.batches.devices import split_over_devices
from vae_jax.batches.splits import gather


def exact_pass(
    function: Callable[[Any, Any], dict[str, Any]],
    split: Any,
    batch_size: int,
    mesh: Mesh,
    progress: Callable[[int], object] = lambda count: None,
) -> dict[str, np.ndarray]:
    """`function(raw [batch, ...], ids [batch])`, a dict of `[batch, ...]`, on each example once.

    A short last batch is filled up with its first example, and the filling thrown away.

    Returns:
        a dict of float64 arrays `[len(split), ...]`, in the split's order.
    """
    parts = []
    for start in range(0, len(split), batch_size):
        ids = np.arange(start, min(start + batch_size, len(split)))
        full = np.concatenate([ids, np.full(batch_size - len(ids), start)])
        raw, where = split_over_devices((gather(split, full), full), mesh)
        values = jax.device_get(function(raw, where))
        parts.append({k: np.asarray(v, np.float64)[: len(ids)] for k, v in values.items()})
        progress(len(ids))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
