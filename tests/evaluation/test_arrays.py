"""Arrays are what the model gives example by example, whatever the batch, and what evaluation has."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae_jax
from tests.by_hand import run_of
from vae_jax import UserError, build_model
from vae_jax.batches.conditions import conditioned
from vae_jax.batches.keys import keys_of
from vae_jax.datasets._making import make_dataset
from vae_jax.evaluation.evaluate import evaluate

N, SEED = 23, 3
RNG = np.random.default_rng(0)
GREYS = RNG.uniform(size=(N, 5)).astype(np.float32)
WHICH = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
KINDS = {
    "latents": vae_jax.latents,
    "reconstructions": vae_jax.reconstructions,
    "log_p": lambda *args, **more: vae_jax.log_p(*args, num_samples=4, **more),
}


def small_run(given="", greys=GREYS, **parts):
    """A model of bits that are drawn at every presentation, its parameters as they start."""
    data = make_dataset(
        {"train": greys, "test": greys}, binarize="dynamic", labels={"train": WHICH, "test": WHICH}
    )
    data = conditioned(data, given)
    shape = (data.coding.size,) if given else None
    options = {"encoder": "mlp(hidden=(6,))", "decoder": "mlp(hidden=(6,))", "given_shape": shape}
    model = build_model((5,), 2, **options, **parts)
    params = model.init(jax.random.key(1), jnp.asarray(greys > 0.5, jnp.float32))
    return run_of(model, data, params, latent_dim=2)


@pytest.fixture(scope="module")
def run():
    return small_run()


@pytest.fixture(scope="module")
def by_class():
    return small_run("labels", prior="conditional")


def test_latents_and_log_p_are_those_of_an_evaluation(run):
    estimators = "importance(num_samples=4)|latents"
    values = evaluate(run, estimators=estimators, seed=SEED, quiet=True)["per_example"]
    log_p = vae_jax.log_p(run, num_samples=4, seed=SEED)
    assert log_p.keys() >= {"log_p", "log_p_error", "elbo", "kl", "effective_sample_size"}
    for name, array in log_p.items():
        np.testing.assert_array_equal(array, values[name], err_msg=name)
    z = vae_jax.latents(run, seed=SEED)
    for name, other in (
        ("z_mean", "latent_mean"),
        ("z_scale", "latent_scale"),
        ("z_kl", "kl_by_unit"),
    ):
        np.testing.assert_allclose(z[name], values[other], rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_arrays_are_those_of_the_model_one_example_at_a_time(run):
    """By the model's functions and the documented keys: draw k of example i is of (seed, i, k)."""
    z, x = vae_jax.latents(run, seed=SEED), vae_jax.reconstructions(run, seed=SEED)
    log_p = vae_jax.log_p(run, num_samples=4, seed=SEED)["log_p"]
    for i in (0, 7, N - 1):
        key, of_x = jax.random.split(jax.random.fold_in(keys_of(SEED).evaluate, i))
        bits = run.dataset.preprocess(of_x, jnp.asarray(GREYS[i]))
        q = run.model.encode(run.params, bits)
        np.testing.assert_allclose(z["z_mean"][i], q.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(z["z_scale"][i], np.sqrt(q.variance), rtol=1e-5)
        draw = q.sample(jax.random.fold_in(key, 0))
        np.testing.assert_allclose(z["z_draw"][i], draw, rtol=1e-5, atol=1e-6)
        mean = run.model.decode(run.params, draw).mean
        np.testing.assert_allclose(x["x_mean"][i], mean, rtol=1e-5)
        weights = vae_jax.log_weights(run.model, run.params, key, bits, 4)
        log_w = np.asarray(weights.log_weight, np.float64)
        np.testing.assert_allclose(log_p[i], np.log(np.exp(log_w).mean()), rtol=1e-5)
    assert set(np.unique(x["x_draw"])) == {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_neither_the_batch_size_nor_the_number_of_examples_changes_a_number(run, kind):
    every = KINDS[kind](run, seed=SEED)
    for sizes in ({"batch_size": 1, "num_examples": 4}, {"batch_size": 7}):
        some = KINDS[kind](run, seed=SEED, **sizes)
        for name, array in some.items():
            whole = every[name][: len(array)]
            np.testing.assert_allclose(array, whole, rtol=1e-3, atol=1e-5, err_msg=name)
            assert len(array) == sizes.get("num_examples", N)
    other = KINDS[kind](run, seed=SEED + 1)
    assert any(not np.array_equal(other[name], every[name]) for name in every)


@pytest.mark.slow
def test_examples_may_be_brought_in_place_of_a_split(run):
    """Seed 0: `present` draws the bits that an evaluation with it sees."""
    x = run.present(GREYS)
    for kind, function in KINDS.items():
        for name, array in function(run, x).items():
            np.testing.assert_array_equal(array, function(run)[name], err_msg=f"{kind} {name}")


def test_samples_are_of_the_prior_and_the_first_ones_of_more(run):
    more, few = vae_jax.samples(run, 200, seed=1), vae_jax.samples(run, 9, seed=1, batch_size=4)
    for name in ("z_draw", "x_mean", "x_draw"):
        np.testing.assert_allclose(few[name], more[name][:9], rtol=1e-5)
    z = more["z_draw"].astype(float)
    assert (np.abs(z.mean(0)) < 5 / 200**0.5).all()
    assert (np.abs((z**2).mean(0) - 1) < 5 * (2 / 200) ** 0.5).all()
    means = run.model.decode(run.params, jnp.asarray(more["z_draw"])).mean
    np.testing.assert_allclose(more["x_mean"], means, rtol=1e-4)
    error = np.sqrt((more["x_mean"] * (1 - more["x_mean"])).mean(0) / 200)
    assert (np.abs((more["x_draw"] - more["x_mean"]).mean(0)) < 5 * error).all()


def test_a_conditional_model_is_sampled_by_what_is_given(by_class):
    model, params = by_class.model, by_class.params
    params["prior"]["slopes"] = jax.tree.map(lambda A: A + 5 * jnp.arange(3.0)[:, None],
                                             params["prior"]["slopes"])  # fmt: skip
    run = by_class._replace(params=params)
    one, each = vae_jax.samples(run, 6, "b"), vae_jax.samples(run, 6, list("abcabc"))
    assert one["given"].tolist() == ["b"] * 6
    np.testing.assert_allclose(each["z_draw"][[1, 4]], one["z_draw"][[1, 4]], rtol=1e-5)
    assert not np.isclose(each["z_draw"][[0, 2]], one["z_draw"][[0, 2]]).any()
    z = jnp.asarray(each["z_draw"])
    means = model.decode(params, z, run.dataset.coding.encode(list("abcabc"))).mean
    np.testing.assert_allclose(each["x_mean"], means, rtol=1e-5)
    given = vae_jax.samples(run, 600)["given"]
    for name in "abc":  # as often as in the training split
        share = (name == WHICH).mean()
        assert abs((given == name).mean() - share) < 5 * np.sqrt(share * (1 - share) / 600)


def test_arrays_of_a_conditional_model_are_paired_with_its_conditions(by_class):
    log_p = vae_jax.log_p(by_class, num_samples=4)
    brought = by_class.present(GREYS, given=WHICH)
    np.testing.assert_array_equal(
        log_p["log_p"], vae_jax.log_p(by_class, brought, num_samples=4)["log_p"]
    )
    wrong = by_class.present(GREYS, given=np.roll(WHICH, 1))
    assert not np.allclose(log_p["log_p"], vae_jax.log_p(by_class, wrong, num_samples=4)["log_p"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: vae_jax.latents(run, "tets"), "did you mean 'test'"),
        (lambda run: vae_jax.latents(run, np.zeros(5)), r"shape \[5\], where \[n, 5\] is needed"),
        (lambda run: vae_jax.log_p(run, np.full((2, 5), 3.0)), r"example 0, element \[0\] is 3.0"),
        (lambda run: vae_jax.latents(run, batch_size=0), "a positive integer is needed"),
        (lambda run: vae_jax.latents(run, num_examples=99), "there are 23 examples"),
        (lambda run: vae_jax.samples(run, 0), "n=0: a positive integer is needed"),
        (lambda run: vae_jax.samples(run, 2, "b"), "is not conditioned on anything"),
        (lambda run: vae_jax.imputations(run), "nothing is missing in this data"),
        (lambda run: vae_jax.imputations(run, GREYS), "nothing is missing: Batch"),
    ],
)
def test_a_mistake_says_what_would_be_right(run, call, message):
    with pytest.raises(UserError, match=message):
        call(run)


PROGRAM = """
import pickle, sys
from tests.evaluation.test_arrays import KINDS, small_run
import vae_jax
run = small_run()
arrays = {kind: function(run, batch_size=8) for kind, function in KINDS.items()}
arrays["samples"] = vae_jax.samples(run, 20, batch_size=8)
pickle.dump(arrays, open(sys.argv[1], "wb"))
"""


@pytest.mark.slow
def test_eight_devices_change_nothing_but_rounding(run, tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    subprocess.run(command, cwd=root, env={**os.environ, **flags}, check=True, timeout=300)
    there = pickle.loads((tmp_path / "out").read_bytes())
    here = {kind: function(run) for kind, function in KINDS.items()}
    here["samples"] = vae_jax.samples(run, 20)
    for kind, arrays in here.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(there[kind][name], array, rtol=1e-3, atol=1e-4, err_msg=name)
