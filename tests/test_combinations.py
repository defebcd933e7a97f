"""Every pair of prior, posterior, likelihood and objective trains, or says in a line why not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpyro.distributions import Independent, constraints

from vae_jax import build_model
from vae_jax.config import components
from vae_jax.divergences import require_nested_supports
from vae_jax.errors import UserError
from vae_jax.runs.state import initial_state, optimization
from vae_jax.training.update import make_update
from vae_jax.types import Dataset

OF_DIFFUSION = ("denoising", "diffused", "inverted")  # which need each other: tests/layers
PRIORS, POSTERIORS, LIKELIHOODS, OBJECTIVES = (
    [name for name in components.names(family) if name not in OF_DIFFUSION]
    for family in ("priors", "posteriors", "likelihoods", "objectives")
)
NETWORKS = {"encoder": "mlp(hidden=(16,))", "decoder": "mlp(hidden=(16,))"}
SMALLER = {"vamp": "vamp(components=9)", "categorical": "categorical(levels=5)"}
KEYS = jax.random.split(jax.random.key(0), 64)
STEPS = 40


def rows():
    """Every prior with every likelihood; posteriors and objectives meet all others on the way."""
    for i, prior in enumerate(PRIORS):
        for j, likelihood in enumerate(LIKELIHOODS):
            posterior = POSTERIORS[(i + j) % len(POSTERIORS)]
            objective = OBJECTIVES[(j + 3 * i + (i + j) // len(POSTERIORS)) % len(OBJECTIVES)]
            yield prior, posterior, likelihood, objective


def remaining(rows):
    """The pairs that those rows leave of posteriors x objectives, priors x posteriors and the last."""
    pairs = {p[:2] for p in rows}, {p[1::2] for p in rows}, {p[2:] for p in rows}
    for prior in PRIORS:
        for posterior in POSTERIORS:
            if (prior, posterior) not in pairs[0]:
                yield prior, posterior, "bernoulli", "elbo"
    for objective in OBJECTIVES:
        for posterior in POSTERIORS:
            if (posterior, objective) not in pairs[1]:
                yield "standard_normal", posterior, "bernoulli", objective
        for likelihood in LIKELIHOODS:
            if (likelihood, objective) not in pairs[2]:
                yield "standard_normal", "diag_normal", likelihood, objective


EVERY = [*rows(), *remaining([*rows()])]


def each_once():
    """Few rows in which every prior, posterior and objective occurs, and none is refused."""
    possible = {row: {*enumerate(row)} - {(2, row[2])} for row in EVERY if not refused(*row)}
    missing = set().union(*possible.values())
    while missing:
        row = max(possible, key=lambda row: len(possible[row] & missing))
        missing -= possible[row]
        yield row


@functools.cache
def known(role, name):
    """Of a prior or posterior: whether it is independent numbers, its mean is known, it is bounded."""
    model, x = build_model((6,), 2, **NETWORKS, **{role: SMALLER.get(name, name)}), jnp.ones((9, 6))
    seen = []

    def look(key):
        params = model.init(key, x)
        distribution = model.prior(params) if role == "prior" else model.encode(params, x)
        independent = (
            isinstance(distribution, Independent) and distribution.base_dist.event_shape == ()
        )
        support = distribution.support
        while isinstance(support, constraints.independent):
            support = support.base_constraint
        has_mean = True
        try:
            _ = distribution.mean
        except NotImplementedError:
            has_mean = False
        seen.append((independent, has_mean, support is not constraints.real))

    jax.eval_shape(look, jax.random.key(0))
    return seen[0]


def refused(prior, posterior, likelihood, objective):
    """The combinations that the mathematics does not allow."""
    del likelihood
    factorizes, has_mean, is_bounded = known("posterior", posterior)
    return (
        (known("prior", prior)[2] and not is_bounded)
        or (objective == "beta_tc" and not factorizes)
        or (objective == "dip" and not has_mean)
    )


@functools.cache
def example_data(likelihood):
    """64 examples, drawn from a model of that likelihood with weights that make z matter."""
    model = build_model((6,), 2, **NETWORKS, likelihood=likelihood)

    @jax.jit
    def draw(key):
        params = model.init(key, jnp.full((8, 6), 0.5) + jnp.arange(8)[:, None] / 20)
        params["decoder"] = jax.tree.map(lambda leaf: 3 * leaf, params["decoder"])
        return model.decode(params, jax.random.normal(key, (64, 2))).sample(key)

    return draw(jax.random.key(8))


def trained(prior, posterior, likelihood, objective):
    """The mean bound on the data before and after some steps of Adam."""
    parts = [SMALLER.get(part, part) for part in (prior, posterior, likelihood)]
    names = dict(zip(("prior", "posterior", "likelihood"), parts, strict=True))
    model, x = build_model((6,), 2, **NETWORKS, **names), example_data(parts[2])
    bound = components.build("objectives", objective)
    rule, data = optimization(optax.adam(1e-2)), Dataset({"train": x}, lambda key, raw: raw)
    update = make_update(model, bound, rule, data)

    @jax.jit
    def run(x):
        state = initial_state(model, rule, jax.random.key(1), x)
        with jax.ensure_compile_time_eval():
            require_nested_supports(model.encode(state.params, x), model.prior(state.params))

        def value(state):
            return bound(model, state.params, KEYS, x).value.mean()

        keys = jax.random.split(jax.random.key(2), (STEPS, len(x), 2))
        after, metrics = jax.lax.scan(lambda state, keys: update(state, keys, x), state, keys)
        return value(state), value(after), metrics

    return run(x)


def check(row):
    if refused(*row):
        with pytest.raises(UserError) as caught:
            trained(*row)
        assert "\n" not in str(caught.value)
        return
    before, after, metrics = trained(*row)
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert metrics["surrogate"][-5:].mean() > metrics["surrogate"][:5].mean()
    assert after > before - 0.1 * abs(before)  # a regularized one may give some of its bound up


@pytest.mark.slow
@pytest.mark.parametrize("row", [*each_once()], ids="-".join)
def test_each_part_trains(row):
    check(row)


@pytest.mark.parametrize(
    "row",
    [
        ("uniform", "diag_normal", "bernoulli", "elbo"),
        ("normal", "full_normal", "bernoulli", "beta_tc"),
        ("normal", "iaf", "bernoulli", "dip"),
    ],
    ids="-".join,
)
def test_what_makes_no_sense_is_refused(row):
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", EVERY, ids="-".join)
def test_every_pair_trains(row):
    check(row)


def test_the_rows_hold_every_pair():
    def pairs(i, j):
        return {(row[i], row[j]) for row in EVERY}

    assert len(pairs(0, 1)) == len(PRIORS) * len(POSTERIORS)
    assert len(pairs(0, 2)) == len(PRIORS) * len(LIKELIHOODS)
    assert len(pairs(1, 3)) == len(POSTERIORS) * len(OBJECTIVES)
    assert len(pairs(2, 3)) == len(LIKELIHOODS) * len(OBJECTIVES)
