"""The reported values: definitions by loops in NumPy, and lower bounds on log p(x)."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

import vae_jax
from tests.compiled import compiled, objective_of
from vae_jax import build_model
from vae_jax.batches.keys import example_keys
from vae_jax.config import components
from vae_jax.datasets import make_dataset
from vae_jax.errors import UserError
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.objectives.renyi import power_mean
from vae_jax.runs.state import initial_state, optimization
from vae_jax.training.update import make_update
from vae_jax.types import Batch

iwae = compiled(vae_jax.iwae)


def log_mean(values):
    return np.log(np.mean([np.exp(v) for v in values]))


def riemann(log_w, betas):
    """The left Riemann sum, its expectations by self-normalized weights."""
    total = 0.0
    for low, high in itertools.pairwise(betas):
        w = [np.exp(low * v) for v in log_w]
        total += (high - low) * sum(a * b for a, b in zip(w, log_w, strict=True)) / sum(w)
    return total


DEFINITIONS = {
    "iwae(num_samples=6)": log_mean,
    "iwae(num_samples=6, gradient='stl')": log_mean,
    "iwae(num_samples=6, gradient='dreg')": log_mean,
    "miwae(num_samples=2, num_means=3)": lambda v: np.mean(
        [log_mean(v[i : i + 2]) for i in (0, 2, 4)]
    ),
    "piwae(num_samples=2, num_means=3)": log_mean,
    "ciwae(num_samples=6, beta=0.3)": lambda v: 0.3 * np.mean(v) + 0.7 * log_mean(v),
    "renyi(num_samples=6, alpha=0.4)": lambda v: log_mean(0.6 * v) / 0.6,
    "renyi(num_samples=6, alpha=3)": lambda v: log_mean(-2 * v) / -2,
    "renyi(num_samples=6, alpha=0)": log_mean,
    "renyi(num_samples=6, alpha=1)": np.mean,
    "renyi(num_samples=6, alpha=-1)": log_mean,
    "tvo(num_samples=6, partitions=1)": np.mean,
    "tvo(num_samples=6, partitions=3, first_beta=0.04)": lambda v: riemann(v, (0, 0.04, 0.2, 1)),
    "elbo(num_samples=6, gradient='stl')": np.mean,
    "elbo(num_samples=6, kl='sampled')": np.mean,
}


QUICK = (
    "iwae(num_samples=6)",
    "ciwae(num_samples=6, beta=0.3)",
    "elbo(num_samples=6, kl='sampled')",
)


@pytest.mark.parametrize(
    "text", [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in DEFINITIONS]
)
def test_values_are_the_definitions(text, small, bits, keys, log_w):
    bound = jax.jit(partial(components.build("objectives", text), small[0]))(small[1], keys, bits)
    expected = [DEFINITIONS[text](log_w[:, i]) for i in range(len(bits))]
    np.testing.assert_allclose(bound.value, expected, rtol=1e-5)
    if text == "renyi(num_samples=6, alpha=-1)":  # what is maximized is above what is reported
        expected = [log_mean(2 * log_w[:, i]) / 2 for i in range(len(bits))]
    np.testing.assert_allclose(bound.surrogate, np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize("power", [2.0, 1e-2, 1e-5, 1e-9, 0.0, -1e-9, -1e-3, -2.0])
def test_a_power_mean_is_exact_near_the_geometric_mean(power):
    log_w = np.float32(np.random.default_rng(0).normal(-90, 5, (7, 4)))
    wide = np.longdouble(log_w)
    # By the cumulants where the power is small, so that nothing cancels.
    series = wide.mean(0) + power / 2 * wide.var(0) + power**2 / 6 * scipy.stats.moment(wide, 3)
    expected = series
    if abs(power) > 1e-4:
        expected = np.log(np.exp(power * (wide + 90)).mean(0)) / power - 90
    narrow = jnp.asarray(log_w)
    value, gradient = (
        power_mean(narrow, power),
        jax.grad(lambda v: power_mean(v, power).sum())(narrow),
    )
    np.testing.assert_allclose(value, np.float64(expected), rtol=3e-7)
    weights = scipy.special.softmax(power * log_w.astype(float), axis=0)
    np.testing.assert_allclose(gradient, weights, atol=1e-5)


def test_power_means_overflow_nowhere():
    log_w = jnp.array([[-1e4, 1e4], [-2e4, 2e4], [-3e4, 3e4]])
    for power in (1.0, 0.01, 1e-6, -1.0):
        value, gradient = jax.value_and_grad(lambda v, p=power: power_mean(v, p).sum())(log_w)
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()


def test_tvo_lies_between_elbo_and_iwae_draw_by_draw(small, bits, keys, log_w):
    tight = np.asarray(iwae(*small, keys, bits, num_samples=len(log_w)).value)
    for partitions in (2, 5):
        tvo = objective_of(f"tvo(num_samples={len(log_w)}, partitions={partitions})")
        value = np.asarray(tvo(*small, keys, bits).value)
        assert (value >= log_w.mean(0) - 1e-5).all()
        assert (value <= tight + 1e-5).all()
    fine = [riemann(log_w[:, i], [0, *np.geomspace(0.001, 1, 400)]) for i in range(len(bits))]
    np.testing.assert_allclose(fine, tight, atol=0.01)


def test_an_objective_is_told_the_step_and_the_size_of_the_training_set(small, bits):
    contexts = []

    def objective(model, params, key, batch, context):
        contexts.append(context)
        assert batch.given is batch.observed is None
        return vae_jax.elbo(model, params, key, batch, context)

    rule, dataset = optimization(optax.sgd(0.1)), make_dataset({"train": bits, "test": bits})
    update = make_update(small[0], objective, rule, dataset)
    state = initial_state(small[0], rule, jax.random.key(0), Batch(jnp.asarray(bits)))
    jax.eval_shape(update, state, example_keys(jax.random.key(0), jax.numpy.arange(3)), bits[:3])
    [context] = contexts
    assert context.num_examples == 12
    assert context.step.shape == ()


NAMES = components.names("objectives")
VARIANTS = [
    "renyi(alpha=-2)",
    "renyi(alpha=2)",
    "iwae(gradient='dreg')",
    "elbo(gradient='stl', capacity=9.0)",
]


@pytest.mark.parametrize("text", [*NAMES, *VARIANTS])
def test_every_value_is_a_lower_bound(text, small):
    """Means over 400 keys, log p(x) by quadrature, for all x of 5 bits; in standard errors."""
    x = jnp.array(list(itertools.product([0.0, 1.0], repeat=5))).reshape(32, 1, 5, 1)
    objective = partial(components.build("objectives", text), *small)
    values = jax.jit(jax.vmap(lambda key: objective(key, x).value))(
        jax.random.split(jax.random.key(0), 400)
    )
    truth = log_p_by_quadrature(*small, x, points=100, margin=2.0)
    assert (values.mean(0) < truth + 5 * values.std(0, ddof=1) / 20 + 1e-5).all()


@pytest.mark.parametrize("text", NAMES)
def test_one_example_without_a_batch_axis(text, small, bits):
    objective = partial(components.build("objectives", text), small[0])

    def bound(params):
        answer = objective(params, jax.random.key(0), bits[0])
        return answer.surrogate, answer.value

    gradient, value = jax.jit(jax.grad(bound, has_aux=True))(small[1])
    assert value.shape == ()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("elbo(gradient='stl', kl='closed_form')", "'stl' is of a sampled KL"),
        ("elbo(gradient='stl', free_bits=0.1)", "'stl' is of a sampled KL"),
        ("elbo(kl='sampled', free_bits=0.1)", "free_bits needs the closed form"),
        ("elbo(free_bits=0.1, free_bits_total=1)", "choose one"),
        ("elbo(free_bits_total=1, capacity=2)", "choose one"),
        ("elbo(capacity=-2)", "capacity=-2: a number of 0 or more"),
        ("elbo(capacity_steps=5)", "without a capacity"),
        ("elbo(cycle_steps=5)", "fits into it"),
        ("elbo(cycle_steps=5, warmup_steps=6)", "fits into it"),
        ("elbo(beta=-1)", "beta=-1: a number of 0 or more"),
        ("iwae(num_samples=0)", "a positive integer"),
        ("miwae(num_means=0)", "num_means=0"),
        ("piwae(num_samples=0)", "a positive integer"),
        ("ciwae(beta=1.5)", "from 0 to 1"),
        ("renyi(alpha=1e999)", "cannot read"),
        ("tvo(num_samples=1)", "an integer of 2 or more"),
        ("tvo(partitions=0)", "a positive integer"),
        ("tvo(first_beta=1)", "between 0 and 1"),
        ("beta_tc", "independent latent dimensions"),
        ("beta_tc(beta=-1)", "0 or more"),
        ("info_vae(alpha=2)", "at most 1"),
        ("info_vae(bandwidth=0)", "positive"),
        ("info_vae(weight=-1)", "0 or more"),
        ("dip", r"needs E\[z\|x\]"),
        ("dip(diagonal=-1)", "0 or more"),
    ],
)
def test_objectives_refuse_in_one_line(text, message, bits):
    model = build_model((1, 5, 1), 2, posterior="planar", decoder="linear", encoder="linear")
    params = model.init(jax.random.key(0), bits)
    with pytest.raises(UserError, match=message) as error:
        components.build("objectives", text)(model, params, jax.random.key(0), bits)
    assert "\n" not in str(error.value)
