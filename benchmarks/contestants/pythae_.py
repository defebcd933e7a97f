"""pythae: its VAE, the update of its trainer without data loader, and its `get_nll`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder

from benchmarks.contestants.pytorch import Network
from benchmarks.rates import Call
from benchmarks.settings import LEARNING_RATE, Setting, images

NAME = "pythae"
DEFAULT, OTHERS = 100, (500, 1000, 5000)  # draws that `get_nll` decodes at a time


class _Encoder(BaseEncoder):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> ModelOutput:
        loc, log_scale = self.network(x.reshape(len(x), -1)).chunk(2, -1)
        return ModelOutput(embedding=loc, log_covariance=2 * log_scale)


class _Decoder(BaseDecoder):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


def _vae(setting: Setting) -> VAE:
    if setting.is_gated:
        raise NotImplementedError("its VampPrior is another model")
    encoder, decoder = (Network(setting.layers(n), False) for n in ("encoder", "decoder"))
    latent = setting.parts.cfg.latent_dim
    config = VAEConfig(input_dim=(784,), latent_dim=latent, reconstruction_loss="bce")
    return VAE(config, encoder=_Encoder(encoder), decoder=_Decoder(decoder))


def loss(setting: Setting, x: Any, keys: Any, noise: Any) -> float:
    """With the noise put in place of its own."""
    model, tensor = _vae(setting), torch.from_numpy(np.array(x, np.float32).reshape(len(x), -1))
    model._sample_gauss = lambda mu, std: (mu + std * torch.from_numpy(noise.copy()), None)
    return float(model({"data": tensor}).loss.detach())


def training(setting: Setting) -> Call:
    """The update of `BaseTrainer.train_step`."""
    model, data = _vae(setting), torch.from_numpy(images().reshape(-1, 784))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    order = torch.from_numpy(setting.order.astype(np.int64))

    def call() -> None:
        for ids in order:
            output = model({"data": torch.bernoulli(data[ids].float() / 255)})
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
            output.loss.item()

    return call


def evaluations(setting: Setting, x: np.ndarray, k: int) -> Mapping[str, Call]:
    model, tensor = _vae(setting), torch.from_numpy(x.reshape(len(x), -1))

    @torch.inference_mode()
    def nll(batch_size: int) -> float:
        return float(model.get_nll(tensor, k, batch_size))

    names = {DEFAULT: "pythae, get_nll", **{n: f"pythae, get_nll, batches of {n}" for n in OTHERS}}
    return {name: lambda n=n: nll(n) for n, name in names.items() if n <= k}
