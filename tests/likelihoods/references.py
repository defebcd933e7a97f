"""Every likelihood again, by SciPy in float64.

`REFERENCES` follows each likelihood's docstring: from features `[R, F]` it gives the SciPy
distributions of one element, or for masses a table of logarithms `[levels, R]`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax.config import components
from vae_jax.config.components import parse
from vae_jax.types import Batch, Spec

ROWS = 6
BATCH = (np.random.default_rng(0).uniform(size=(50, 1)) < 0.4).astype(np.float32)
SCALES = ["0.3", "'learned_per_element'", "'predicted'"]
DISPERSIONS = ["'learned'", "'predicted'"]
VARIANTS = [
    "student_t(df=1.5)",
    "categorical(levels=2)",
    "discretized_logistic(levels=3)",
    "discretized_logistic_mixture(components=2, levels=5)",
    "binomial(total_count=1)",
    "normal(scale='optimal')",
    *(f"normal(scale={s})" for s in SCALES),
    *(f"{name}(scale='predicted')" for name in ("laplace", "student_t", "logistic")),
    *(f"negative_binomial(dispersion={d})" for d in DISPERSIONS),
    "zero_inflated_negative_binomial(dispersion='predicted')",
]
NAMES = [n for n in components.names("likelihoods") if n != "inverted"]  # tests/layers
every = pytest.mark.parametrize("text", [*NAMES, *VARIANTS])


def softplus(a):
    return np.logaddexp(0, a)


def scale_of(f, unit_spread, scale="learned"):
    start = (np.std(BATCH) + 1e-3) / unit_spread
    return {
        "predicted": lambda: 1e-3 + start * softplus(f[:, -1]) / np.log(2),
        "optimal": lambda: np.std(BATCH),
    }.get(scale, lambda: 1e-3 + start if isinstance(scale, str) else scale)()


def student_t(f, df=4.0, **options):
    unit_spread = np.sqrt(df / (df - 2)) if df > 2 else 1.0
    return scipy.stats.t(df, f[:, 0], scale_of(f, unit_spread, **options))


class Exponential:
    """p(x) ~ exp(a x) on [0, 1]: SciPy's truncated exponential, reflected where a > 0."""

    def __init__(self, f):
        self.rises, size = f[:, 0] > 0, np.abs(f[:, 0])
        self.decay = scipy.stats.truncexpon(size, scale=1 / size)

    def logpdf(self, x):
        return self.decay.logpdf(np.where(self.rises, 1 - x, x))

    def cdf(self, x):
        return np.where(self.rises, 1 - self.decay.cdf(1 - x), self.decay.cdf(x))

    def mean(self):
        return np.where(self.rises, 1 - self.decay.mean(), self.decay.mean())


def logistic_mixture(f, components=5, levels=256):
    """Differences of the distribution function at the edges between levels."""
    logits, offsets, a = np.split(f, 3, -1)
    loc = offsets + (2 * np.arange(components) + 1) / components - 1
    scale = softplus(a) + 0.1 / (levels - 1)
    inner = (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1
    edges = np.concatenate([[-np.inf], inner, [np.inf]])[:, None, None]
    cdf, survival = (scipy.special.expit(sign * (edges - loc) / scale) for sign in (1, -1))
    mass = np.where(edges[1:] < loc, np.diff(cdf, axis=0), -np.diff(survival, axis=0))
    return np.log((scipy.special.softmax(logits, -1) * mass).sum(-1))


def one_logistic(f, levels=256):
    return logistic_mixture(np.concatenate([np.zeros((len(f), 1)), f], -1), 1, levels)


COUNTS = np.arange(6000)[:, None]


def rate(f):
    return 1e-4 + (BATCH.mean() + 0.1) * softplus(f[:, 0]) / np.log(2)


def negative_binomial(f, dispersion="learned_per_element"):
    r = 1e-4 + (softplus(f[:, -1]) if dispersion == "predicted" else 1.0)
    return scipy.stats.nbinom.logpmf(COUNTS, r, r / (r + rate(f)))


def zero_inflated(f, **options):
    kept = negative_binomial(f, **options) - softplus(f[:, 1])
    return np.where(COUNTS == 0, np.logaddexp(kept, -softplus(-f[:, 1])), kept)


def binomial(f, total_count=255):
    x = np.arange(total_count + 1)[:, None]
    return scipy.stats.binom.logpmf(x, total_count, scipy.special.expit(f[:, 0]))


REFERENCES = {
    "normal": lambda f, **k: scipy.stats.norm(f[:, 0], scale_of(f, 1, **k)),
    "laplace": lambda f, **k: scipy.stats.laplace(f[:, 0], scale_of(f, 2**0.5, **k)),
    "logistic": lambda f, **k: scipy.stats.logistic(f[:, 0], scale_of(f, np.pi / 3**0.5, **k)),
    "student_t": student_t,
    "beta": lambda f: scipy.stats.beta(*(0.01 + softplus(f).T)),
    "continuous_bernoulli": Exponential,
    "bernoulli": lambda f: binomial(f, 1),
    "binomial": binomial,
    "categorical": lambda f, levels=256: scipy.special.log_softmax(f, -1).T,
    "discretized_logistic": one_logistic,
    "discretized_logistic_mixture": logistic_mixture,
    "poisson": lambda f: scipy.stats.poisson.logpmf(COUNTS, rate(f)),
    "negative_binomial": negative_binomial,
    "zero_inflated_negative_binomial": zero_inflated,
}


def reference(text, f):
    call = parse(text)
    return REFERENCES[call.name](np.asarray(f, np.float64), **call.arguments)


def make(text, shape=(1,)):
    likelihood = components.build("likelihoods", text)(Spec(shape, 1))
    x = jnp.broadcast_to(BATCH.reshape(50, *[1] * len(shape)), (50, *shape))
    return likelihood, {"likelihood": likelihood.init(jax.random.key(0), Batch(x))}


def features(text, likelihood):
    """Some that are easily told apart; a beta density's without its poles, for quadrature."""
    f = np.random.default_rng(1).normal(size=(ROWS, likelihood.num_features)) * 1.5
    return np.float32(np.abs(f) + 0.6 if text == "beta" else f)
