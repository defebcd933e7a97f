"""One exact pass of a function over a split: no example dropped, none counted twice."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vae_jax.datasets import gather
from vae_jax.errors import UserError


def devices() -> list[jax.Device]:
    """The devices of the kind that JAX computes on by default."""
    default = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.devices(default.platform) if isinstance(default, jax.Device) else jax.devices()


def use_device(device: str) -> None:
    """Makes JAX compute on a kind of device: cpu, gpu or tpu; `auto` leaves it to JAX.

    Raises:
        UserError: if there is none of that kind.
    """
    if device == "auto":
        return
    try:
        jax.config.update("jax_default_device", jax.devices(device)[0])
    except RuntimeError as error:
        here = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(f"device={device!r} is not there; here is {here}") from error


def mesh_for(batch_size: int) -> Mesh:
    """A mesh over as many devices as divide the batch, one axis `data`."""
    count = len(devices())
    used = max(n for n in range(1, count + 1) if batch_size % n == 0)
    return Mesh(np.asarray(devices()[:used]), ("data",))


def fitting_devices(batch_size: int) -> int:
    """The batch size rounded up to a multiple of the number of devices."""
    return -(-batch_size // len(devices())) * len(devices())


def over_examples(mesh: Mesh) -> NamedSharding:
    """Splits the first axis over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """A copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def exact_pass(
    function: Callable[[Any, Any], dict[str, Any]],
    split: Any,
    batch_size: int,
    mesh: Mesh,
    progress: Callable[[int], object] = lambda count: None,
) -> dict[str, np.ndarray]:
    """`function(raw [batch, ...], ids [batch]) -> dict of [batch]` on each example of a split once.

    A short last batch is filled up with its first example, and the filling thrown away.

    Returns:
        A dict of float64 arrays `[len(split)]`, in the split's order.
    """
    parts = []
    for start in range(0, len(split), batch_size):
        ids = np.arange(start, min(start + batch_size, len(split)))
        full = np.concatenate([ids, np.full(batch_size - len(ids), start)])
        raw, where = jax.device_put((gather(split, full), full), over_examples(mesh))
        values = jax.device_get(function(raw, where))
        parts.append({k: np.asarray(v, np.float64)[: len(ids)] for k, v in values.items()})
        progress(len(ids))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
