"""The machine's matrix-multiply rate on a model's shapes, and how to time things in turn."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

ENCODER = ((784, 200), (200, 200), (200, 100))
DECODER = ((50, 200), (200, 200), (200, 784))


def time_in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, A B C A B C ..., after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> str:
    """Median of the ratios round by round, with the least and the greatest."""
    ratios = np.array(numerator) / np.array(denominator)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def weights(shapes):
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [jax.random.normal(k, s) * s[0] ** -0.5 for k, s in zip(keys, shapes, strict=True)]


def training_flops(batch: int) -> int:
    """Products forward, and twice as many back, but for the gradient of x."""
    forward = sum(2 * i * o for i, o in (*ENCODER, *DECODER))
    return batch * (3 * forward - 2 * ENCODER[0][0] * ENCODER[0][1])


def chain_of_training(batch: int, steps: int) -> Callable[[], object]:
    """The matrix products of `steps` training steps, forward and back, and nothing else.

    A multiple of each weight gradient is taken off the weight, so that none can be left out.
    """

    def step(w, _):
        encoder, decoder = w[:3], w[3:]
        a = [x]
        for matrix in encoder:
            a.append(a[-1] @ matrix)
        b = [a[-1][:, :50]]
        for matrix in decoder:
            b.append(b[-1] @ matrix)
        grads, g = [], b[-1] * 1e-6
        for matrix, h in zip(decoder[::-1], b[-2::-1], strict=True):
            grads, g = [h.T @ g, *grads], g @ matrix.T
        g = jnp.concatenate([g, g], 1)
        for i, (matrix, h) in enumerate(zip(encoder[::-1], a[-2::-1], strict=True)):
            grads, g = [h.T @ g, *grads], g @ matrix.T if i < 2 else g
        return [m - 1e-9 * d for m, d in zip(w, grads, strict=True)], None

    x = jax.random.normal(jax.random.key(1), (batch, 784))
    run = jax.jit(lambda w: jax.lax.scan(step, w, None, length=steps)[0])
    start = weights((*ENCODER, *DECODER))
    return lambda: jax.block_until_ready(run(start))


def decoding_flops(rows: int) -> int:
    return rows * sum(2 * i * o for i, o in DECODER)


def chain_of_decoding(rows: int, times: int) -> Callable[[], object]:
    """The decoder's matrix products on `rows` draws, `times` over, and nothing else."""
    matrices = weights(DECODER)

    def step(z, _):
        h = z
        for matrix in matrices:
            h = h @ matrix
        return z + 1e-9 * h.sum(), None

    run = jax.jit(lambda z: jax.lax.scan(step, z, None, length=times)[0])
    z = jnp.ones((rows, 50))
    return lambda: jax.block_until_ready(run(z))
