"""Every registered pair of types, held against SciPy's densities integrated numerically."""

import functools

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from numpyro import distributions as dist
from numpyro.distributions import kl_divergence

import vae_jax.divergences  # noqa: F401  registers the pairs
from vae_jax.distributions.bernoulli_logits import BernoulliLogits

SETTINGS = 30
SCIPY = scipy.stats


class Kumaraswamy:
    """log density and quantiles, which SciPy does not have."""

    @staticmethod
    def logpdf(z, a, b):
        return np.log(a * b) + (a - 1) * np.log(z) + (b - 1) * np.log1p(-(z**a))

    @staticmethod
    def ppf(u, a, b):
        return (1 - (1 - u) ** (1 / b)) ** (1 / a)

    @staticmethod
    def support(a, b):
        return np.zeros_like(a), np.ones_like(b)


def loc_scale(rng):
    return rng.normal(size=SETTINGS), np.exp(rng.normal(size=SETTINGS))


def positive(rng):
    return tuple(rng.gamma(4, 0.5, size=(2, SETTINGS)) + 0.3)


def one_positive(rng):
    return positive(rng)[:1]


def heavy(rng):
    return 2.5 + rng.gamma(3, size=SETTINGS), *loc_scale(rng)


def interval(rng):
    low, width = loc_scale(rng)
    return low, low + width


def truncated(rng):
    low, width = loc_scale(rng)  # further from its mode, NumPyro's own density is infinite
    loc = low + width * rng.uniform(-0.5, 1.5, size=SETTINGS)
    return loc, width * rng.uniform(0.3, 3, size=SETTINGS), low, low + width


def inverse(rng):
    a, b = positive(rng)
    return a + 2, b


# type -> draws of its parameters, SciPy's family, and its arguments there
DENSITIES = {
    dist.Normal: (loc_scale, SCIPY.norm, lambda m, s: (m, s)),
    dist.Laplace: (loc_scale, SCIPY.laplace, lambda m, s: (m, s)),
    dist.Logistic: (loc_scale, SCIPY.logistic, lambda m, s: (m, s)),
    dist.Cauchy: (loc_scale, SCIPY.cauchy, lambda m, s: (m, s)),
    dist.Gumbel: (loc_scale, SCIPY.gumbel_r, lambda m, s: (m, s)),
    dist.StudentT: (heavy, SCIPY.t, lambda n, m, s: (n, m, s)),
    dist.Uniform: (interval, SCIPY.uniform, lambda a, b: (a, b - a)),
    dist.Beta: (positive, SCIPY.beta, lambda a, b: (a, b)),
    dist.Kumaraswamy: (positive, Kumaraswamy, lambda a, b: (a, b)),
    dist.Gamma: (positive, SCIPY.gamma, lambda a, b: (a, 0 * a, 1 / b)),
    dist.Exponential: (one_positive, SCIPY.expon, lambda b: (0 * b, 1 / b)),
    dist.InverseGamma: (inverse, SCIPY.invgamma, lambda a, b: (a, 0 * a, b)),
    dist.HalfNormal: (one_positive, SCIPY.halfnorm, lambda s: (0 * s, s)),
    dist.LogNormal: (loc_scale, SCIPY.lognorm, lambda m, s: (s, 0 * s, np.exp(m))),
    dist.Weibull: (positive, SCIPY.weibull_min, lambda b, a: (a, 0 * a, b)),
    dist.TwoSidedTruncatedDistribution: (
        truncated,
        SCIPY.truncnorm,
        lambda m, s, a, b: ((a - m) / s, (b - m) / s, m, s),
    ),
}
MAKE = {
    dist.TwoSidedTruncatedDistribution: lambda m, s, a, b: dist.TwoSidedTruncatedDistribution(
        dist.Normal(m, s), a, b
    )
}


def masses(k):
    return lambda rng: (rng.dirichlet(np.full(k, 4.0), size=SETTINGS),)


def share(rng):
    return (rng.uniform(0.05, 0.95, size=SETTINGS),)


def logits(rng):
    return (rng.normal(size=SETTINGS),)


COUNTS = np.arange(4000)


def bernoulli(p):
    return scipy.stats.bernoulli.logpmf([0, 1], p[:, None])


def geometric(p):
    return scipy.stats.geom.logpmf(COUNTS + 1, p[:, None])


# type -> draws of its parameters, and the logs of its masses
MASSES = {
    dist.BernoulliProbs: (share, bernoulli),
    dist.BernoulliLogits: (logits, lambda a: bernoulli(scipy.special.expit(a))),
    dist.GeometricProbs: (share, geometric),
    dist.GeometricLogits: (logits, lambda a: geometric(scipy.special.expit(a))),
    dist.CategoricalProbs: (masses(5), np.log),
    dist.CategoricalLogits: (
        lambda rng: (3 * rng.normal(size=(SETTINGS, 5)),),
        functools.partial(scipy.special.log_softmax, axis=-1),
    ),
    dist.Poisson: (
        lambda rng: (rng.gamma(1, 8, size=SETTINGS),),
        lambda r: scipy.stats.poisson.logpmf(COUNTS, r[:, None]),
    ),
}

