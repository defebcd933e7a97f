"""Every likelihood against SciPy, enumeration, quadrature and finite differences.

`REFERENCES` says each likelihood again, in float64 and from its docstring: from features `[R, F]`
the SciPy distributions of one element, or for masses a table of logarithms `[levels, R]`.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpyro.distributions import Independent, Normal

from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid
from vae_jax.config import components
from vae_jax.config.components import parse
from vae_jax.datasets._making import make_dataset
from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.distributions.flat import Flat
from vae_jax.distributions.level_categorical import LevelCategorical
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
NAMES = components.names("likelihoods")
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


def density(text):
    """p(x) of one element and the features it is made of, and the reference."""
    likelihood, params = make(text)
    f = features(text, likelihood)
    return (
        likelihood.distribution(params, jnp.asarray(f)[:, None, :]),
        reference(text, f),
        likelihood,
    )


def points(text, expected):
    """Where a reference is compared: all levels, or quantiles `[n, R]`."""
    if isinstance(expected, np.ndarray):
        return np.arange(len(expected), dtype=np.float32)[:, None]
    low, high = (0, 1) if text.startswith(("beta", "continuous")) else (-20, 20)
    return np.float32(np.linspace(low, high, 41)[1:-1, None])


def log_reference(expected, x):
    return expected if isinstance(expected, np.ndarray) else expected.logpdf(np.float64(x))


@every
def test_equals_its_reference(text):
    p, expected, likelihood = density(text)
    x, values = points(text, expected), log_reference(expected, points(text, expected))
    found = np.asarray(p.log_prob(jnp.asarray(x)[..., None]))
    seen = values > -80  # float64 differences of distribution functions lose the rest
    np.testing.assert_allclose(found[seen], values[seen], rtol=3e-5, atol=3e-5)
    assert p.support.is_discrete == isinstance(expected, np.ndarray)
    assert likelihood.accepts.is_discrete == (p.support.is_discrete and text != "bernoulli")
    assert p.event_shape == (1,)
    assert p.batch_shape == (ROWS,)


@every
def test_sums_or_integrates_to_one(text):
    p, expected, _ = density(text)
    if isinstance(expected, np.ndarray):
        x, volume = points(text, expected), 1.0
    elif text.startswith(("beta", "continuous")):
        x, volume = (np.arange(40_000)[:, None] + 0.5) / 40_000, 1 / 40_000
    else:
        u = ((np.arange(40_000)[:, None] + 0.5) / 40_000 - 0.5) * np.pi
        x, volume = np.tan(u), (1 + np.tan(u) ** 2) * np.pi / 40_000
    mass = np.exp(np.float64(p.log_prob(jnp.asarray(x, jnp.float32)[..., None])))
    np.testing.assert_allclose((mass * volume).sum(0), 1, rtol=1e-4)


@every
def test_mean(text):
    p, expected, _ = density(text)
    if isinstance(expected, np.ndarray):
        mean = (np.exp(expected) * np.arange(len(expected))[:, None]).sum(0)
    else:
        mean = expected.mean()
    np.testing.assert_allclose(p.mean[:, 0], mean, rtol=2e-5, atol=1e-5)


SAMPLED = [*NAMES, *(t for t in VARIANTS if "learned" not in t)]
FALSE_ALARM = 1e-6 / (len(SAMPLED) * ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("text", SAMPLED)
def test_draws(text):
    p, expected, likelihood = density(text)
    draws = np.asarray(jax.jit(lambda k: p.sample(k, (10_000,)))(jax.random.key(0)))[..., 0]
    assert draws.dtype == np.float32
    assert p.support(jnp.asarray(draws)[..., None]).all()
    assert likelihood.accepts(draws).all()
    for row in range(ROWS):
        assert p_value(draws, expected, row) > FALSE_ALARM


def p_value(draws, expected, row):
    """Kolmogorov and Smirnov's for densities, chi-square for masses, rare levels pooled."""
    if not isinstance(expected, np.ndarray):
        u = expected.cdf(np.float64(draws))[:, row]
        return scipy.stats.kstest(u, "uniform").pvalue
    wanted = np.exp(expected[:, row]) * len(draws)
    counts = np.bincount(draws[:, row].astype(int), minlength=len(expected))
    common = wanted > 10
    pooled = [np.append(a[common], a[~common].sum()) for a in (counts, wanted)]
    full = pooled[1] > 1e-3
    assert pooled[0][~full].sum() == 0
    chi_square = ((pooled[0] - pooled[1])[full] ** 2 / pooled[1][full]).sum()
    return scipy.stats.chi2.sf(chi_square, max(1, full.sum() - 1))


