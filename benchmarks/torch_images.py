"""The models `conv` and `resnet` in PyTorch, layer by layer the same, as its users write them."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Halving(nn.Module):
    """Stride 2 with SAME padding, which is below and to the right of images of even sizes."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Doubling(nn.Module):
    """The transposed convolution with stride 2, without the row and the column that are over."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[..., :-1, :-1]


class Residual(nn.Module):
    def __init__(self, width: int, activation: Any):
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.inner = nn.Sequential(activation(), layers[0], activation(), layers[1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class VAE(nn.Module):
    """Bernoulli pixels, a normal of `latents` dimensions, and its KL in closed form."""

    def __init__(
        self, shape: tuple[int, ...], channels: tuple[int, ...], latents: int, blocks: int
    ):
        super().__init__()
        height, width, colours = shape
        activation = nn.SiLU if blocks else nn.ReLU
        grid = (channels[-1], height // 2 ** len(channels), width // 2 ** len(channels))
        size = int(np.prod(grid))

        def refined(width: int) -> list[nn.Module]:
            return [Residual(width, activation) for _ in range(blocks)]

        down: list[nn.Module] = []
        for before, after in pairwise((colours, *channels)):
            down += [Halving(before, after), activation(), *refined(after)]
        up: list[nn.Module] = []
        for before, after in pairwise((*channels[::-1], colours)):
            up += [activation(), *refined(before), Doubling(before, after)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(size, 2 * latents))
        self.decoder = nn.Sequential(nn.Linear(latents, size), nn.Unflatten(1, grid), *up)
        self.grid = grid

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        logits = self.decoder(z)
        bits = functional.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        )
        return -bits.sum((1, 2, 3))

    def elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        loc, log_scale = self.encoder(x).chunk(2, dim=-1)
        kl = 0.5 * (loc**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(-1)
        return self.log_likelihood(loc + log_scale.exp() * noise, x) - kl

    @torch.no_grad()
    def log_p(self, x: Tensor, num_samples: int, chunk: int) -> Tensor:
        """Importance sampling of each image, `chunk` draws at a time."""
        values = []
        for image in x[:, None]:
            loc, log_scale = self.encoder(image).chunk(2, dim=-1)
            parts = []
            for _ in range(0, num_samples, chunk):
                noise = torch.randn(chunk, loc.shape[-1])
                z = loc + log_scale.exp() * noise
                log_ratio = (0.5 * noise**2 + log_scale - 0.5 * z**2).sum(-1)
                parts.append(self.log_likelihood(z, image) + log_ratio)
            values.append(torch.logsumexp(torch.cat(parts), 0) - np.log(num_samples))
        return torch.stack(values)

    @torch.no_grad()
    def load_ours(self, params: Any) -> "VAE":
        """With the parameters of our model, whose axes have other orders."""
        for network, branch in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            counts: Counter[str] = Counter()
            for module in network:
                if name := NAMES.get(type(module)):
                    _load(module, params[branch][f"{name}_{counts[name]}"], self.grid)
                    counts[name] += 1
        return self


NAMES = {Halving: "Conv", Doubling: "ConvTranspose", Residual: "Residual", nn.Linear: "Dense"}


def _load(module: nn.Module, branch: Any, grid: tuple[int, int, int]) -> None:
    if isinstance(module, Residual):
        for number, conv in enumerate(module.inner[1::2]):
            _copy(conv, branch[f"Conv_{number}"], (3, 2, 0, 1))
    elif isinstance(module, Halving):
        _copy(module.conv, branch, (3, 2, 0, 1))
    elif isinstance(module, Doubling):
        kernel, bias = branch["kernel"][::-1, ::-1], branch["bias"]
        _copy(module.conv, {"kernel": kernel, "bias": bias}, (2, 3, 0, 1))
    else:
        _copy(module, _channels_first(branch, grid), (1, 0))


def _copy(module: Any, branch: Any, axes: tuple[int, ...]) -> None:
    module.weight.copy_(torch.tensor(np.asarray(branch["kernel"]).transpose(axes).copy()))
    module.bias.copy_(torch.tensor(np.asarray(branch["bias"])))


def _channels_first(branch: Any, grid: tuple[int, int, int]) -> Any:
    """A dense layer from or to a grid `[height, width, channels]`, for `[channels, ...]`."""
    channels, height, width = grid
    order = np.arange(np.prod(grid)).reshape(height, width, channels).transpose(2, 0, 1).ravel()
    kernel, bias = (np.asarray(branch[name]) for name in ("kernel", "bias"))
    if len(kernel) == len(order):
        return {"kernel": kernel[order], "bias": bias}
    return {"kernel": kernel[:, order], "bias": bias[order]}
