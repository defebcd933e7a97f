"""Training steps of `experiments/mnist.py` against PyTorch's and the machine's matrix products.

    python -m benchmarks.training

The images are made up where there is no MNIST; the time of a step does not depend on them.
"""

import sys
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rates import chain_of_training, ratio, time_in_turn, training_flops
from vae_jax.batches.keys import epoch_order, keys_of
from vae_jax.datasets._making import make_dataset
from vae_jax.runs.parts import make_parts
from vae_jax.training.update import RunSteps, make_update

BATCH, STEPS, ROUNDS = 100, 300, 9


def images() -> np.ndarray:
    """About a fifth of the pixels inked, as in MNIST."""
    rng = np.random.default_rng(0)
    ink = rng.integers(1, 256, (10_000, 28, 28, 1))
    return np.where(rng.uniform(size=ink.shape) < 0.2, ink, 0).astype(np.uint8)


def program(data: np.ndarray):
    """The program that `train` runs for the experiment's config, and a seed's start."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
    from mnist import get_config

    config = get_config()
    dataset = make_dataset({"train": data}, scale=255.0, binarize="dynamic")
    parts = make_parts(config, dataset=dataset)
    update = make_update(parts.model, parts.objective, parts.rule, dataset)
    return RunSteps(update), parts.start


def steps_of(run, start, data: np.ndarray, seeds: list[int]):
    """A call that trains those seeds for `STEPS` steps, along one axis if they are several."""
    order = epoch_order(jax.random.key(1), 0, len(data), BATCH)
    ids = [jnp.asarray(np.resize(order, (STEPS, BATCH)))] * len(seeds)
    keys, on_device = [jax.random.key(seed) for seed in seeds], jnp.asarray(data)
    held = [start(keys_of(seed)) for seed in seeds]

    def call():
        held[:] = [state for state, _ in run(held, keys, on_device, ids, ids)]
        jax.block_until_ready(held)

    return call


def torch_eager(data: np.ndarray, loader: bool):
    """The same model, optimizer and binarization as a plain PyTorch loop.

    `loader`: batches from a shuffling DataLoader; otherwise rows of one tensor, which is faster.
    """
    import torch
    from torch import nn

    def mlp(*widths):
        pairs = pairwise(widths)
        layers = [layer for i, o in pairs for layer in (nn.Linear(i, o), nn.Tanh())]
        return nn.Sequential(*layers[:-1])

    encoder, decoder = mlp(784, 200, 200, 100), mlp(50, 200, 200, 784)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100_000)
    tensor = torch.from_numpy(data.reshape(-1, 784))
    batches = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(tensor), BATCH, shuffle=True
    )

    def rows():
        order = torch.randperm(len(tensor))
        for i in range(0, len(tensor), BATCH):
            yield (tensor[order[i : i + BATCH]],)

    def call():
        done = 0
        while done < STEPS:
            for (raw,) in batches if loader else rows():
                x = torch.bernoulli(raw.float() / 255)
                loc, log_scale = encoder(x).chunk(2, dim=-1)
                logits = decoder(loc + log_scale.exp() * torch.randn_like(loc))
                nll = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
                kl = 0.5 * (loc**2 + (2 * log_scale).exp() - 1 - 2 * log_scale)
                loss = (nll.sum(-1) + kl.sum(-1)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                done += 1
                if done == STEPS:
                    return

    return call


def main() -> None:
    data = images()
    calls = {
        "ours": steps_of(*program(data), data, [0]),
        "products alone": chain_of_training(BATCH, STEPS),
    }
    try:
        calls |= {"torch": torch_eager(data, False), "torch + DataLoader": torch_eager(data, True)}
    except ModuleNotFoundError:
        print("PyTorch is not installed: pip install 'vae-jax[bench]'")
    seconds = time_in_turn(calls, ROUNDS)
    for name, values in seconds.items():
        each = np.median(values) / STEPS
        rate = training_flops(BATCH) / each / 1e9
        print(
            f"{name:20} {each * 1e3:6.3f} ms a step  {BATCH / each:9.0f} examples/s  {rate:4.0f} GFLOP/s"
        )
    for name in ("torch", "torch + DataLoader"):
        if name in seconds:
            print(f"ours / {name}, examples per second: {ratio(seconds[name], seconds['ours'])}")
    print(f"ours / products alone, rate: {ratio(seconds['products alone'], seconds['ours'])}")


if __name__ == "__main__":
    main()