@pytest.mark.slow
@every
def test_gradient_equals_finite_differences(text):
    likelihood, params = make(text)
    f = features(text, likelihood)
    expected = reference(text, f)
    x = np.float32(0.7 if not isinstance(expected, np.ndarray) else 3 if len(expected) > 3 else 1)
    log_p = lambda f: likelihood.distribution(params, f[None]).log_prob(x[None])  # noqa: E731
    found = jax.vmap(jax.grad(log_p))(f)
    wanted, step = np.zeros(f.shape), 1e-5
    for i in range(min(f.shape[1], 20)):
        ends = [reference(text, f + sign * step * np.eye(f.shape[1])[i]) for sign in (1, -1)]
        high, low = (e[int(x)] if isinstance(e, np.ndarray) else e.logpdf(x) for e in ends)
        wanted[:, i] = (high - low) / (2 * step)
    np.testing.assert_allclose(found[:, :20], wanted[:, :20], rtol=1e-4, atol=2e-5)


EXTREMES = [-1e4, -100.0, 0.0, 100.0, 1e4]


def sensible(accepts):
    if not accepts.is_discrete:
        ends = {"OpenInterval": [1e-30, 1e-6, 1 - 2**-24], "UnitInterval": [0, 1e-30, 1]}
        return [0.5, *ends.get(repr(accepts).split("(")[0], [-1e4, -1.0, 0.0, 1e4])]
    top = getattr(accepts, "upper_bound", 100_000)
    return [0, min(1, top), top // 2, top]


@pytest.mark.slow
@every
def test_values_and_gradients_are_finite_at_extremes(text):
    likelihood, params = make(text)
    n = likelihood.num_features
    grid = list(itertools.product(EXTREMES, repeat=n)) if n < 4 else []
    f = np.array(grid or np.random.default_rng(0).choice(EXTREMES, (125, n)), np.float32)
    x = np.array(sensible(likelihood.accepts), np.float32)

    def log_p(params, f, x):
        return likelihood.distribution(params, f[None]).log_prob(x[None])

    both = jax.vmap(jax.value_and_grad(log_p, (0, 1)), (None, 0, None))
    value, gradients = jax.jit(jax.vmap(both, (None, None, 0)))(params, f, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradients)))


@pytest.mark.slow
@pytest.mark.parametrize("text", [*NAMES, "student_t(df=1.5)"])
def test_draws_at_extremes_are_in_the_support(text):
    likelihood, params = make(text)
    choice = np.random.default_rng(0).choice
    f = jnp.asarray(choice(EXTREMES, (50, 1, likelihood.num_features)), jnp.float32)
    p = likelihood.distribution(params, f)
    draws = jax.jit(lambda k: p.sample(k, (100,)))(jax.random.key(0))
    assert p.support(draws).all()
    assert likelihood.accepts(draws).all()
    assert jnp.isfinite(p.log_prob(draws)).all()
    assert jnp.isfinite(p.mean).all()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bernoulli", 1.5, "1.5: the likelihood takes a number from 0 to 1"),
        ("continuous_bernoulli", -0.5, "takes a number from 0 to 1"),
        ("beta", 0.0, "0.0: the likelihood takes a number between 0 and 1, neither included"),
        ("beta", 1.0, "neither included"),
        ("categorical(levels=4)", 4, "4.0: the likelihood takes an integer from 0 to 3"),
        ("discretized_logistic(levels=4)", 0.5, "takes an integer from 0 to 3"),
        ("discretized_logistic_mixture", 256, "takes an integer from 0 to 255"),
        ("binomial(total_count=4)", -1, "takes an integer from 0 to 4"),
        ("poisson", 0.5, "0.5: the likelihood takes an integer of 0 or more"),
        ("negative_binomial", -1, "takes an integer of 0 or more"),
        ("zero_inflated_negative_binomial", 2.5, "takes an integer of 0 or more"),
    ],
)
def test_data_outside_the_support_is_an_error_of_one_line(name, value, expected):
    good = 0.5 if name in ("bernoulli", "continuous_bernoulli", "beta") else 1.0
    model = build_model((2,), 1, likelihood=name)
    dataset = make_dataset({"train": np.full((3, 2), good, np.float32)})
    require_valid(dataset, model)
    dataset.splits["train"][1, 1] = value
    with pytest.raises(UserError) as caught:
        require_valid(dataset, model)
    assert str(caught.value).startswith("data: train split, example 1, element [1] is")
    assert str(caught.value).endswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal(scale=0.0)", "normal: scale=0.0: a positive number is needed"),
        ("laplace(min_scale=-1.0)", "min_scale=-1.0: a number of 0 or more is needed"),
        ("logistic(scale='predicted', min_scale=0.0)", "a positive floor is needed"),
        ("normal(scale='optimal', min_scale=0.0)", "a positive floor is needed"),
        ("student_t(df=1.0)", "student_t: df=1.0: a number above 1 is needed"),
        ("laplace(scale='optimal')", "is not of type"),
        ("categorical(levels=1)", "levels=1: an integer of 2 or more is needed"),
        ("discretized_logistic_mixture(components=0)", "a positive integer is needed"),
        ("binomial(total_count=0)", "total_count=0: a positive integer is needed"),
        ("negative_binomial(dispersion='none')", "is not of type"),
    ],
)
def test_what_cannot_be_is_said(text, expected):
    with pytest.raises(UserError, match=expected):
        make(text)


