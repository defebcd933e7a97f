"""PyTorch as it is usually written: a module, Adam, a loop over rows of one tensor."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from benchmarks.rates import Call
from benchmarks.settings import LEARNING_RATE, Arrays, Setting, images

NAME = "PyTorch, eager"


class Network(nn.Module):
    """Our layers: tanh, or gates."""

    def __init__(self, layers: Arrays, is_gated: bool):
        super().__init__()
        self.layers, self.is_gated = nn.ModuleList(map(_linear, layers)), is_gated

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.layers
        if self.is_gated:
            for gate, value in zip(hidden[::2], hidden[1::2], strict=True):
                x = value(x) * torch.sigmoid(gate(x))
        else:
            for layer in hidden:
                x = torch.tanh(layer(x))
        return last(x)


def _linear(layer: tuple[np.ndarray, np.ndarray]) -> nn.Linear:
    weights, bias = layer
    linear = nn.Linear(*weights.shape)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights.T.copy()))
        linear.bias.copy_(torch.from_numpy(bias.copy()))
    return linear


class VAE(nn.Module):
    """The model of a setting with our weights."""

    def __init__(self, setting: Setting):
        super().__init__()
        self.encoder = Network(setting.layers("encoder"), setting.is_gated)
        self.decoder = Network(setting.layers("decoder"), setting.is_gated)
        pseudo = setting.pseudo_inputs
        self.pseudo = None if pseudo is None else nn.Parameter(torch.from_numpy(pseudo.copy()))

    def forward(self, x: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """The loss."""
        loc, log_scale = self.encoder(x).chunk(2, -1)
        z = loc + log_scale.exp() * (torch.randn_like(loc) if noise is None else noise)
        nll = cross_entropy(self.decoder(z), x, reduction="none").sum(-1)
        return (nll + self.kl(z, loc, log_scale)).mean()

    def kl(self, z: torch.Tensor, loc: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
        if self.pseudo is None:
            return 0.5 * (loc**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(-1)
        components = log_normal(z[:, None], *self.encoder(self.pseudo).chunk(2, -1))
        log_p = components.logsumexp(-1) - math.log(len(self.pseudo))
        return log_normal(z, loc, log_scale) - log_p


def log_normal(z: torch.Tensor, loc: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """log N(z; loc, scale^2), summed over the last axis."""
    standard = (z - loc) * (-log_scale).exp()
    return (-0.5 * standard**2 - log_scale - 0.5 * math.log(2 * math.pi)).sum(-1)


def loss(setting: Setting, x: Any, keys: Any, noise: Any) -> float:
    tensor = torch.from_numpy(np.array(x, np.float32).reshape(len(x), -1))
    return float(VAE(setting)(tensor, torch.from_numpy(noise.copy())).detach())


def training(setting: Setting, how: Any = lambda function: function, **options: Any) -> Call:
    """Args: `how` the function of raw rows is compiled; options of Adam."""
    model, data = VAE(setting), torch.from_numpy(images().reshape(-1, 784))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, **options)
    order = torch.from_numpy(setting.order.astype(np.int64))
    of_rows = how(lambda raw: model(torch.bernoulli(raw.float() / 255)))

    def call() -> None:
        for ids in order:
            value = of_rows(data[ids])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return call


def evaluations(setting: Setting, x: np.ndarray, k: int) -> Mapping[str, Call]:
    """A loop over images: each is encoded once, and 1,000 draws are decoded at a time."""
    model, tensor = VAE(setting), torch.from_numpy(x.reshape(len(x), -1))
    rows = math.gcd(k, 1000)

    @torch.inference_mode()
    def of_one(x: torch.Tensor) -> float:
        loc, log_scale = model.encoder(x).chunk(2, -1)
        parts = []
        for _ in range(k // rows):
            z = loc + log_scale.exp() * torch.randn(rows, len(loc))
            logits = model.decoder(z)
            nll = cross_entropy(logits, x.expand_as(logits), reduction="none").sum(-1)
            log_p = log_normal(z, torch.zeros_like(loc), torch.zeros_like(loc))
            parts.append(log_p - nll - log_normal(z, loc, log_scale))
        return float(torch.cat(parts).logsumexp(0) - math.log(k))

    return {"PyTorch, a loop over images": lambda: float(np.mean([of_one(x) for x in tensor]))}
