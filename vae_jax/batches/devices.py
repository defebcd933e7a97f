"""The devices there are, and how arrays reach them: a copy on each, or split by examples."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vae_jax import hosts
from vae_jax.errors import UserError

DATA, MODEL = "data", "model"  # the axes of a mesh
SMALL = 2**12  # numbers of an array that costs less to copy than to split

# Elementwise code as wide as the matrix products': about 8% of a step where there is AVX-512.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"cpu": {"xla_cpu_prefer_vector_width": 512}}
# For programs that run once: they are compiled in half the time.
ONCE: Mapping[str, Mapping[str, Any]] = {
    "cpu": {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
}


def devices() -> list[jax.Device]:
    """The devices of the kind that JAX computes on by default."""
    default = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.devices(default.platform) if isinstance(default, jax.Device) else jax.devices()


def local_device() -> jax.Device:
    """The first of them that is this process's own."""
    return next(d for d in devices() if d.process_index == jax.process_index())


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
        jax.config.update("jax_default_device", jax.local_devices(backend=device)[0])
    except RuntimeError as error:
        here = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(f"device={device!r} is not there; here is {here}") from error


def compiler_options(by_platform: Mapping[str, Mapping[str, Any]] = OPTIONS) -> dict[str, Any]:
    """The options of XLA for the platform that JAX computes on: those of one reach no other."""
    return dict(by_platform.get(devices()[0].platform, {}))


def compiled(program: Any, *arguments: Any) -> Callable[..., Any]:
    """A jitted function compiled for such arguments; itself where JAX_DISABLE_JIT is set."""
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return program
    return program.lower(*arguments).compile()


def mesh_for(batch_size: int, sizes: tuple[int, int] | None = None) -> Mesh:
    """A mesh of devices with the axes `data`, of examples, and `model`, of large arrays.

    Args:
        batch_size: of what is split along `data`.
        sizes: of the axes; None: as many devices of each process as divide the batch, and 1.

    Raises:
        UserError: for a batch that they do not divide, and sizes that the devices do not have.
    """
    if sizes is not None:
        return _mesh_of(batch_size, *sizes)
    of_process: dict[int, list[jax.Device]] = {}
    for device in devices():
        of_process.setdefault(device.process_index, []).append(device)
    processes, most = len(of_process), min(map(len, of_process.values()))
    used = max((n for n in range(1, most + 1) if batch_size % (n * processes) == 0), default=0)
    if not used:
        raise UserError(
            f"config.batch_size={batch_size}: a multiple of {processes} processes is needed"
        )
    chosen = [device for several in of_process.values() for device in several[:used]]
    return Mesh(np.asarray(chosen).reshape(-1, 1), (DATA, MODEL))


def _mesh_of(batch_size: int, data: int, model: int) -> Mesh:
    """A mesh of these sizes, an index of `model` within a process where it fits."""
    there, what = len(devices()), f"config.mesh: data={data}, model={model}"
    if data * model > there or (hosts.count() > 1 and data * model < there):
        advice = "several processes use all" if hosts.count() > 1 else "config.mesh='' takes these"
        raise UserError(f"{what} needs {data * model} devices; JAX sees {there}, and {advice}")
    if batch_size % data:
        raise UserError(f"{what}: config.batch_size={batch_size} is no multiple of {data}")
    return Mesh(np.asarray(devices()[: data * model]).reshape(data, model), (DATA, MODEL))


def fitting_devices(batch_size: int) -> int:
    """The batch size rounded up to a multiple of the number of devices."""
    return -(-batch_size // len(devices())) * len(devices())


def copy_to_devices(tree: Any, mesh: Mesh) -> Any:
    """The arrays, a copy on each device of the mesh."""
    return jax.tree.map(lambda a: _put(a, whole(mesh)), tree)


def whole(mesh: Mesh) -> NamedSharding:
    """How an array lies of which each device has a copy."""
    return NamedSharding(mesh, PartitionSpec())


def shard(tree: Any, mesh: Mesh) -> Any:
    """The arrays of a state, large ones split along `model`, a copy for each index of `data`."""
    return jax.tree.map(_put, tree, shardings(tree, mesh))


def shardings(tree: Any, mesh: Mesh) -> Any:
    """How the arrays of a state lie on a mesh: the largest axis that `model` divides is split.

    It is a function of the shape, so that the moments of an optimizer lie as their parameters do.
    Small arrays, and those with no such axis, are copied.
    """
    return jax.tree.map(lambda a: _sharding(np.shape(a), mesh), tree)


def _sharding(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    sizes = [size * (size % mesh.shape[MODEL] == 0) for size in shape]
    if mesh.shape[MODEL] == 1 or np.prod(shape) < SMALL or not any(sizes):
        return whole(mesh)
    axis = max(range(len(shape)), key=lambda i: (sizes[i], i))
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, MODEL))


def here(tree: Any) -> Any:
    """The arrays, those that other processes have parts of whole and on a device of this one."""
    if hosts.count() == 1:
        return tree
    return jax.device_put(hosts.gathered(tree), local_device())


def rows_here(mesh: Mesh, size: int) -> slice:
    """The part of `size` examples, split along `data`, that the devices of this process take."""
    places = NamedSharding(mesh, PartitionSpec(DATA)).addressable_devices_indices_map((size,))
    parts = [index[0].indices(size) for index in places.values() if index]
    return slice(min(part[0] for part in parts), max(part[1] for part in parts))


def split_over_devices(tree: Any, mesh: Mesh, axis: int = 0, size: int | None = None) -> Any:
    """The arrays, split along `data` by their axis of examples.

    Args:
        tree: of all examples, or of `rows_here` of them.
        mesh: the devices.
        axis: of examples.
        size: the number of all examples, where `tree` has a part.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))
    return jax.tree.map(lambda a: _put(a, sharding, axis, size), tree)


def _put(array: Any, sharding: NamedSharding, axis: int = 0, size: int | None = None) -> jax.Array:
    """An array on devices, of which this process feeds its own."""
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    shape = list(np.shape(array))
    if size is not None:
        shape[axis] = size
    return jax.make_array_from_process_local_data(sharding, np.asarray(array), tuple(shape))
