"""KL(q || p) by numerical integration in double precision, to hold estimates against."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, Independent

from vae_jax.divergences.closed_form import describe
from vae_jax.divergences.supports import element, ends, require_nested_supports
from vae_jax.errors import UserError
from vae_jax.types import Array

DRAWS = 10_000
LEVELS = {1: (0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999), 2: (0.02, 0.5, 0.98)}
TOLERANCE = 1e-11  # of each part, in nats or relative
MOST_CELLS = 400
CHUNK = 4096
MOST_COUNTS = 2**24
MOST_MISSED = 1e-6  # of the mass of q
OUTWARDS, INWARDS = 150.0, 700.0  # e to these, squared and inverted, are numbers
LARGEST = 1e250  # of -log p(z), and of what is summed
INFINITE = 1e100  # of the value


class Integral(NamedTuple):
    """A number in nats, and the method's estimate of its error."""

    value: float
    error: float


class Factor(NamedTuple):
    """One integral: z `[points, dimensions]` -> log q and log p, draws, the ends of the support."""

    log_densities: Callable[[Array], tuple[Array, Array]]
    q_draws: np.ndarray
    p_draws: np.ndarray
    low: np.ndarray
    high: np.ndarray


def kl_by_quadrature(q: Distribution, p: Distribution) -> Integral:
    """KL(q || p) = int q(z) log (q(z) / p(z)) dz, or the sum over counts, nats.

    For one or two dimensions, and for any number where both factorize. Densities by adaptive
    Gauss-Kronrod cubature, in q's own units and in parts between its quantiles and p's; counts are
    summed until the rest is small. Where q(z) underflows it adds nothing. Where the integral
    does not exist, the error is of the value's size.

    Args:
        q: without batch axes.
        p: without batch axes, of the same event shape.

    Raises:
        UserError: for anything else, where supports make the KL infinite, and where mass of q was
            missed: a narrow part far from the rest.
    """
    require_nested_supports(q, p)
    _require_boxes(q, p)
    with jax.enable_x64(True):
        method = _sum if q.support.is_discrete else _integrate
        integrals = [method(factor) for factor in _factors(_double(q), _double(p))]
    return Integral(*(float(sum(numbers)) for numbers in zip(*integrals, strict=True)))


def _require_boxes(q: Distribution, p: Distribution) -> None:
    pair = f"KL({describe(q)} || {describe(p)}) by quadrature"
    if q.batch_shape or p.batch_shape:
        shapes = f"{q.batch_shape} and {p.batch_shape}"
        raise UserError(f"{pair}: one q and one p are needed, not batches of {shapes}")
    if element(q.support).event_dim:
        raise UserError(f"{pair}: it is for boxes, not for {element(q.support)}")
    both = isinstance(q, Independent) and isinstance(p, Independent)
    if not both and q.event_shape not in ((), (1,), (2,)):
        shape = q.event_shape
        raise UserError(f"{pair}: 1 or 2 dimensions, or two Independents, not events {shape}")


def _double(d: Distribution) -> Distribution:
    def cast(x: Array) -> Array:
        inexact = jnp.issubdtype(jnp.result_type(x), jnp.inexact)
        return jnp.asarray(x, jnp.float64) if inexact else x

    return jax.tree.map(cast, d)


def _factors(q: Distribution, p: Distribution) -> Iterator[Factor]:
    """A factor for each element where both are independent, else one for all."""
    split = isinstance(q, Independent) and isinstance(p, Independent)
    bases = [d.base_dist if split else d for d in (q, p)]
    keys = jax.random.split(jax.random.key(0))
    draws = [np.asarray(d.sample(k, (DRAWS,))) for d, k in zip((q, p), keys, strict=True)]
    shape = q.event_shape
    limits = [np.broadcast_to(end, shape) for end in ends(q.support)]

    @jax.jit
    def one(z: Array, j: Array) -> tuple[Array, ...]:
        full = jnp.broadcast_to(z.reshape(-1, *(1 for _ in shape)), (len(z), *shape))
        return tuple(d.log_prob(full).reshape(len(z), -1)[:, j] for d in bases)

    @jax.jit
    def joint(z: Array) -> tuple[Array, ...]:
        return tuple(d.log_prob(z.reshape(-1, *shape)) for d in bases)

    flat = [x.reshape(DRAWS, -1) for x in draws] + [x.reshape(-1) for x in limits]
    if not split:
        yield Factor(joint, *flat)
        return
    for j in range(flat[0].shape[-1]):
        yield Factor(partial(one, j=j), *(x[..., [j]] for x in flat))


