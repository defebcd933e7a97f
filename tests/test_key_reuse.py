"""No key is used for two draws: JAX's own checker follows every key through each part's program."""

import jax
import jax.numpy as jnp
import pytest
from numpyro import distributions as dist

from tests.test_contracts import CASES, FAMILIES, few
from vae_jax import build_model
from vae_jax.config import components
from vae_jax.estimators import _annealing as annealing
from vae_jax.types import Batch

DRAWN = [case for case in CASES if FAMILIES[case[0]] in ("priors", "posteriors", "likelihoods")]
SCANNED = ("ais", "bdmc")  # the checker takes a scan under vmap for a reuse: below, by their parts
NOT_SAMPLED = ("exact", "closed_form_kl", "quadrature")


@pytest.fixture(autouse=True)
def _checked():
    with jax.debug_key_reuse(True):
        yield


def test_the_checker_sees_a_key_that_is_used_twice():
    with pytest.raises(jax.errors.KeyReuseError):
        jax.jit(lambda key: jax.random.normal(key) + jax.random.uniform(key))(jax.random.key(0))


@pytest.mark.parametrize("name", components.names("kl_estimators"))
def test_kl_estimators(name):
    q, p = (f(jnp.zeros(3), 1.0).to_event(1) for f in (dist.Laplace, dist.Normal))
    estimator = components.build("kl_estimators", name)
    jax.jit(lambda key: estimator(key, q, p, 64))(jax.random.key(1))


@pytest.mark.parametrize("name", components.names("objectives"))
def test_objectives(name, small, bits):
    objective = components.build("objectives", name)
    jax.jit(lambda key: objective(*small, key, bits).surrogate)(jax.random.key(1))


@pytest.mark.parametrize("case", DRAWN, ids="-".join)
def test_draws_of_parts(case):
    role, name = case
    partner = {"posterior": "logit_normal"} if name == "uniform" else {}
    parts = {"encoder": "linear", "decoder": "linear", **partner, role: few(role, name)}
    model = build_model((4, 6, 1), 3, **parts)
    x = jnp.full((2, 4, 6, 1), 0.5)
    params = jax.jit(model.init)(jax.random.key(1), x)

    def draw(key):
        keys = jax.random.split(key, 3)
        z = model.encode(params, x).sample(keys[0])
        return model.prior(params).sample(keys[1]), model.decode(params, z).sample(keys[2])

    jax.jit(draw)(jax.random.key(2))


@pytest.mark.parametrize(
    "name",
    sorted(
        {*components.names("estimators")} - {*SCANNED, *NOT_SAMPLED, "bayes"}  # of a class
    ),
)
def test_estimators(name, small, bits):
    estimator = components.build("estimators", name)()
    keys = jax.random.split(jax.random.key(1), len(bits))
    jax.eval_shape(lambda keys: estimator.of_examples(*small, keys, Batch(jnp.asarray(bits))), keys)


@pytest.mark.slow
def test_annealing(small, bits):
    model, params = small

    def up_and_back(key):
        pilot, up, back = jax.random.split(key, 3)
        path = annealing.path_from("posterior", model, params, Batch(jnp.asarray(bits[0])))
        kernel = annealing.tuned(path, pilot, 20, 2)
        return annealing.forward(path, kernel, up), annealing.backward(
            path, kernel, back, jnp.ones(2)
        )

    jax.jit(up_and_back)(jax.random.key(1))
