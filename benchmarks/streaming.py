"""Training from a stream against training from the device's memory, on MNIST's shapes.

    python -m benchmarks.streaming [ROUNDS]

Each call trains `experiments/mnist.py` for two short epochs, from windows that are resident or
streamed as a training's are (`config.max_device_bytes=0`): of an array in memory, of a memory map,
and of MNIST by TFDS, decoded before (`cache`) or as it is read (ArrayRecord), where it is there.
The last figures are the examples a second that reading alone gives.
"""

import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.contestants.ours import program
from benchmarks.rates import ratio, time_in_turn
from benchmarks.settings import Setting, images
from benchmarks.training import MNIST
from vae_jax.batches.devices import mesh_for
from vae_jax.batches.keys import epoch_order, keys_of
from vae_jax.batches.rows import gather
from vae_jax.batches.windows import Order, windows
from vae_jax.config import components
from vae_jax.errors import UserError

BATCH, STEPS, EPOCHS = 100, 150, 2
RESIDENT = "resident"


def sources(folder: Path) -> dict[str, object]:
    """The same kind of examples, where they may lie."""
    array = np.resize(images(), (50_000, 28, 28, 1))
    np.save(folder / "x.npy", array)
    splits = {"array": array, "memory map": np.load(folder / "x.npy", mmap_mode="r")}
    for name, cache in {"TFDS, cached": True, "TFDS, decoded as it is read": False}.items():
        try:
            dataset = components.build("datasets", f"tfds(name='mnist', cache={cache})")()
            splits[name] = dataset.splits["train"]
        except UserError as error:
            print(error, file=sys.stderr)
    return splits


def training(run, start, split, max_bytes: int):
    """A call that trains for `EPOCHS` epochs of `STEPS` steps from a split's windows."""
    mesh = mesh_for(BATCH)
    cut = windows(split, mesh, BATCH, 1000, max_bytes)
    key, held = jax.random.key(0), [start(keys_of(0))]
    order = Order(lambda epoch: epoch_order(key, epoch, len(split), BATCH)[:STEPS], STEPS, EPOCHS)

    def call():
        for window in cut(order, 0):
            [(held[0], _)] = run(held, [key], window.data, [window.rows], [window.ids])
            jax.block_until_ready(held)

    return call


def reading(split) -> float:
    """Examples a second that are read, in a random order, by one thread."""
    rows = np.random.default_rng(0).permutation(len(split))[:5000]
    began = time.perf_counter()
    gather(split, rows)
    return len(rows) / (time.perf_counter() - began)


def main(rounds: int = 5) -> None:
    """Prints the rate of each source over that of the resident one."""
    with tempfile.TemporaryDirectory() as folder:
        splits = sources(Path(folder))
        resident = training(*program(Setting(MNIST, BATCH, STEPS)), splits["array"], 2**32)
        calls = {RESIDENT: resident}
        for name, split in splits.items():
            calls[name] = training(*program(Setting(MNIST, BATCH, STEPS)), split, 0)
        seconds = time_in_turn(calls, rounds)
        pace = np.median(seconds[RESIDENT]) / (STEPS * EPOCHS)
        print(f"resident: {1e3 * pace:.2f} ms a step of {BATCH} examples")
        for name, split in splits.items():
            rate = ratio(seconds[RESIDENT], seconds[name])
            print(f"{name:28} {rate} of it; reading alone {reading(split):,.0f} examples/s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
