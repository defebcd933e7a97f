"""The time of a training step with each part there is, as a multiple of `experiments/mnist.py`'s.

    python -m benchmarks.parts [FAMILY ...]

Beside the time stands the arithmetic, in the same way: operations, and exponentials, logarithms and
the like, of one update as XLA counts them before it optimizes; what takes longer than its arithmetic
wastes something. So does the memory: the bytes of temporaries of one update. The parts are found in their folders. x is bits, or else what the likelihood takes.
"""

import itertools
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rates import ratio, time_in_turn
from benchmarks.steps import images, mnist_config
from vae_jax import UserError, config
from vae_jax.batches.keys import keys_of
from vae_jax.batches.rows import rows_of
from vae_jax.config import components
from vae_jax.training.job import Job, make_job
from vae_jax.training.update import RunSteps

FAMILIES = {  # fields that name a part of the family
    "priors": ("prior",),
    "posteriors": ("posterior",),
    "likelihoods": ("likelihood",),
    "objectives": ("objective",),
    "networks": ("encoder", "decoder"),
}
MORE = {"objectives": ("iwae(gradient='stl')", "iwae(gradient='dreg')")}
WAYS = ("binarize='dynamic'", "values='dequantized'", "values='levels'")  # to make x
EXAMPLES, BATCH, STEPS, ROUNDS = 1000, 100, 10, 5
LARGEST = 1000  # numbers of z


class Program(NamedTuple):
    """Some steps, one after another, and the arithmetic and the temporary bytes of one."""

    call: Any
    cost: dict[str, float]


def base_config(path: Path):
    data = f"npz(path='{path}', scale=255.0, {WAYS[0]})"
    return mnist_config(data=data, num_epochs=1, optimizer="adam(learning_rate=1e-6)")


def write_images(path: Path) -> None:
    """Images of ten classes."""
    train = images((28, 28, 1), EXAMPLES)
    np.savez(path, train=train, train_labels=np.arange(EXAMPLES) % 10)


def job_of(path: Path, family: str, part: str) -> Job:
    """The base with that part, on the first kind of x, given nothing or classes, that goes with it."""
    refusals = []
    for given, way in itertools.product(("", "labels"), WAYS):
        cfg = base_config(path)
        cfg.update(dict.fromkeys(FAMILIES[family], part), given=given)
        cfg.data = cfg.data.replace(WAYS[0], way)
        try:
            job = make_job(config.resolve(cfg))
            if (size := job.facts.prior.event_shape[0]) > LARGEST:
                raise UserError(f"a z of {size:,} numbers is another model")
            return job
        except UserError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def program(job: Job) -> Program:
    run, state = RunSteps(job.update), job.parts.start(keys_of(0))
    key = jax.random.key(1)
    data = jax.tree.map(jnp.asarray, rows_of(job.parts.dataset, "train"))
    ids = [jnp.arange(STEPS * BATCH, dtype=jnp.int32).reshape(STEPS, BATCH) % EXAMPLES]
    held = [state]

    def call():
        held[:] = [new for new, _ in run(held, [key], data, ids, ids)]
        jax.block_until_ready(held)

    keys = jax.random.split(key, (BATCH, 2))
    one = jax.jit(job.update).lower(state, keys, jax.tree.map(lambda a: a[:BATCH], data))
    memory = {"memory": one.compile().memory_analysis().temp_size_in_bytes}
    return Program(call, {**(one.cost_analysis() or {}), **memory})


def line(name: str, one: Program, base: Program) -> str:
    seconds = time_in_turn({"one": one.call, "base": base.call}, ROUNDS)
    counts = (one.cost.get(c, 0) / base.cost[c] for c in ("flops", "transcendentals", "memory"))
    numbers = " ".join(f"{count:8.2f}" for count in counts)
    return f"{name:34} {ratio(seconds['one'], seconds['base']):24} {numbers}"


def main() -> None:
    logging.getLogger("vae_jax").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        write_images(path := Path(folder) / "made_up.npz")
        base = program(make_job(config.resolve(base_config(path))))
        print(f"{'part':34} {'time':24} {'flops':>8} {'exp etc.':>8} {'memory':>8}")
        for family in sys.argv[1:] or FAMILIES:
            for part in (*components.names(family), *MORE.get(family, ())):
                try:
                    print(line(part, program(job_of(path, family, part)), base), flush=True)
                except UserError as refusal:
                    print(f"{part:34} not beside the others: {refusal}")


if __name__ == "__main__":
    main()
