"""Annealing up and back, on models whose log p(x) is exact, and on models that were broken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from vae_jax import UserError, build_model
from vae_jax.estimators import _annealing as annealing
from vae_jax.estimators.ais import ais
from vae_jax.estimators.bdmc import bdmc
from vae_jax.estimators.exact import marginal
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.evaluation.evaluate import IN_FLIGHT
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch

N, SHORT = 120, {"chains": 8, "leapfrog_steps": 4}


@pytest.fixture(scope="module")
def linear_gaussian():
    """A model of 6 numbers and 3 latents whose encoder is rough, and x that it made."""
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.5)"}
    model = build_model((6,), 3, **parts)
    params = jax.jit(model.init)(jax.random.key(1), jnp.zeros((2, 6)))
    params["encoder"] = jax.tree.map(lambda w: 0.2 * w, params["encoder"])
    density = marginal(model, params, (6,))
    return model, params, density.sample(jax.random.key(2), (N,)), density


def values_of(estimator, model, params, x):
    keys = jax.random.split(jax.random.key(3), len(x))
    found = jax.jit(lambda keys, x: estimator.of_examples(model, params, keys, Batch(x)))(keys, x)
    return {name: np.asarray(v, np.float64) for name, v in found.items()}


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / len(values) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("start", ["posterior", pytest.param("prior", marks=pytest.mark.slow)])
def test_annealing_is_below_log_p_and_comes_close(linear_gaussian, start):
    model, params, x, density = linear_gaussian
    exact, gaps = np.asarray(density.log_prob(x)), []
    for temperatures in (4, 100):
        values = values_of(ais(temperatures=temperatures, start=start, **SHORT), model, params, x)
        gap, error = mean_and_error(exact - values["log_p_ais"])
        assert gap > -5 * error  # in expectation a lower bound
        gaps.append(gap)
    assert gaps[1] < 0.3 * gaps[0]
    assert gaps[1] < 0.15
    assert values["ais_acceptance"].mean() > 0.5


@pytest.mark.slow
def test_the_mean_weight_is_the_density(linear_gaussian):
    """E w = p(x): of the ratios w / p(x) of all chains the mean is 1 within 5 errors."""
    model, params, x, density = linear_gaussian

    @jax.jit
    @jax.vmap
    def weights(key, x):
        pilot, run = jax.random.split(key)
        path = annealing.path_from("posterior", model, params, Batch(x))
        kernel = annealing.tuned(path, pilot, 60, 4)
        return jax.vmap(lambda k: annealing.forward(path, kernel, k))(jax.random.split(run, 32))

    keys = jax.random.split(jax.random.key(4), N)
    ratios = np.exp(
        np.asarray(weights(keys, x).log_weight) - np.asarray(density.log_prob(x))[:, None]
    )
    mean, error = mean_and_error(ratios.mean(1))
    assert abs(mean - 1) < 5 * error
    assert error < 0.05


@pytest.mark.slow
def test_the_sandwich_holds_the_entropy_and_closes(linear_gaussian):
    model, params, x, density = linear_gaussian
    entropy, widths = float(density.entropy()), []
    for temperatures in (4, 100):
        values = values_of(bdmc(temperatures=temperatures, **SHORT), model, params, x)
        (low, low_error), (high, high_error) = (
            mean_and_error(values[f"bdmc_{end}"]) for end in ("lower", "upper")
        )
        assert low < -entropy + 5 * low_error
        assert high > -entropy - 5 * high_error
        width, error = mean_and_error(values["bdmc_width"])
        assert width > -5 * error
        widths.append(width)
    assert widths[1] < 0.3 * widths[0]


@pytest.mark.slow
def test_a_latent_that_is_bent_against_quadrature(small, bits):
    model, params = small
    values = values_of(ais(temperatures=60, **SHORT), model, params, bits)
    gap = np.asarray(log_p_by_quadrature(model, params, bits, points=200)) - values["log_p_ais"]
    errors = np.sqrt((values["log_p_ais_error"] ** 2).sum()) / len(bits)
    assert abs(gap.mean()) < 5 * errors


def without_a_term(model):
    """p(x | z) whose density lacks -log of a scale that depends on z."""

    class Lacking(Normal):
        def log_prob(self, value):
            return super().log_prob(value) + jnp.log(self.scale)

    def decode(params, z, given=None):
        loc = model.decode(params, z).base_dist.loc
        scale = 0.5 * (1 + 0.7 * jnp.tanh(2 * z[..., :1]))
        return Lacking(loc, jnp.broadcast_to(scale, loc.shape)).to_event(1)

    return model._replace(decode=decode)


@pytest.mark.slow
def test_a_sandwich_says_that_a_density_lacks_a_term(linear_gaussian):
    """The bounds stay apart, or change their places, however many temperatures there are."""
    model, params, x, _ = linear_gaussian
    many = jnp.tile(x, (10, 1))  # as many draws of the model's own
    estimator = bdmc(temperatures=100, **SHORT)
    right, wrong = (
        mean_and_error(values_of(estimator, one, params, many)["bdmc_width"])
        for one in (model, without_a_term(model))
    )
    assert abs(wrong[0] - right[0]) > 5 * np.hypot(right[1], wrong[1])


@pytest.mark.slow
def test_sandwiches_from_both_starts_say_that_log_q_is_scaled(linear_gaussian, monkeypatch):
    """They hold the same number; that from q has lost the normalizer of q^3."""
    model, params, x, _ = linear_gaussian
    path_from = annealing.path_from

    def scaled(start, *args):
        path = path_from(start, *args)
        factor = 3.0 if start == "posterior" else 1.0
        return path._replace(log_start=lambda z: factor * path.log_start(z))

    monkeypatch.setattr(annealing, "path_from", scaled)
    ends = [
        values_of(bdmc(temperatures=100, start=start, **SHORT), model, params, x)
        for start in ("posterior", "prior")
    ]
    apart = [(a["bdmc_lower"] - b["bdmc_upper"]) for a, b in (ends, ends[::-1])]
    assert any(mean > 5 * error for mean, error in map(mean_and_error, apart))


@pytest.mark.slow
def test_a_sandwich_says_that_a_kernel_is_wrong(linear_gaussian, monkeypatch):
    """Moves that are accepted too often; with the wrong sign the chains run away, which is said."""
    model, params, x, _ = linear_gaussian
    right, estimator = annealing._acceptance, bdmc(temperatures=100, **SHORT)
    monkeypatch.setattr(annealing, "_acceptance", lambda lost: right(0.2 * lost))
    width, error = mean_and_error(values_of(estimator, model, params, x)["bdmc_width"])
    assert abs(width) > 5 * error
    assert abs(width) > 0.3
    monkeypatch.setattr(annealing, "_acceptance", lambda lost: right(-lost))
    said = estimator.summary(values_of(estimator, model, params, x))["bdmc_width"].remark
    assert "fewer than 2 chains make the estimate" in said


def test_bounds_that_have_changed_places_are_said():
    values = {
        f"bdmc_{name}": np.linspace(0.9, 1.1, 50) for name in ("lower", "upper", "acceptance")
    }
    sizes = {f"bdmc_{end}_effective_chains": np.full(50, 8.0) for end in ("lower", "upper")}
    for sign, said in ((1, False), (-1, True)):
        width = {"bdmc_width": sign * np.linspace(0.1, 0.2, 50)}
        remark = bdmc().summary({**values, **sizes, **width})["bdmc_width"].remark
        assert ("upper bound lies below" in remark) == said


def test_what_speaks_against_a_run_is_said():
    sizes, accepted = np.array([8.0, 1.1, 5.0, 5.0]), np.array([0.7, 0.7, 0.0, 0.0])
    remark = annealing.doubts(sizes, accepted)
    assert "of 25.0% of the examples fewer than 2 chains" in remark
    assert "of 50.0% of the examples less than 10% of the moves" in remark
    assert annealing.doubts(sizes[:1], accepted[:1]) == ""


def test_a_box_is_refused(bits):
    model = build_model((1, 5, 1), 2, prior="uniform", posterior="logit_normal")
    params = jax.eval_shape(model.init, jax.random.key(0), bits)
    with pytest.raises(UserError, match="is on a box"):
        ais().require(find_facts(model, params, (1, 5, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(100_000, 5_000), (1_000, 100_000)])
def test_memory_is_bounded_whatever_the_numbers(linear_gaussian, settings):
    """By the compiler's own account, of the batch that an evaluation would take."""
    model, params, x, _ = linear_gaussian
    estimator = ais(temperatures=settings[0], chains=settings[1], leapfrog_steps=1)
    count = max(1, min(N, IN_FLIGHT // estimator.floats_per_example))
    keys = jax.random.split(jax.random.key(0), count)
    program = jax.jit(lambda keys, x: estimator.of_examples(model, params, keys, Batch(x)))
    held = program.lower(keys, x[:count]).compile().memory_analysis().temp_size_in_bytes
    assert held < 2**30
