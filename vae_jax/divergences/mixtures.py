"""KL(q || p) of mixtures of normals without sampling: approximations, lower and upper bounds."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from numpyro.distributions import (
    Distribution,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from vae_jax.divergences.closed_form import describe, innermost
from vae_jax.divergences.whitening import log_det, whitening
from vae_jax.errors import UserError
from vae_jax.types import Array

LOG_2PI = math.log(2 * math.pi)
LEAST_LOG_WEIGHT = -80.0  # for weights of 0, whose logarithms would make NaN of 0 times infinity
TOLERANCE, MOST_STEPS = 1e-6, 10_000  # of the variational upper bound, relative


def mixture_approximations(q: Distribution, p: Distribution) -> dict[str, Array]:
    """Approximations and bounds of KL(q || p), q = sum_a w_a f_a, p = sum_b v_b g_b, f, g normal.

    With K(f, g) the KL of two normals, H their entropy, t(f, g) = int f g and
    B(f, g) = -log int sqrt(f g), from Hershey & Olsen 2007:

    - `gaussian`: K of the two normals that have the moments of q and p.
    - `minimum`: min_ab K(f_a, g_b).
    - `unscented`: log q - log p averaged over 2 D points for each f_a that have its moments.
    - `product`: sum_a w_a log [sum_c w_c t(f_a, f_c) / sum_b v_b t(f_a, g_b)].
    - `variational`: sum_a w_a log [sum_c w_c exp(-K(f_a, f_c)) / sum_b v_b exp(-K(f_a, g_b))].
    - `convexity_upper`: sum_ab w_a v_b K(f_a, g_b), an upper bound.
    - `variational_upper`: the least sum_ab x_ab [K(f_a, g_b) + log(x_ab / y_ab)] of all x, y >= 0
      with sum_b x_ab = w_a and sum_a y_ab = v_b, an upper bound.

    From Durrieu et al. 2012, ICASSP, a lower and an upper bound:

    - `durrieu_lower`: sum_a w_a {log [sum_c w_c exp(-K(f_a, f_c)) / sum_b v_b t(f_a, g_b)]
      - H(f_a)}.
    - `durrieu_upper`: sum_a w_a {log [sum_c w_c t(f_a, f_c) / sum_b v_b exp(-K(f_a, g_b))]
      + H(f_a)}.

    With the entropy bound of Kolchinsky & Tracey 2017 in its place, an upper bound:

    - `pairwise_upper`: sum_a w_a log [sum_c w_c exp(-B(f_a, f_c)) / sum_b v_b exp(-K(f_a, g_b))].

    Those that are not called lower or upper are no bounds and may lie on either side; a lower bound
    may be negative. For one normal each, all but `product` and Durrieu's two are the KL itself.
    Time and memory are those of a `[D, D]` matrix's inverse for each pair of components.

    Args:
        q: a normal (`Normal`, `MultivariateNormal`, `LowRankMultivariateNormal`) or a
            `MixtureSameFamily` of them, with batch axes `[...]`.
        p: likewise, of the same event shape, `[]` or `[D]`.

    Returns:
        nats, `[...]` each.

    Raises:
        UserError: for other distributions.
    """
    f, g = _components(q), _components(p)
    kl_ff, kl_fg = _kl(f, f), _kl(f, g)
    t_ff, t_fg = _log_product(f, f), _log_product(f, g)
    entropy = 0.5 * (f.loc.shape[-1] * (1 + LOG_2PI) + log_det(f.whitening))
    over_f, over_g, mean = partial(_log_mean, f), partial(_log_mean, g), partial(_mean, f)
    convexity = (jnp.exp(g.log_weight)[..., None, :] * kl_fg).sum(-1)
    return {
        "gaussian": _kl(_matched(f), _matched(g))[..., 0, 0],
        "minimum": kl_fg.min((-2, -1)),
        "unscented": _unscented(f, g),
        "product": mean(over_f(t_ff) - over_g(t_fg)),
        "variational": mean(over_f(-kl_ff) - over_g(-kl_fg)),
        "convexity_upper": mean(convexity),
        "variational_upper": _variational_upper(f.log_weight, g.log_weight, kl_fg),
        "durrieu_lower": mean(over_f(-kl_ff) - over_g(t_fg) - entropy),
        "durrieu_upper": mean(over_f(t_ff) - over_g(-kl_fg) + entropy),
        "pairwise_upper": mean(over_f(-_bhattacharyya(f)) - over_g(-kl_fg)),
    }


class _Normals(NamedTuple):
    """Weighted components N(m_c, S_c)."""

    log_weight: Array  # [..., C]
    loc: Array  # [..., C, D]
    covariance: Array  # [..., C, D, D]
    whitening: Array  # [..., C, D, D]


def _normals(log_weight: Array, loc: Array, covariance: Array) -> _Normals:
    return _Normals(log_weight, loc, covariance, whitening(covariance))


def _components(q: Distribution) -> _Normals:
    """A mixture's components; a normal is its only one."""
    if isinstance(q, MixtureSameFamily):
        log_weight = jax.nn.log_softmax(q.mixing_distribution.logits)
        log_weight = jnp.maximum(log_weight, LEAST_LOG_WEIGHT)
        return _normals(log_weight, *_moments(q.component_distribution))
    loc, covariance = _moments(q)
    loc, covariance = loc[..., None, :], covariance[..., None, :, :]
    return _normals(jnp.zeros(loc.shape[:-1]), loc, covariance)


