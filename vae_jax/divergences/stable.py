"""Differences that keep their digits where their terms nearly cancel, and finite gradients."""

import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln
from jax.typing import ArrayLike

from vae_jax.types import Array

NEAR = 0.3  # relative difference below which the series serve; their next terms are below 1e-15
ATANH = 1 / np.arange(23, 1, -2)
EXP = np.array([1 / math.factorial(k) for k in range(14, 1, -1)])
FAR = 80.0  # e to this is finite in float32
SHIFT = 8  # Stirling's series serve from here on
STIRLING = np.array([-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 0])
SLOPES = np.arange(-11, 0, 2)


def _floats(*numbers: ArrayLike) -> list[Array]:
    """Arrays of floats: parameters may be Python's numbers, of which 1 / 0 is an error."""
    return [jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32)) for x in numbers]


def excess(a: Array, b: Array, difference: Array | None = None) -> Array:
    """x - 1 - log x >= 0 at x = a / b, the Itakura-Saito divergence; `difference` is a - b.

    Near x = 1 by log x = 2 artanh(y), y = (a - b) / (a + b).
    """
    a, b = _floats(a, b)
    delta = (a - b if difference is None else difference) / b
    near = jnp.abs(delta) < NEAR
    small, x = jnp.where(near, delta, 0), jnp.where(near, 2, a / b)
    y = small / (2 + small)
    series = y * small - 2 * y**3 * jnp.polyval(jnp.asarray(ATANH, y.dtype), y**2)
    return jnp.where(near, series, x - 1 - jnp.log(x))


def log_ratio(a: Array, b: Array) -> Array:
    """log (a / b), by log1p where a is near b."""
    a, b = _floats(a, b)
    near = jnp.abs(a - b) < NEAR * b
    small = jnp.where(near, (a - b) / jnp.where(near, b, 1), 0)
    return jnp.where(near, jnp.log1p(small), jnp.log(jnp.where(near, 1, a / b)))


def exp_gap(x: Array) -> Array:
    """e^x - 1 - x >= 0."""
    near = jnp.abs(x) < NEAR
    small, far = jnp.where(near, x, 0), jnp.where(near, 1, x)
    series = small**2 * jnp.polyval(jnp.asarray(EXP, small.dtype), small)
    return jnp.where(near, series, jnp.expm1(far) - far)


def mass_kl(log_q: Array, log_p: Array, d: Array) -> Array:
    """sum_k q_k log (q_k / p_k), `[..., K]` each -> `[...]`, infinite where p is 0 and q is not.

    `d` is log p - log q up to one number for all k; it keeps the digits by which near masses
    differ. With the mean of d taken away the sum is log sum_k q_k e^d_k, as log1p of a mean of
    `exp_gap`, all positive.
    """
    q = jnp.exp(log_q)
    d = d - jnp.take_along_axis(d, jnp.argmax(q, -1, keepdims=True), -1)
    near = (jnp.abs(d) < FAR).all(-1, keepdims=True)
    e = jnp.where(near, d, 0)
    e = e - (q * e).sum(-1, keepdims=True)
    small, large = jnp.minimum(e, 1), jnp.maximum(e, 1)
    raised = jnp.exp(log_q + large) - q * (1 + large)  # q may underflow where q e^e does not
    close = jnp.log1p(jnp.where(e < 1, q * exp_gap(small), raised).sum(-1))
    used = ~near & (q > 0)
    apart = q * (jnp.where(used, log_q, 0) - jnp.where(used, log_p, 0))
    return jnp.where(near[..., 0], close, apart.sum(-1))


def _stirling(x: Array) -> tuple[Array, Array]:
    """log Gamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2 + 1 / 12x] and its derivative, x >= 8."""
    terms, slopes = jnp.asarray(STIRLING, x.dtype), jnp.asarray(STIRLING * SLOPES, x.dtype)
    return jnp.polyval(terms, x**-2) / x, jnp.polyval(slopes, x**-2) / x**2


def gamma_gap(x: Array, y: Array, difference: Array | None = None) -> Array:
    """phi(x) - phi(y) - (x - y) phi'(y) >= 0 of phi(x) = log Gamma(x) - x log x + x.

    `difference` is x - y, where more of its digits are known than x and y keep.

    Small arguments are raised to where Stirling's series serves, by Gamma(x + 1) = x Gamma(x). Of
    its first term, 1 / 12x, the gap is exact.
    """
    x, y = _floats(x, y)
    low, d = jnp.minimum(x, y) < SHIFT, x - y if difference is None else difference
    u, v = jnp.where(low, x + SHIFT, x), jnp.where(low, y + SHIFT, y)
    (rest_u, _), (rest_v, slope) = _stirling(u), _stirling(v)
    series = d**2 / (12 * u * v**2) + rest_u - rest_v - d * slope
    return jnp.where(low, _raised(x, y, d), 0) + excess(u, v, d) / 2 + series


def _raised(x: Array, y: Array, d: Array) -> Array:
    """The gap at x and y less the gap at x + SHIFT and y + SHIFT; d = x - y."""
    u, v = x + SHIFT, y + SHIFT
    near = u * excess(v, u, -d) - x * excess(y, x, -d)
    far = u * jnp.log(u / v) - x * jnp.log(x / y)  # here u - v and x - y need not cancel
    steps = sum(excess(x + k, y + k, d) for k in range(SHIFT))
    return steps + jnp.where(jnp.abs(d) < NEAR * x, near, far)


def log_gamma_excess(x: Array) -> Array:
    """log Gamma(1 + x) + c x >= 0, c Euler's constant, x > -1: about pi^2 x^2 / 12 near 0."""
    one = jnp.ones_like(x)
    return gamma_gap(1 + x, one, x) + (1 + x) * excess(one, 1 + x, -x)


def log_gamma_rest(a: Array) -> Array:
    """log Gamma(a) - a log a + a, about log (2 pi / a) / 2 where a is large."""
    (a,) = _floats(a)
    large = a > SHIFT
    x, y = jnp.where(large, a, SHIFT), jnp.where(large, 1, a)
    series = jnp.log(2 * jnp.pi / x) / 2 + 1 / (12 * x) + _stirling(x)[0]
    return jnp.where(large, series, gammaln(y) - y * jnp.log(y) + y)


def gamma_entropy(a: Array) -> Array:
    """a + log Gamma(a) + (1 - a) psi(a), nats: the entropy of Gamma(a, 1)."""
    (a,) = _floats(a)
    large = a > SHIFT
    x, y = jnp.where(large, a, SHIFT), jnp.where(large, 1, a)
    rest, slope = _stirling(x)
    terms = (1 + jnp.log(2 * jnp.pi * x)) / 2 - 1 / (2 * x) + rest + 1 / (12 * x)
    series = terms + (1 - x) * (slope - 1 / (12 * x**2))
    return jnp.where(large, series, y + gammaln(y) + (1 - y) * digamma(y))