def test_an_event_is_the_sum_of_its_elements():
    """As NumPyro's own `to_event`, with axes for draws and batches, and axes after the event's."""
    key = jax.random.key(0)
    loc, logits = jax.random.normal(key, (5, 2, 3, 1)), jax.random.normal(key, (5, 2, 3, 1, 4))
    for base in (Normal(loc, jnp.arange(1.0, 7).reshape(2, 3, 1)), LevelCategorical(logits)):
        flat, usual = Flat(base, 3), Independent(base, 3)
        x = flat.sample(key, (7,))
        assert x.shape == (7, 5, 2, 3, 1)
        through_jit = jax.jit(lambda p, x: p.log_prob(x))  # the distribution as a pytree
        np.testing.assert_allclose(through_jit(flat, x), usual.log_prob(x), rtol=1e-5)


@every
def test_inputs_of_the_encoder(text):
    likelihood, _ = make(text)
    x = jnp.asarray(sensible(likelihood.accepts), jnp.float32)
    wanted = x
    if likelihood.accepts.is_discrete:
        top = getattr(likelihood.accepts, "upper_bound", None)
        wanted = np.log1p(x) if top is None else x / top
    np.testing.assert_allclose(likelihood.inputs(x), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("laplace(scale='learned')", {"log_scale": ()}),
        ("laplace(scale='learned_per_element')", {"log_scale": (2, 3)}),
        ("poisson", {"log_rate": (2, 3)}),
        ("negative_binomial(dispersion='learned')", {"log_rate": (2, 3), "log_dispersion": ()}),
        ("zero_inflated_negative_binomial", {"log_rate": (2, 3), "log_dispersion": (2, 3)}),
    ],
)
def test_parameters_are_per_element_where_they_are_said_to_be(text, shapes):
    _, params = make(text, (2, 3))
    assert jax.tree.map(jnp.shape, params["likelihood"]) == shapes


def test_the_optimal_scale_is_the_maximum_likelihood_one():
    """After refits to one batch p(x) is largest at its s, which has no gradient (Rybkin et al.)."""
    likelihood, params = make("normal(scale='optimal')")
    key = jax.random.key(0)
    f, x = jax.random.normal(key, (40, 1, 1)), 0.3 * jax.random.normal(jax.random.key(1), (40, 1))
    total = lambda params: likelihood.distribution(params, f).log_prob(x).sum()  # noqa: E731
    for _ in range(200):
        params = {"likelihood": likelihood.refit(params, f, x)}
    branch = lambda error: {"likelihood": {"untrained": {"squared_error": error}}}  # noqa: E731
    found = params["likelihood"]["untrained"]["squared_error"]
    np.testing.assert_allclose(found, np.mean((f[..., 0] - x) ** 2), rtol=1e-5)
    at = [float(total(branch(found * c))) for c in (0.9, 1.0, 1.1)]
    assert at[1] > max(at[0], at[2])
    assert jax.tree.leaves(jax.grad(total)(params)) == [0]
    [part] = jax.tree.leaves(likelihood.refit(branch(0.0), f, x))
    np.testing.assert_allclose(part, 0.1 * found, rtol=1e-4)


@pytest.mark.parametrize("logit", [-1e4, -3.0, -0.6, -0.4, -1e-3, 0.0, 1e-3, 0.4, 0.6, 3.0, 1e4])
def test_continuous_bernoulli_near_and_far_from_zero(logit):
    """In float64 by `expm1`, and the uniform density at 0, mean and gradient too."""
    a, x = np.float64(np.float32(logit)), 0.3
    size = abs(a) or 1.0
    log_z = max(a, 0) + np.log(-np.expm1(-size) / size) if a else 0.0
    p = ContinuousBernoulli(jnp.float32(logit))
    np.testing.assert_allclose(p.log_prob(jnp.float32(x)), a * x - log_z, rtol=1e-6, atol=2e-7)
    mean = 0.5 + a / 12 if abs(a) < 0.01 else -1 / np.expm1(-a) - 1 / a if a > -700 else -1 / a
    np.testing.assert_allclose(p.mean, mean, rtol=3e-6)
    gradient = jax.grad(lambda a: ContinuousBernoulli(a).log_prob(jnp.float32(x)))(jnp.float32(a))
    np.testing.assert_allclose(gradient, x - mean, rtol=1e-5, atol=1e-6)