# vectors are in test_vector_closed_forms.py; what wraps others is NumPyro's
NORMALS = (dist.MultivariateNormal, dist.LowRankMultivariateNormal)
VECTORS = (*NORMALS, dist.Dirichlet, BernoulliLogits)
THEIRS = {(dist.Independent, dist.CirculantNormal), (dist.Independent, dist.Independent)}
PAIRS = [
    *(p for p in kl_divergence.funcs if {*p} <= {*DENSITIES} or {*p} <= {*MASSES}),
    *((t, t) for t in (dist.LogNormal, dist.InverseGamma)),  # as TransformedDistributions
]
INFINITE = (dist.Cauchy, dist.Normal)
FINITE = [pair for pair in PAIRS if pair != INFINITE]


def name(pair):
    return "-".join(t.__name__ for t in pair)


def parameters(pair):
    """Random ones for which the pair has a finite closed form."""
    q, p = pair
    rng = np.random.default_rng(sum(map(ord, name(pair))))
    table = {**DENSITIES, **MASSES}
    theta, phi = table[q][0](rng), table[p][0](rng)
    if p is dist.Uniform:
        low, high = support(q, theta)
        phi = low - 0.1 - phi[0] ** 2, high + 0.1 + phi[1] ** 2
    if pair == (dist.Kumaraswamy, dist.Beta):
        phi = phi[0], 1.0
    if pair == (dist.Logistic, dist.Logistic):
        phi = phi[0], theta[1]
    if p is not dist.Normal:
        theta, phi = (
            (1.0, *x[1:]) if t is dist.StudentT else x
            for t, x in zip(pair, (theta, phi), strict=True)
        )
    return theta, phi


def support(kind, theta):
    _, family, arguments = DENSITIES[kind]
    return family.support(*arguments(*theta))


def kl(pair, theta, phi):
    q, p = (MAKE.get(kind, kind)(*x) for kind, x in zip(pair, (theta, phi), strict=True))
    return kl_divergence(q, p)


def by_quadrature(pair, theta, phi):
    """int q (log q - log p) between quantiles, with SciPy's densities, all settings at once."""
    (q, q_args), (p, p_args) = (
        (DENSITIES[kind][1], np.broadcast_arrays(*DENSITIES[kind][2](*x), np.zeros(SETTINGS))[:-1])
        for kind, x in zip(pair, (theta, phi), strict=True)
    )
    low, high = (np.broadcast_to(x, SETTINGS) for x in q.support(*q_args))
    inner = [q.ppf(u, *q_args) for u in (0.02, 0.2, 0.5, 0.8, 0.98)]
    split = np.clip(p.ppf(0.5, *p_args), inner[0], inner[-1])  # Laplace's kink
    edges = np.sort(np.stack([low, *inner, split, high]), axis=0)

    def integrand(z, i):
        i = i.astype(int)
        log_q = q.logpdf(z, *(a[i] for a in q_args))
        log_p = p.logpdf(z, *(a[i] for a in p_args))
        return np.where(np.isfinite(log_q), np.exp(log_q) * (log_q - log_p), 0)

    with np.errstate(all="ignore"):
        results = scipy.integrate.tanhsinh(
            integrand, edges[:-1], edges[1:], args=(np.arange(float(SETTINGS)),), rtol=1e-10
        )
    assert (results.error < 1e-7 * np.maximum(1, np.abs(results.integral))).all()
    return results.integral.sum(0)


def expected(pair, theta, phi):
    if pair[0] in DENSITIES:
        return by_quadrature(pair, theta, phi)
    log_q, log_p = (MASSES[kind][1](*x) for kind, x in zip(pair, (theta, phi), strict=True))
    return (np.exp(log_q) * (log_q - log_p)).sum(-1)


@pytest.mark.parametrize("pair", FINITE, ids=name)
def test_closed_form_equals_numerical_integration(pair):
    theta, phi = parameters(pair)
    with jax.enable_x64(True):
        kls = np.asarray(kl(pair, theta, phi))
    assert kls.shape == (SETTINGS,)
    np.testing.assert_allclose(kls, expected(pair, theta, phi), rtol=1e-5, atol=1e-9)


def moving(pair, theta, phi):
    """The sum of KLs as a function of all parameters that are not fixed or shared, and these."""
    every = [*theta, *phi]
    shared = {1, 3} if pair == (dist.Logistic, dist.Logistic) else set()
    free = [i for i, x in enumerate(every) if np.ndim(x) and i not in shared]

    def total(values):
        full = [*every]
        for i, value in zip(free, values, strict=True):
            full[i] = value
        return kl(pair, full[: len(theta)], full[len(theta) :]).sum()

    return total, [every[i] for i in free]


@pytest.mark.slow
@pytest.mark.parametrize("pair", FINITE, ids=name)
def test_gradient_equals_finite_differences(pair):
    """Along one random direction, by central differences in double precision."""
    with jax.enable_x64(True):
        total, values = moving(pair, *parameters(pair))
        rng = np.random.default_rng(0)
        along = [0.1 * rng.normal(size=x.shape) for x in values]
        along = [x - x.mean(-1, keepdims=True) for x in along]  # masses go on adding up to 1
        slope = jax.jvp(total, (values,), (along,))[1]
        ahead, behind = (
            total([x + h * v for x, v in zip(values, along, strict=True)]) for h in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7)


def test_every_pair_has_a_test():
    tested = {
        *PAIRS,
        INFINITE,
        (dist.Delta, dist.Distribution),
        (dist.TransformedDistribution,) * 2,
        *THEIRS,
    }
    for pair in {*kl_divergence.funcs} - tested:
        assert {*pair} & {*VECTORS, dist.ExpandedDistribution, dist.MaskedDistribution}, pair
