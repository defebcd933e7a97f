"""Masses on levels and densities of dequantized levels on one scale, and what compares."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Uniform

from tests.by_hand import run_of
from vae_jax import build_model, default_config, evaluate, fit
from vae_jax.cli.main import main
from vae_jax.datasets._making import make_dataset
from vae_jax.errors import UserError
from vae_jax.runs.state import num_parameters
from vae_jax.sweeps.compare import compare
from vae_jax.types import Batch, Likelihood, no_params

LEVELS, D = 5, 3
RAW = np.random.default_rng(0).integers(LEVELS, size=(40, D)).astype(np.uint8)


def flat_density(spec):
    """1 on the unit cube, whatever z: each cell of it has the mass L^-D."""
    box = Uniform(jnp.zeros(spec.x_shape), jnp.ones(spec.x_shape)).to_event(1)
    return Likelihood(1, no_params, lambda params, features: box.expand(features.shape[:-2]))


def evaluated(values, likelihood):
    """With weights of 0 a posterior is the prior, and log p(x) what p(x | z) is for every z."""
    data = make_dataset({"train": RAW, "test": RAW}, scale=LEVELS - 1.0, values=values)
    model = build_model((D,), 2, encoder="linear", decoder="linear", likelihood=likelihood)
    params = model.init(jax.random.key(0), jnp.asarray(RAW, jnp.float32))
    for network in ("encoder", "decoder"):
        params[network] = jax.tree.map(jnp.zeros_like, params[network])
    run = run_of(model, data, params)
    numbers = evaluate(run, num_importance_samples=2, quiet=True)["numbers"]
    return {name: number["mean"] for name, number in numbers.items()}


@pytest.mark.slow
def test_a_flat_density_and_a_flat_mass_are_the_same_number_of_levels():
    density = evaluated("dequantized", flat_density)
    mass = evaluated("levels", f"categorical(levels={LEVELS})")
    assert density["log_p"] == pytest.approx(0, abs=1e-5)
    for results in (density, mass):
        assert results["log_p_levels"] == pytest.approx(-D * np.log(LEVELS), rel=1e-5)
        assert results["bits_per_dim"] == pytest.approx(np.log2(LEVELS), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("values", ["levels", "greys"])
def test_a_density_at_levels_is_no_mass_of_levels(values):
    assert not {"log_p_levels", "bits_per_dim"} & evaluated(values, "normal").keys()


@pytest.mark.slow
def test_only_levels_compare_over_units(digits_of_both_kinds):
    densities = compare(digits_of_both_kinds, metric="log_p").rows
    assert [row.remark for row in densities] == ["baseline", "other data than the baseline's"]
    levels = compare(digits_of_both_kinds, metric="log_p_levels").rows
    assert [row.remark for row in levels] == ["baseline", ""]
    assert levels[1].difference is not None


@pytest.fixture
def digits_of_both_kinds(tmp_path):
    """Two settings of one run each, as a sweep leaves them."""
    data = "digits(binarize='none', values='{}')"
    kinds = ("levels", "dequantized")
    zipped = ["data=" + "|".join(data.format(kind) for kind in kinds)]
    zipped += ["likelihood=categorical(levels=17)|continuous_bernoulli"]
    experiment = Path(__file__).parents[2] / "experiments" / "digits.py"
    flags = [f"--zip={text}" for text in zipped] + ["--num_importance_samples=3", "--num_seeds=1"]
    base = [f"--config={experiment}:quick", f"--workdir={tmp_path}", "--config.num_epochs=1"]
    assert main(["vae-jax", "sweep", *base, *flags]) == 0
    return tmp_path


def test_levels_are_whole_numbers():
    with pytest.raises(UserError, match="whole number"):
        make_dataset({"train": RAW}, scale=4.5, values="dequantized")


@pytest.mark.slow
def test_an_optimal_scale_is_the_error_of_reconstructions_from_q():
    model = build_model((D,), 2, likelihood="normal(scale='optimal')", encoder="linear")
    x = jax.random.normal(jax.random.key(0), (2000, D))
    params = model.init(jax.random.key(1), x)
    params["decoder"] = jax.tree.map(lambda leaf: 3 * leaf, params["decoder"])
    keys = jax.random.split(jax.random.key(2), len(x))
    for _ in range(100):
        params = model.refit(params, keys, Batch(x))
    z = model.encode(params, x).sample(jax.random.key(3))
    errors = np.mean((np.asarray(x) - np.asarray(model.decode(params, z).mean)) ** 2, 1)
    variance = float(params["likelihood"]["untrained"]["squared_error"])
    assert abs(variance - errors.mean()) < 5 * np.sqrt(2) * errors.std() / np.sqrt(len(x))


@pytest.mark.slow
def test_weight_decay_leaves_what_is_not_trained():
    optimizer = "adamw(learning_rate=0.01, weight_decay=10.0)"
    fixed = {"data": "digits(binarize='none')", "likelihood": "continuous_bernoulli",
             "num_epochs": 1, "latent_dim": 2, "optimizer": optimizer}  # fmt: skip
    branches, counts = [], []
    for learned in (False, True):
        config = default_config()
        config.update(fixed, prior=f"vamp(components=20, learned={learned})")
        run = fit(config, quiet=True)
        branches.append(run.params["prior"])
        counts.append(num_parameters(run.params))
    train = np.asarray(run.dataset.splits["train"]).reshape(-1, 64) / 16
    inputs = np.asarray(branches[0]["untrained"]).reshape(-1, 1, 64)
    assert (np.abs(inputs - train).max(-1).min(-1) < 1e-6).all()  # still examples
    assert np.abs(branches[1]["inputs"]).mean() < 0.5 * train.mean()
    assert counts[1] - counts[0] == 20 * 64


@pytest.mark.slow
def test_training_refits():
    config = default_config()
    config.update(data="digits(binarize='none')", likelihood="normal(scale='optimal')")
    config.num_epochs, config.latent_dim = 3, 2
    run = fit(config, quiet=True)
    start = float(np.var(np.concatenate(run.dataset.splits["train"])) / 16**2)
    assert float(run.params["likelihood"]["untrained"]["squared_error"]) < 0.8 * start