def _moments(q: Distribution) -> tuple[Array, Array]:
    """m `[..., D]` and S `[..., D, D]` of normals, D = 1 for events `[]`."""
    inner = innermost(q)
    loc = q.mean if q.event_dim else q.mean[..., None]
    if isinstance(inner, Normal):
        return loc, q.variance.reshape(loc.shape)[..., None] * jnp.eye(loc.shape[-1])
    if isinstance(inner, MultivariateNormal):
        return loc, jnp.broadcast_to(_square(inner.scale_tril), (*loc.shape, loc.shape[-1]))
    if isinstance(inner, LowRankMultivariateNormal):
        diagonal = inner.cov_diag[..., None] * jnp.eye(loc.shape[-1])
        covariance = _square(inner.cov_factor) + diagonal
        return loc, jnp.broadcast_to(covariance, (*loc.shape, loc.shape[-1]))
    raise UserError(f"{describe(q)} is no normal: mixture_approximations are for normals' mixtures")


def _square(factor: Array) -> Array:
    return _times("...ik,...jk->...ij", factor, factor)


_times = partial(jnp.einsum, precision="highest")  # also on accelerators


def _kl(f: _Normals, g: _Normals) -> Array:
    """K(f_a, g_b), `[..., A, B]`."""
    to, of = g.whitening[..., None, :, :, :], f.covariance[..., :, None, :, :]
    trace = (_times("...ij,...jk->...ik", to, of) * to).sum((-2, -1))
    scales = log_det(g.whitening)[..., None, :] - log_det(f.whitening)[..., :, None]
    distance = _squared_distance(to, _differences(f, g))
    return 0.5 * (trace - f.loc.shape[-1] + distance + scales)


def _log_product(f: _Normals, g: _Normals) -> Array:
    """log t(f_a, g_b) = log N(m_a; m_b, S_a + S_b), `[..., A, B]`."""
    both = _whitening_of_sums(f, g)
    distance = _squared_distance(both, _differences(f, g))
    return -0.5 * (f.loc.shape[-1] * LOG_2PI + log_det(both) + distance)


def _bhattacharyya(f: _Normals) -> Array:
    """B(f_a, f_c), `[..., A, A]`."""
    both = _whitening_of_sums(f, f)
    distance = _squared_distance(both, _differences(f, f))
    scales = log_det(f.whitening)
    halved = log_det(both) - f.loc.shape[-1] * math.log(2)  # of (S_a + S_c) / 2
    return 0.25 * distance + 0.5 * halved - 0.25 * (scales[..., :, None] + scales[..., None, :])


def _differences(f: _Normals, g: _Normals) -> Array:
    return f.loc[..., :, None, :] - g.loc[..., None, :, :]


