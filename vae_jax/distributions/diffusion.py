"""Data that fades into noise, z_t ~ N(alpha_t x, sigma_t^2 I), and the way back.

gamma_t = -log SNR_t = -log(alpha_t^2 / sigma_t^2), with alpha_t^2 + sigma_t^2 = 1 (Kingma et al.
2021, VDM, section 3).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid, softplus
from numpyro.distributions import Distribution, Normal, constraints

from vae_jax.config.ranges import require
from vae_jax.distributions.markov_chain import MarkovChain
from vae_jax.types import Array, Shape


def scales(gamma: Array) -> tuple[Array, Array]:
    """alpha and sigma."""
    return jnp.sqrt(sigmoid(-gamma)), jnp.sqrt(sigmoid(gamma))


def noised(x: Array, gamma: Array) -> Distribution:
    """q(z_t | x) = N(alpha_t x, sigma_t^2 I), x `[..., size]`, gamma `[...]`."""
    alpha, sigma = scales(gamma[..., None])
    return Normal(alpha * x, sigma).to_event(1)


def less_noised(z: Array, x: Array, gamma: Array, gamma_below: Array) -> Distribution:
    """q(z_s | z_t, x), s < t (VDM, eq. 24): normal, its mean linear in z_t and x `[..., size]`."""
    gamma, gamma_below = gamma[..., None], gamma_below[..., None]
    alpha, sigma = scales(gamma_below)
    kept = jnp.exp(
        0.5 * (softplus(gamma_below) - softplus(gamma))
        + log_sigmoid(gamma_below)
        - log_sigmoid(gamma)
    )
    lost = -jnp.expm1(gamma_below - gamma)  # of the noise
    return Normal(kept * z + alpha * lost * x, sigma * jnp.sqrt(lost)).to_event(1)


class Diffusion(MarkovChain):
    """q(z_T | x) prod_t q(z_t-1 | z_t, x), whose marginals are those of `noised`.

    Args:
        x: the data, or features of it, `[..., size]`.
        gamma: of the layers, the noisiest first, `[T + 1]`, falling.
    """

    pytree_data_fields = ("gamma",)

    def __init__(self, x: Array, gamma: Array):
        """The noise of one x, or of a batch."""
        self.gamma = gamma
        super().__init__(None, x, x.shape[-1], len(gamma), x.shape[:-1])

    def conditional(self, layer: Any, before: list[Array]) -> Distribution:
        """q(z_l | z_l-1, x), and of the top q(z_T | x)."""
        if not before:
            return self.marginal(0)
        gamma = self.gamma[layer - 1], self.gamma[layer]
        return less_noised(before[-1], self.arguments, *gamma)

    def marginal(self, layer: Any) -> Distribution:
        """q(z_l | x) of a layer, or of an array of them, each for itself."""
        return noised(self.arguments, self.gamma[layer])

    @property
    def last(self) -> Distribution:
        """q(z_0 | x)."""
        return self.marginal(-1)

    def simple_weight(self, layer: Array) -> Array:
        """That which makes |e - e^|^2 / T of the KL of a layer, 1/2 expm1(d gamma) |e - e^|^2."""
        return 2 / jnp.expm1(self.gamma[layer - 1] - self.gamma[layer]) / (len(self.gamma) - 1)


Denoise = Callable[[Any, Any, Array], Array]  # (arguments, a layer's number, its z) -> x^


class Denoising(MarkovChain):
    """N(z_T; 0, I) prod_t q(z_t-1 | z_t, x = x^(z_t; t)), a model that undoes a `Diffusion`.

    Args:
        denoise: x^, the same function in every instance, since it is compared by identity.
        arguments: its first argument, any pytree of arrays.
        gamma: as in a `Diffusion`.
        size: of a layer.
    """

    pytree_data_fields = ("gamma",)
    pytree_aux_fields = ("denoise",)

    def __init__(self, denoise: Denoise, arguments: Any, gamma: Array, size: int):
        """One joint distribution."""
        self.denoise, self.gamma = denoise, gamma
        super().__init__(None, arguments, size, len(gamma))

    def conditional(self, layer: Any, before: list[Array]) -> Distribution:
        """p(z_l | z_l-1), q's own with x^ in place of x; of the top N(0, I)."""
        if not before:
            return Normal(jnp.zeros(self.sizes[0]), 1.0).to_event(1)
        x = self.denoise(self.arguments, layer - 1, before[-1])
        return less_noised(before[-1], x, self.gamma[layer - 1], self.gamma[layer])

    def path(
        self, key: Array, sample_shape: Shape = (), *, steps: int | None = None, eta: float = 0.0
    ) -> Array:
        """z on its way from noise to data, `[steps + 1, *sample_shape, size]`, by one scan.

        With fewer `steps` than there are it leaves layers out (Song et al. 2021, DDIM, eq. 12):
        `eta` = 0 adds no noise on the way, and 1 is the model's own p(z_s | z_t) where no layer is
        left out.

        Args:
            key: one key.
            sample_shape: of the draws.
            steps: 1 to T; None: T.
            eta: the share of the noise's scale, 0 to 1.

        Raises:
            UserError: if `steps` is not among them.
        """
        T = len(self.sizes) - 1
        steps = T if steps is None else steps
        require(f"steps={steps}", steps, constraints.integer_interval(1, T))
        layers = jnp.round(jnp.linspace(0, T, steps + 1)).astype(int)
        keys = jax.random.split(key, len(layers))
        top = jax.random.normal(keys[0], (*sample_shape, self.sizes[0]))

        def step(z: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            z = self._step(z, *now, eta)
            return z, z

        _, others = jax.lax.scan(step, top, (layers[:-1], layers[1:], keys[1:]))
        return jnp.concatenate([top[None], others])

    def _step(self, z: Array, layer: Array, target: Array, key: Array, eta: float) -> Array:
        gamma, gamma_below = self.gamma[layer], self.gamma[target]
        (alpha, sigma), (alpha_below, sigma_below) = scales(gamma), scales(gamma_below)
        x = self.denoise(self.arguments, layer, z)
        noise = (z - alpha * x) / sigma
        fresh = eta * sigma_below * jnp.sqrt(-jnp.expm1(gamma_below - gamma))
        kept = jnp.sqrt(jnp.maximum(sigma_below**2 - fresh**2, 0.0))
        return alpha_below * x + kept * noise + fresh * jax.random.normal(key, z.shape)
