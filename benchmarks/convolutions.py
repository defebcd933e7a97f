"""Convolutional models against the same ones in PyTorch: training steps, and log p(x) at K = 5000.

    python -m benchmarks.convolutions [--quick]

Both have the same layers, and the same ELBO at the same weights and draws, which is asserted.
PyTorch runs eagerly with its images in either order of axes, and decodes as many draws at a time as
is fastest; ours is compared with the faster. "Products alone" are the matrix products of our step
and nothing else, each a program of its own.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.rates import ratio, time_in_turn
from benchmarks.steps import Steps, images, mnist_config, presented
from benchmarks.torch_images import VAE
from vae_jax.batches.devices import compiler_options
from vae_jax.estimators._rows import decoded_rows
from vae_jax.estimators.importance import importance_sampling
from vae_jax.programs import operations

LATENTS, STORED, K, IMAGES, ROUNDS = 50, 1000, 5000, 2, 7
CHUNKS = (100, 250, 500, 1000, 2500)  # draws that PyTorch decodes together
PRODUCTS = "products alone"
ORDERS = {"PyTorch": torch.contiguous_format, "PyTorch, channels last": torch.channels_last}


class Setting(NamedTuple):
    """A model, and how many steps are timed together."""

    network: str
    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    batch: int
    steps: int

    def ours(self) -> Steps:
        text = f"{self.network}(channels={self.channels})"
        config = mnist_config(
            encoder=text, decoder=text, batch_size=self.batch, optimizer="adam(learning_rate=1e-3)"
        )
        return Steps(config, presented(images(self.shape, STORED)), self.steps)

    def torchs(self, ours: Steps) -> VAE:
        """With the parameters of ours, and its ELBO."""
        blocks = 2 if self.network == "resnet" else 0
        vae = VAE(self.shape, self.channels, LATENTS, blocks)
        vae.load_ours(jax.device_get(ours.params))
        require_equal(vae, ours, self.bits(3))
        return vae

    def bits(self, count: int) -> np.ndarray:
        return (images(self.shape, count) > 0).astype(np.float32)


SETTINGS = (
    Setting("conv", (28, 28, 1), (32, 64), 100, 10),
    Setting("conv", (32, 32, 3), (64, 128), 50, 5),
    Setting("resnet", (28, 28, 1), (32, 64), 100, 2),
)


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x).permute(0, 3, 1, 2).contiguous()


def require_equal(vae: VAE, ours: Steps, x: np.ndarray) -> None:
    """Raises AssertionError unless both give the same ELBO for the same draws."""
    model, noise = ours.parts.model, np.random.default_rng(1).normal(size=(len(x), LATENTS))
    noise = noise.astype(np.float32)

    @jax.jit
    def elbo(params: Any) -> jax.Array:
        q = model.encode(params, x).base_dist
        kl = 0.5 * (q.loc**2 + q.scale**2 - 1 - 2 * jnp.log(q.scale)).sum(-1)
        return model.decode(params, q.loc + q.scale * noise).log_prob(x) - kl

    with torch.no_grad():
        theirs = vae.elbo(channels_first(x), torch.tensor(noise))
    np.testing.assert_allclose(elbo(ours.params), theirs, rtol=1e-5)


def torch_steps(vae: VAE, setting: Setting, order: Any) -> Callable[[], None]:
    """As many steps of a plain loop, binarized at each presentation as ours are."""
    vae = vae.to(memory_format=order)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    raw = torch.tensor(images(setting.shape, STORED)).permute(0, 3, 1, 2)
    raw = raw.contiguous(memory_format=order)

    def call() -> None:
        rows = torch.randperm(STORED)
        for i in range(setting.steps):
            taken = rows.roll(-i * setting.batch)[: setting.batch]
            x = torch.bernoulli(raw[taken].float() / 255)
            loss = -vae.elbo(x, torch.randn(setting.batch, LATENTS)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return call


def report(title: str, seconds: dict[str, list[float]], unit: Callable[[float], str]) -> None:
    """Each median, and the ratio to the fastest of the others."""
    print(title)
    for name, values in seconds.items():
        print(f"  {name:24} {unit(float(np.median(values)))}")
    best = min((name for name in seconds if name != "ours"), key=lambda n: np.median(seconds[n]))
    print(f"  ours / {best}, speed: {ratio(seconds[best], seconds['ours'])}", flush=True)


def products_alone(setting: Setting, ours: Steps) -> Callable[[], None]:
    """As many times the products of the two networks, forward and back."""
    model, x = ours.parts.model, setting.bits(setting.batch)

    def reconstruction(params: Any) -> jax.Array:
        return model.decode(params, model.encode(params, x).base_dist.loc).log_prob(x).sum()

    program = jax.make_jaxpr(jax.grad(reconstruction))(ours.params)
    calls = []
    products = (e for e in operations(program.jaxpr) if e.primitive is jax.lax.dot_general_p)
    for equation in products:
        left, right = (jnp.full(v.aval.shape, 0.1, v.aval.dtype) for v in equation.invars)
        alone = jax.jit(partial(jax.lax.dot_general, **_asked(equation.params)))
        calls.append(partial(alone.lower(left, right).compile(), left, right))

    def call() -> None:
        for _ in range(setting.steps):
            jax.block_until_ready([product() for product in calls])

    return call


def _asked(params: Any) -> dict[str, Any]:
    return {name: params[name] for name in ("dimension_numbers", "preferred_element_type")}


def training(setting: Setting, rounds: int) -> None:
    ours = setting.ours()
    calls: dict[str, Callable[[], None]] = {"ours": ours}
    for name, order in ORDERS.items():
        calls[name] = torch_steps(setting.torchs(ours), setting, order)
    seconds = time_in_turn({PRODUCTS: products_alone(setting, ours), **calls}, rounds)
    products = seconds.pop(PRODUCTS)
    title = f"{setting.network}{setting.channels}, {setting.shape}, batch {setting.batch}: a step"
    report(title, seconds, lambda s: f"{s / setting.steps * 1e3:8.1f} ms")
    print(f"  {PRODUCTS} / ours, time: {ratio(products, seconds['ours'])}", flush=True)


def evaluation(setting: Setting, k: int, count: int, rounds: int) -> None:
    ours, x = setting.ours(), setting.bits(count)
    model, params, vae = ours.parts.model, ours.params, setting.torchs(ours)
    estimate = partial(importance_sampling, model, num_samples=k, rows=decoded_rows(model, params))
    run = jax.jit(estimate, compiler_options=compiler_options())
    keys, seen = jax.random.split(jax.random.key(0), count), channels_first(x)
    chunks = {f"PyTorch, {c} at a time": partial(vae.log_p, seen, k, c) for c in CHUNKS if c <= k}
    seconds = time_in_turn(
        {"ours": lambda: jax.block_until_ready(run(params, keys, x)), **chunks}, rounds
    )
    title = f"{setting.network}{setting.channels}, log p(x), K = {k}: an image"
    report(title, seconds, lambda s: f"{s / count:8.3f} s")


def main(is_quick: bool) -> None:
    k, count, rounds = (200, 2, 1) if is_quick else (K, IMAGES, ROUNDS)
    for setting in SETTINGS:
        training(setting._replace(steps=1) if is_quick else setting, rounds)
    evaluation(SETTINGS[0], k, count, rounds)


if __name__ == "__main__":
    main("--quick" in sys.argv)