def _whitening_of_sums(f: _Normals, g: _Normals) -> Array:
    """The whitening of S_a + S_b, `[..., A, B, D, D]`."""
    return whitening(f.covariance[..., :, None, :, :] + g.covariance[..., None, :, :, :])


def _squared_distance(whitening: Array, difference: Array) -> Array:
    """|W d|^2."""
    return (_times("...ij,...j->...i", whitening, difference) ** 2).sum(-1)


def _mean(f: _Normals, values: Array) -> Array:
    """sum_a w_a values_a of `[..., A]`."""
    return (jnp.exp(f.log_weight) * values).sum(-1)


def _log_mean(f: _Normals, log_values: Array) -> Array:
    """log sum_c w_c exp(log values_ac) of `[..., A, C]`."""
    return logsumexp(f.log_weight[..., None, :] + log_values, -1)


def _matched(f: _Normals) -> _Normals:
    """The one normal with the mixture's mean and covariance."""
    weight = jnp.exp(f.log_weight)[..., None]
    loc = (weight * f.loc).sum(-2, keepdims=True)
    between = _square(jnp.swapaxes(jnp.sqrt(weight) * (f.loc - loc), -2, -1))
    within = (weight[..., None] * f.covariance).sum(-3)
    return _normals(jnp.zeros(loc.shape[:-1]), loc, (within + between)[..., None, :, :])


def _unscented(f: _Normals, g: _Normals) -> Array:
    """The points of f_a: m_a plus and minus sqrt(D) times the columns of W^-1 = S W'."""
    size = f.loc.shape[-1]
    rows = math.sqrt(size) * _times("...ij,...jk->...ik", f.whitening, f.covariance)
    points = f.loc[..., None, :] + jnp.concatenate([rows, -rows], -2)
    z = points.reshape(*points.shape[:-3], -1, size)
    log_ratio = _log_density(f, z) - _log_density(g, z)
    return _mean(f, log_ratio.reshape(*log_ratio.shape[:-1], -1, 2 * size).mean(-1))


def _log_density(f: _Normals, z: Array) -> Array:
    """log sum_c w_c N(z; m_c, S_c), `[..., P, D]` -> `[..., P]`."""
    difference = z[..., :, None, :] - f.loc[..., None, :, :]
    distance = _squared_distance(f.whitening[..., None, :, :, :], difference)
    scales = log_det(f.whitening)[..., None, :]
    return _log_mean(f, -0.5 * (f.loc.shape[-1] * LOG_2PI + scales + distance))


_State = tuple[Array, Array, Array, Array]  # log y, the bound, the one before, steps


def _variational_upper(log_w: Array, log_v: Array, kl: Array) -> Array:
    """The bound at the x and y that minimizing over each in turn leads to.

    Gradients are those of the last turn, which at the minimum are the bound's.
    """

    def turn(log_y: Array, log_w: Array, log_v: Array, kl: Array) -> tuple[Array, Array]:
        """The best y and bound for the best x for y, `[..., A, B]` each."""
        log_x = log_w[..., None] + jax.nn.log_softmax(log_y - kl, -1)
        log_y = log_v[..., None, :] + jax.nn.log_softmax(log_x, -2)
        terms = jnp.exp(log_x) * (kl + log_x - log_y)
        return log_y, terms.sum((-2, -1))

    def better(state: _State) -> _State:
        log_y, bound, _, count = state
        return *turn(log_y, *fixed), bound, count + 1

    def falls(state: _State) -> Array:
        _, bound, before, count = state
        enough = TOLERANCE * (1 + jnp.abs(bound))
        return jnp.any(before - bound > enough) & (count < MOST_STEPS)

    fixed = jax.lax.stop_gradient((log_w, log_v, kl))
    even = jnp.broadcast_to(fixed[0][..., None] + fixed[1][..., None, :], kl.shape)
    log_y, bound = turn(even, *fixed)
    start = (log_y, bound, jnp.full_like(bound, jnp.inf), jnp.int32(0))
    log_y, *_ = jax.lax.while_loop(falls, better, start)
    return turn(log_y, log_w, log_v, kl)[1]
