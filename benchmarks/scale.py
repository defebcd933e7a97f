"""The figures of docs/scale.md that need no long run: of an order, a state, a sweep's run.

    python -m benchmarks.scale

Seconds are those of the processors.
"""

import hashlib
import logging
import pickle
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from vae_jax import config, default_config
from vae_jax.batches.keys import epoch_order, keys_of
from vae_jax.batches.rows import rows_of
from vae_jax.runs.parts import Datasets
from vae_jax.runs.stored import read_params
from vae_jax.sweeps.units import Unit
from vae_jax.sweeps.work import UnitWork
from vae_jax.training.job import make_job

EXAMPLES = 10_000_000


def order() -> None:
    """The time and the bytes of the order of an epoch."""
    key = keys_of(0).order
    epoch_order(key, 0, EXAMPLES, 100)  # compiles
    began = time.process_time()
    rows = epoch_order(key, 1, EXAMPLES, 100)
    seconds = time.process_time() - began
    print(f"order of {EXAMPLES:,} examples: {seconds:.1f} s, {rows.nbytes / EXAMPLES:.0f} B each")


def settings() -> None:
    """The time that a setting is checked for before a sweep begins."""
    datasets, seconds = Datasets(), []
    for i in range(6):
        cfg = config.resolve(default_config())
        cfg.optimizer = f"adam(learning_rate={1e-3 + i * 1e-5!r})"
        began = time.process_time()
        make_job(cfg, datasets=datasets)
        seconds.append(time.process_time() - began)
    print(f"checking one more setting: {np.median(seconds[1:]):.2f} s")


def run() -> None:
    """The bytes of a state and of its checkpoints, the files and the messages of a sweep's run."""
    cfg = config.resolve(default_config())
    cfg.num_epochs = 20
    messages: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "setting" / "seed_0"
        asked = {"split": "test", "estimators": ("importance(num_samples=10)",), "batch_size": 100}
        unit = Unit("setting", cfg.to_dict(), {0: path}, asked, 1)
        UnitWork({})(unit, lambda message: messages.append(pickle.dumps(message)))
        files = [file for file in path.rglob("*") if file.is_file()]
        step, params = read_params(path, "last")
        checkpoint = path / "checkpoints" / str(step)
        stored = sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file())
        count = len([p for p in (path / "checkpoints").iterdir() if p.name.isdigit()])
        lines = (path / "metrics.jsonl").read_text().splitlines()
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    state = make_job(cfg).state
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    print(f"parameters: {size:,}; a state: {held / size:.1f} B each, on disk {stored / size:.1f} B")
    print(f"a run of {step} updates: {len(files)} files with {count} checkpoints")
    print(f"its metrics: {len(lines)} lines of {np.mean([len(line) for line in lines]):.0f} B")
    told = sum(map(len, messages))
    print(f"its messages to the sweep: {len(messages)}, of {told / len(messages):.0f} B")


def hashing() -> None:
    """The bytes a second of the hash that identifies data."""
    data, began = bytes(2**28), time.process_time()
    hashlib.sha256(data)
    print(f"hashing: {len(data) / (time.process_time() - began) / 1e9:.2f} GB/s")


def batch() -> None:
    """The bytes that a step reads of the data."""
    cfg = config.resolve(default_config())
    rows = rows_of(Datasets().make_parts(cfg).dataset, "train")
    example = np.asarray(rows[0])
    print(f"an example of digits: {example.nbytes} B as it is stored, uint8")


def main() -> None:
    logging.getLogger("absl").setLevel(logging.ERROR)
    for figure in (batch, hashing, settings, run, order):
        figure()


if __name__ == "__main__":
    main()
