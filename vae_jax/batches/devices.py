"""The devices there are, and how arrays reach them: a copy on each, or split by examples."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vae_jax.errors import UserError

# Elementwise code as wide as the matrix products': about 8% of a step where there is AVX-512.
COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
# For a program that runs once: it is compiled in a third of the time.
ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def devices() -> list[jax.Device]:
    """The devices of the kind that JAX computes on by default."""
    default = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.devices(default.platform) if isinstance(default, jax.Device) else jax.devices()


def use_device(device: str) -> None:
    """Makes JAX compute on a kind of device: cpu, gpu or tpu; `auto` leaves it to JAX.

    Raises:
        UserError: if there is none of that kind, or none of those that JAX_PLATFORMS asks for.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # a plugin that is missing fails an assertion
        asked = f"JAX_PLATFORMS={jax.config.jax_platforms}"  # type: ignore[attr-defined]
        raise UserError(f"{asked}: no such device is here; without it JAX chooses one") from error
    if device == "auto":
        return
    try:
        jax.config.update("jax_default_device", jax.devices(device)[0])
    except RuntimeError as error:
        here = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(f"device={device!r} is not there; here is {here}") from error


def compiled(program: Any, *arguments: Any) -> Callable[..., Any]:
    """A jitted function compiled for such arguments; itself where JAX_DISABLE_JIT is set."""
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return program
    return program.lower(*arguments).compile()


def mesh_for(batch_size: int) -> Mesh:
    """A mesh over as many devices as divide the batch, one axis `data`."""
    count = len(devices())
    used = max(n for n in range(1, count + 1) if batch_size % n == 0)
    return Mesh(np.asarray(devices()[:used]), ("data",))


def fitting_devices(batch_size: int) -> int:
    """The batch size rounded up to a multiple of the number of devices."""
    return -(-batch_size // len(devices())) * len(devices())


def copy_to_devices(tree: Any, mesh: Mesh) -> Any:
    """The arrays, a copy on each device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_over_devices(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """The arrays, split over the devices of the mesh along their axis of examples."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, "data")))