def _terms(factor: Factor, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q(z) log (q(z) / p(z)) and q(z), `[points]` each."""
    log_q, log_p = (np.asarray(x) for x in factor.log_densities(jnp.asarray(z)))
    mass = np.exp(log_q)
    return mass * np.where(mass > 0, log_q - np.maximum(log_p, -LARGEST), 0), mass


def _integrate(factor: Factor) -> Integral:
    """The integral, over all parts at once; each is a function of s in the unit cube.

    z = center + unit t(s).
    """
    from scipy.integrate import cubature  # half a second to import

    center, unit = _center_and_unit(factor)
    axes = [_edges(factor, center, unit, i) for i in range(len(center))]
    least = np.where(factor.low == 0, np.finfo(float).tiny, factor.low)  # below, XLA's log is of 0

    def integrand(s: np.ndarray) -> np.ndarray:
        grids, slopes = zip(*map(_parts, s.T, axes), strict=True)
        t = np.stack([_outer(grids, i) for i in range(len(grids))], -1)
        volume = abs(np.linalg.det(unit)) * math.prod(_outer(slopes, i) for i in range(len(grids)))
        z = center + t @ unit.T
        inside = ((z > least) & (z < factor.high)).all(-1)
        terms, mass = _terms(factor, z.reshape(-1, len(center)))
        both = np.stack([terms, mass], -1).reshape(*inside.shape, 2)
        both = np.where(inside[..., None] & (both != 0), both * volume[..., None], 0)
        return np.clip(both, -LARGEST, LARGEST)  # where the integral does not exist

    dimensions, options = len(center), {"rtol": TOLERANCE, "atol": TOLERANCE}
    unit_cube = np.zeros(dimensions), np.ones(dimensions)
    with np.errstate(over="ignore", invalid="ignore"):  # 0 times what is too large, far out
        cells = cubature(integrand, *unit_cube, max_subdivisions=MOST_CELLS, **options)
    value, mass = cells.estimate.reshape(-1, 2).sum(0)
    if value > INFINITE:
        return Integral(np.inf, np.inf)
    return Integral(value, cells.error[..., 0].sum() + _missed(value, mass))


def _missed(value: float, mass: float) -> float:
    """The error by mass of q that was not found, which may be no more than rounding's."""
    if abs(1 - mass) > MOST_MISSED:
        raise UserError(f"quadrature found {mass:.6g} of the mass of q: draws are needed")
    return abs(1 - mass) * max(1, abs(value))


def _outer(columns: Sequence[np.ndarray], i: int) -> np.ndarray:
    """Column i of `[points, parts of axis i]`, along its own axis of `[points, *parts]`."""
    sizes = [x.shape[1] for x in columns]
    shape = [size if i == j else 1 for j, size in enumerate(sizes)]
    return np.broadcast_to(columns[i].reshape(-1, *shape), (len(columns[i]), *sizes))


def _parts(s: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """t and dt/ds, `[points, parts]`, s from 0 to 1 in each part.

    The first and the last part are traversed exponentially, towards an end or to infinity: so that
    powers of the distance, which densities have there, become exponentials.
    """
    low, high, inner = edges[0], edges[-1], edges[1:-1]
    u, slope, span = (1 - s) / s, s**-2, inner[-1] - inner[0]
    t, slopes = inner[:-1] + np.diff(inner) * s[:, None], np.diff(inner) * np.ones_like(s)[:, None]
    columns = []
    for end, edge in ((low, inner[0]), (high, inner[-1])):
        away = np.sign(end - edge)
        if np.isfinite(end):
            distance = abs(edge - end) * np.exp(-np.minimum(u, INWARDS))
            columns.append((end - away * distance, distance * slope))
        else:
            distance = span * np.exp(np.minimum(u, OUTWARDS))
            columns.append((edge + away * (distance - span), distance * slope))
    (first, d_first), (last, d_last) = columns
    return np.column_stack([first, t, last]), np.column_stack([d_first, slopes, d_last])


def _center_and_unit(factor: Factor) -> tuple[np.ndarray, np.ndarray]:
    """The origin and axes of t: for a plane without ends, q's median and uncorrelated axes."""
    dimensions = len(factor.low)
    if dimensions == 1 or np.isfinite([*factor.low, *factor.high]).any():
        return np.zeros(dimensions), np.eye(dimensions)
    lower, center, upper = np.quantile(factor.q_draws, (0.25, 0.5, 0.75), axis=0)
    scale = (upper - lower) / 2
    middle = np.clip((factor.q_draws - center) / scale, -3, 3)
    return center, scale[:, None] * np.linalg.cholesky(np.cov(middle.T))


def _edges(factor: Factor, center: np.ndarray, unit: np.ndarray, i: int) -> np.ndarray:
    """The ends of the parts of axis i, in t: quantiles of q, and those of p among them."""
    inverse, levels = np.linalg.inv(unit)[i], LEVELS[len(center)]
    q, p = ((x - center) @ inverse for x in (factor.q_draws, factor.p_draws))
    of_q, of_p = np.quantile(q, levels), np.quantile(p, (0.25, 0.5, 0.75))
    of_p = of_p[(of_p > of_q[0]) & (of_p < of_q[-1])]
    inner = np.unique([*of_q, *of_p])
    inner = inner[(inner > factor.low[i]) & (inner < factor.high[i])]
    return np.array([factor.low[i], *inner, factor.high[i]])


def _sum(factor: Factor) -> Integral:
    """The sum over the support, or up to where the last half of the counts adds next to nothing."""
    low, high = factor.low[0], factor.high[0]
    start, end, value, mass = low, min(high, low + CHUNK - 1) + 1, 0.0, 0.0
    while True:
        counts = np.split(np.arange(start, end)[:, None], range(CHUNK, int(end - start), CHUNK))
        terms, masses = np.concatenate([_terms(factor, z) for z in counts], 1)
        value, mass = value + terms.sum(), mass + masses.sum()
        last = np.abs(terms[len(terms) // 2 :]).sum() if end <= high else 0.0
        if (mass > 0.5 and last <= TOLERANCE * abs(value)) or end > min(high, low + MOST_COUNTS):
            return Integral(value, last + _missed(value, mass))
        start, end = end, min(high + 1, low + 2 * (end - low))
