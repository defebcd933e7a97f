"""The machine's rate on a model's matrix products and nothing else, by XLA and by PyTorch.

Neither is the limit: the better of the two is the best that is known of the machine.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rates import Call
from benchmarks.settings import Setting

Shapes = Sequence[tuple[int, int]]


class Chain:
    """The networks' shapes, gates beside their values; a VampPrior's inputs pass the encoder too."""

    def __init__(self, setting: Setting):
        encoder, decoder = (
            self._shapes(setting, name, setting.is_gated) for name in ("encoder", "decoder")
        )
        self.encoder, self.decoder = encoder, decoder
        pseudo = setting.pseudo_inputs
        self.pseudo = 0 if pseudo is None else len(pseudo)

    @staticmethod
    def _shapes(setting: Setting, name: str, is_gated: bool) -> Shapes:
        *hidden, last = [weights.shape for weights, _ in setting.layers(name)]
        pairs = hidden[::2] if is_gated else hidden
        return [*((i, o * (1 + is_gated)) for i, o in pairs), last]

    def training_flops(self, batch: int) -> int:
        """Products forward, and twice as many back, but for the gradient of the data."""
        each = [sum(2 * i * o for i, o in shapes) for shapes in (self.encoder, self.decoder)]
        of_x = 2 * self.encoder[0][0] * self.encoder[0][1]
        return batch * (3 * sum(each) - of_x) + self.pseudo * 3 * each[0]

    def decoding_flops(self, rows: int) -> int:
        """Products of one pass through the decoder."""
        return rows * sum(2 * i * o for i, o in self.decoder)

    def weights(self) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        shapes = [*self.encoder, *self.decoder]
        return [(rng.normal(size=s) * s[0] ** -0.5).astype(np.float32) for s in shapes]

    def gradients(self, weights: list, x: Any, pseudo: Any, join: Any) -> tuple[list, Any]:
        """The products of a step, forward and back; `join` concatenates along the last axis."""
        cut = len(self.encoder)
        encoder, decoder = weights[:cut], weights[cut:]
        a = _forward(encoder, x)
        b = _forward(decoder, a[-1][:, : decoder[0].shape[0]])
        of_decoder, g = _back(decoder, b, b[-1] * 1e-6, True, join)
        of_encoder, _ = _back(encoder, a, join([g, g]), False, join)
        if pseudo is None:
            return [*of_encoder, *of_decoder], None
        c = _forward(encoder, pseudo)
        more, of_inputs = _back(encoder, c, c[-1] * 1e-6, True, join)
        summed = [one + other for one, other in zip(of_encoder, more, strict=True)]
        return [*summed, *of_decoder], of_inputs


def _forward(weights: list, x: Any) -> list:
    """The inputs of each layer, of which a gate takes a half, and the last one's output."""
    passed = [x]
    for w in weights:
        passed.append(passed[-1][:, : w.shape[0]] @ w)
    return passed


def _back(weights: list, passed: list, g: Any, to_input: bool, join: Any) -> tuple[list, Any]:
    gradients = []
    for i in reversed(range(len(weights))):
        g = g if g.shape[1] == weights[i].shape[1] else join([g, g])
        gradients.insert(0, passed[i][:, : weights[i].shape[0]].T @ g)
        if i or to_input:
            g = g @ weights[i].T
    return gradients, g


def _xla_training(setting: Setting) -> Call:
    """A multiple of each gradient is taken off its weight, so that none can be left out."""
    chain = Chain(setting)
    x = jax.random.normal(jax.random.key(1), (setting.batch, 784))
    pseudo = jnp.ones((chain.pseudo, 784)) if chain.pseudo else None

    def step(state: Any, _: None) -> tuple[Any, None]:
        weights, inputs = state
        gradients, of_inputs = chain.gradients(weights, x, inputs, lambda g: jnp.concatenate(g, 1))
        moved = [w - 1e-9 * g for w, g in zip(weights, gradients, strict=True)]
        return (moved, None if inputs is None else inputs - 1e-9 * of_inputs), None

    run = jax.jit(lambda state: jax.lax.scan(step, state, None, length=setting.steps)[0])
    start = [jnp.asarray(w) for w in chain.weights()], pseudo
    return lambda: jax.block_until_ready(run(start))


def _torch_training(setting: Setting) -> Call:
    import torch

    chain = Chain(setting)
    weights, x = [torch.from_numpy(w) for w in chain.weights()], torch.randn(setting.batch, 784)
    pseudo = torch.ones(chain.pseudo, 784) if chain.pseudo else None

    @torch.inference_mode()
    def call() -> None:
        for _ in range(setting.steps):
            chain.gradients(weights, x, pseudo, lambda g: torch.cat(g, 1))

    return call


def _xla_decoding(setting: Setting, rows: int, times: int) -> Call:
    chain = Chain(setting)
    weights = [jnp.asarray(w) for w in chain.weights()[len(chain.encoder) :]]

    def step(z: Any, _: None) -> tuple[Any, None]:
        return z + 1e-9 * _forward(weights, z)[-1].sum(), None

    run = jax.jit(lambda z: jax.lax.scan(step, z, None, length=times)[0])
    z = jnp.ones((rows, weights[0].shape[0]))
    return lambda: jax.block_until_ready(run(z))


def _torch_decoding(setting: Setting, rows: int, times: int) -> Call:
    import torch

    chain = Chain(setting)
    weights = [torch.from_numpy(w) for w in chain.weights()[len(chain.encoder) :]]
    z = torch.ones(rows, weights[0].shape[0])

    @torch.inference_mode()
    def call() -> None:
        for _ in range(times):
            _forward(weights, z)

    return call


TRAINING = {"products alone, XLA": _xla_training, "products alone, PyTorch": _torch_training}
DECODING = {"products alone, XLA": _xla_decoding, "products alone, PyTorch": _torch_decoding}
