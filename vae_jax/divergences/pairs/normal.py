"""Normals of every kind among each other."""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from numpyro.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from vae_jax.divergences.closed_form import innermost
from vae_jax.divergences.stable import excess
from vae_jax.types import Array


@kl_divergence.register(Normal, Normal)
def normal_normal(q: Normal, p: Normal) -> Array:
    """((m_q - m_p)^2 + s_q^2) / (2 s_p^2) - 1/2 - log (s_q / s_p), nats, `[...]`.

    In place of NumPyro's, which adds the squared distance to 1 before it takes 1 away: in float32
    means that are 10^-4 scales apart then make no difference.
    """
    distance = (q.loc - p.loc) / p.scale
    return distance**2 / 2 + _scale_kl(q.scale, p.scale)


def _scale_kl(s: Array, t: Array) -> Array:
    """(x^2 - 1) / 2 - log x at x = s / t, as (x - 1)^2 / 2 + (x - 1 - log x)."""
    return ((s - t) / t) ** 2 / 2 + excess(s, t)


def joint(q: Distribution, p: Distribution) -> Array:
    """KL(N(m, LL') || N(m', MM')), nats, `[...]`; A = M^-1 L is lower triangular.

    |M^-1 (m - m')|^2 / 2 + sum_(i > j) A_ij^2 / 2 + sum_i (A_ii^2 - 1) / 2 - log A_ii

    (Rasmussen & Williams 2006, eq. A.23). All terms are positive, and the part below A's
    diagonal is computed from L - M; NumPyro's inverts M and takes sums that cancel.

    Raises:
        NotImplementedError: for what is not normal.
    """
    (m, L), (mean, M) = _loc_and_factor(q), _loc_and_factor(p)
    shift = (m - mean)[..., None]
    batch = jnp.broadcast_shapes(*(x.shape[:-2] for x in (shift, L, M)))
    shift, L, M = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (shift, L, M))
    difference = jnp.concatenate([L - M, shift], -1)
    if _is_joint(p):
        solved = solve_triangular(M, difference, lower=True)
    else:  # M is diagonal
        solved = difference / jnp.diagonal(M, axis1=-2, axis2=-1)[..., None]
    below, distance = jnp.tril(solved[..., :-1], -1), solved[..., -1]
    scales = (jnp.diagonal(x, axis1=-2, axis2=-1) for x in (L, M))
    return (below**2).sum((-2, -1)) / 2 + (distance**2 / 2 + _scale_kl(*scales)).sum(-1)


def _is_joint(d: Distribution) -> bool:
    return isinstance(d, MultivariateNormal | LowRankMultivariateNormal)


def _loc_and_factor(d: Distribution) -> tuple[Array, Array]:
    """m `[..., D]` and the Cholesky factor L `[..., D, D]` of the covariance."""
    if isinstance(d, MultivariateNormal):
        return d.loc, d.scale_tril
    if isinstance(d, LowRankMultivariateNormal):
        return d.loc, _low_rank_factor(d.cov_factor, d.cov_diag)
    base = innermost(d)
    if not isinstance(base, Normal) or d.event_dim != 1:
        raise NotImplementedError
    loc, scale, _ = jnp.broadcast_arrays(base.loc, base.scale, jnp.zeros(d.shape()))
    return loc, scale[..., None] * jnp.eye(scale.shape[-1], dtype=scale.dtype)


def _low_rank_factor(W: Array, diagonal: Array) -> Array:
    """L of LL' = WW' + diag(d) = R'R by QR = [W, diag(d^1/2)]', in which nothing is squared."""
    root = jnp.sqrt(diagonal)[..., None, :] * jnp.eye(diagonal.shape[-1], dtype=diagonal.dtype)
    batch = jnp.broadcast_shapes(W.shape[:-2], diagonal.shape[:-1])
    rows = [jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (jnp.swapaxes(W, -1, -2), root)]
    stacked = jnp.concatenate(rows, -2)
    R = jnp.linalg.qr(stacked, mode="r")
    signs = jnp.sign(jnp.diagonal(R, axis1=-2, axis2=-1))
    return jnp.swapaxes(signs[..., None] * R, -1, -2)


@kl_divergence.register(LowRankMultivariateNormal, Independent)
def low_rank_independent(q: LowRankMultivariateNormal, p: Independent) -> Array:
    """sum_j KL(q_j || p_j) + the total correlation of q, nats, `[...]`.

    That is (sum_j log S_jj - log |S|) / 2, which is (sum_j log(1 + |v_j|^2) - log |1 + V'V|) / 2 of
    q's covariance S = WW' + D with V = D^-1/2 W: nothing is a matrix of all dimensions.
    """
    marginals = Normal(q.loc, jnp.sqrt(q.variance)).to_event(1)
    V = q.cov_factor / jnp.sqrt(q.cov_diag)[..., None]
    correlation = jnp.log1p((V**2).sum(-1)).sum(-1) - _log_det_one_plus(V)
    return kl_divergence(marginals, p) + correlation / 2


def _log_det_one_plus(V: Array) -> Array:
    """log |1 + V'V|, `[...]`, of few columns: by Gram and Schmidt's way on those of [V; 1].

    They become orthogonal one by one, so that no V'V is formed, whose small eigenvalues float32
    would lose; ones are added where they are needed, so that a small V is not lost beside them.
    """
    rank, log_det = V.shape[-1], jnp.zeros(V.shape[:-2])
    rest = jnp.concatenate([V, jnp.zeros((*V.shape[:-2], rank, rank), V.dtype)], -2)
    for one in jnp.eye(V.shape[-2] + rank, dtype=V.dtype)[V.shape[-2] :]:
        first, rest = rest[..., :1], rest[..., 1:]
        length = (first**2).sum(-2, keepdims=True)  # squared, less 1
        log_det += jnp.log1p(length[..., 0, 0])
        rest -= (first + one[:, None]) * ((first * rest).sum(-2, keepdims=True) / (1 + length))
    return log_det


_JOINT = (MultivariateNormal, LowRankMultivariateNormal)
for _kinds in ((Independent, _JOINT), (MultivariateNormal, Independent), (_JOINT, _JOINT)):
    kl_divergence.add(_kinds, joint)
