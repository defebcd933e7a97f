"""Layers and diffusions with everything else: objectives, tops, the commands."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from tests.cli.test_cli import ROOT, call
from vae_jax import UserError, build_model
from vae_jax.batches.keys import keys_of
from vae_jax.config import components, fields
from vae_jax.config.experiments import read_experiment
from vae_jax.distributions.chain import Chain
from vae_jax.evaluation.of_layers import _active, of_layers
from vae_jax.kl_comparison.models import layers
from vae_jax.runs.facts import find_facts
from vae_jax.training.advice import log_notes
from vae_jax.training.job import make_job
from vae_jax.types import Batch, Model

X = (np.random.default_rng(0).uniform(size=(8, 6)) < 0.5).astype(np.float32)
SMALL = {"encoder": "mlp(hidden=(8,))", "decoder": "mlp(hidden=(8,))"}
MODELS = {
    "top_down": {"latent_dim": (2, 3), "prior": "layered(network=linear)",
                 "posterior": "top_down(network=linear, context=4)"},
    "bottom_up": {"latent_dim": (2, 3), "prior": "layered(network=linear, decoder_sees='all')",
                  "posterior": "bottom_up(network='mlp(hidden=(4,))')"},
    "flat_prior": {"latent_dim": (2, 3), "posterior": "bottom_up(network=linear)"},
    "flat_posterior": {"latent_dim": (2, 3), "prior": "layered(network=linear)"},
    "diffusion": {"posterior": "diffused(steps=3, size=2)",
                  "prior": "denoising(network=mlp(hidden=(4,)), time_frequencies=1)"},
}  # fmt: skip
SIMPLE = {
    "encoder": "identity", "decoder": "identity", "likelihood": "inverted(levels=2)",
    "prior": "denoising(network=linear)", "objective": "elbo(kl=one_layer(weighting='simple'))",
}  # fmt: skip
TOPS = [name for name in components.names("priors") if name not in ("denoising", "uniform")]


def value_and_slopes(model, objective):
    """The bounds of the examples and the gradient of what training maximizes."""
    keys = jax.random.split(jax.random.key(1), len(X))
    params = jax.jit(model.init)(jax.random.key(0), X)

    @jax.jit
    def both(params):
        def surrogate(params):
            bound = objective(model, params, keys, X)
            return bound.surrogate, bound.value

        return jax.grad(surrogate, has_aux=True)(params)

    return both(params)


@pytest.mark.slow  # each is compiled
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("objective", components.names("objectives"))
def test_every_objective_takes_layers_or_says_why_not(name, objective):
    model = build_model((6,), **SMALL, **MODELS[name])
    build = components.build("objectives", objective)
    if objective in ("beta_tc", "dip") and name != "flat_posterior":
        with pytest.raises(UserError) as refusal:
            value_and_slopes(model, build)
        assert "\n" not in str(refusal.value)
        return
    slopes, value = value_and_slopes(model, build)
    assert value.shape == (8,)
    assert jnp.isfinite(value).all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any(
        (leaf != 0).any() for leaf in jax.tree.leaves(slopes["prior"])
    ) or "prior" not in str(MODELS[name])


@pytest.mark.slow  # each is compiled
@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("posterior", ["top_down", "ladder"])
def test_every_prior_may_be_the_top(top, posterior):
    prior = f"layered(top={top}, network=linear)"
    model = build_model((6,), (2, 3), **SMALL, prior=prior, posterior=posterior)
    slopes, value = value_and_slopes(model, components.build("objectives", "elbo"))
    assert jnp.isfinite(value).all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_units_are_active_where_means_vary_and_noise_is_none():
    """Of 300 examples, as often as not fewer: a mean that varies, and 99 that are noise alone."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(300, 1)) * np.array([0.5] + 99 * [0.0])
    halves = mean[:, None] + rng.normal(size=(300, 2, 100)) / 5**0.5
    assert _active(halves).mean <= 1 + 3  # at most 2% of 99 are expected, by two standard errors
    assert _active(halves[:, :, :1]).mean == 1


def two_normals():
    """A model of two layers, the top one as in the prior, the other a nat from it in each of 3."""

    def factor(arguments, layer, above):
        loc = arguments[..., None] * jnp.ones(3) if layer == 1 else jnp.zeros(2)
        return Normal(loc, 1.0).to_event(1)

    def encode(params, batch):
        loc = jnp.full(getattr(batch, "x", batch).shape[:-1], 2**0.5)
        return Chain(factor, loc, (2, 3), loc.shape)

    def prior(params, given=None):
        return Chain(factor, jnp.zeros(()), (2, 3))

    def decode(params, z, given=None):
        return Normal(z[..., -3:].sum(-1, keepdims=True) * jnp.ones(6), 1.0).to_event(1)

    return Model(lambda key, batch: {}, encode, decode, prior, x_shape=(6,))


@pytest.mark.slow
def test_a_number_is_of_the_layer_that_it_names():
    """The top layer, 2, holds nothing; layer 1, beside x, 3 nats."""
    model = two_normals()
    [estimator] = of_layers(find_facts(model, {}, (6,)))
    keys = jax.random.split(jax.random.key(0), len(X))
    values = estimator.of_examples(model, {}, keys, Batch(jnp.asarray(X)))
    np.testing.assert_allclose(values["kl_layer_2"], 0, atol=1e-6)
    np.testing.assert_allclose(values["kl_layer_1"], 3, rtol=1e-5)
    numbers = estimator.summary({name: np.asarray(array) for name, array in values.items()})
    assert (numbers["active_layer_1"].mean, numbers["active_layer_2"].mean) == (0, 0)
    compared = layers.of_layers(model, {}, keys, jnp.asarray(X), 400)
    top, last = layers.summary({name: np.asarray(array) for name, array in compared.items()})
    assert (top["layer"], last["layer"]) == (2, 1)
    assert top["kl"] == pytest.approx(0, abs=1e-6)
    assert last["kl"] == pytest.approx(3, rel=1e-5)
    # log q - log p of a draw is 3 + sqrt(2) (e_1 + e_2 + e_3): its variance is 6
    assert last["sampled_variance"] == pytest.approx(6, rel=0.2)
    assert abs(last["difference"]) < 5 * (6 / 400 / len(X)) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["top_down", "bottom_up", "ladder"])
def test_a_density_broadcasts_against_draws_of_others(posterior):
    """As the mixture of a flat VampPrior, and surgery, want it."""
    name = posterior if posterior == "ladder" else f"{posterior}(network=linear)"
    parts = {**SMALL, "prior": "layered(network=linear)", "posterior": name}
    model = build_model((6,), (2, 3), **parts)
    params = jax.jit(model.init)(jax.random.key(0), X)
    q = model.encode(params, jnp.asarray(X))
    z = q.sample(jax.random.key(1))
    table = np.stack([q.log_prob(one) for one in z])
    np.testing.assert_allclose(q.log_prob(z[:, None]), table, rtol=1e-5)
    np.testing.assert_allclose(np.diag(table), q.log_prob(z), rtol=1e-5)


@pytest.mark.slow
def test_a_flat_vamp_meets_a_layered_posterior():
    parts = {**SMALL, "prior": "vamp(components=3)", "posterior": "top_down(network=linear)"}
    model = build_model((6,), (2, 3), **parts)
    assert jnp.isfinite(value_and_slopes(model, components.build("objectives", "elbo"))[1]).all()


@pytest.mark.slow  # they train
@pytest.mark.parametrize(
    ("word", "more"),
    [
        ("layers", ("--config.latent_dim=(2, 3)", "--config.prior=layered",
                    "--config.posterior=top_down")),
        ("diffusion", ("--config.posterior=diffused(steps=20, gamma_min=-5.0)",
                       "--config.prior=denoising(network=mlp(hidden=(16,)))",
                       "--config.likelihood=inverted(levels=2)", "--config.encoder=identity",
                       "--config.decoder=identity", "--config.objective=elbo(kl='one_layer')")),
    ],
)  # fmt: skip
def test_the_commands_take_them(capsys, tmp_path, word, more):
    run = tmp_path / word
    config = f"--config={ROOT / 'experiments' / 'digits.py'}:quick"
    few = ("--config.num_epochs=1", "--config.encoder=mlp(hidden=(8,))")
    few = few if word == "layers" else few[:1]
    assert call(capsys, "train", config, f"--workdir={run}", *few, *more)[0] == 0
    if word == "diffusion":
        status, _, err = call(capsys, "evaluate", f"--workdir={run}")
        assert status == 2
        assert "21 layers" in err.splitlines()[-1]
        assert "--estimators=\"bound(kl='one_layer')\"" in err.splitlines()[-1]
    estimators = "importance(num_samples=4)" if word == "layers" else "bound(kl='one_layer')"
    assert call(capsys, "evaluate", f"--workdir={run}", f"--estimators={estimators}")[0] == 0
    numbers = json.loads((run / "results.json").read_text())["test"]["numbers"]
    if word == "layers":
        assert {"kl_layer_1", "kl_layer_2", "active_layer_1", "active_layer_2"} <= numbers.keys()
    else:
        assert {"elbo", "kl_term", "bits_per_dim_elbo"} <= numbers.keys()
    assert call(capsys, "sample", f"--workdir={run}", "--num_samples=4")[0] == 0
    assert (run / "figures" / "steps.png").exists() == (word == "diffusion")
    status, _, err = call(capsys, "sample", f"--workdir={run}", "--steps=5")
    assert status == (0 if word == "diffusion" else 2)
    assert word == "diffusion" or "prior=denoising" in err.splitlines()[-1]
    status, _, err = call(capsys, "compare-kl", f"--workdir={run}", "--max_samples=16",
                          "--num_repetitions=32")  # fmt: skip
    assert status == (0 if word == "layers" else 2)
    assert word == "layers" or "at most 16" in err.splitlines()[-1]
    assert call(capsys, "report", f"--workdir={run}")[0] == 0


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        ({"latent_dim": (2, 3)}, "latent_dim=(2, 3): z is one layer of 5"),
        ({"latent_dim": (2, 3), "prior": "layered"}, None),
        ({"objective": "elbo(warmup_steps=2_000)"}, "warmup_steps=2,000: the KL does not reach"),
        (SIMPLE | {"posterior": "diffused(steps=3, schedule='learned')"}, "is no bound for"),
        (SIMPLE | {"posterior": "diffused(steps=3)"}, None),
    ],
)  # fmt: skip
def test_doubts_are_logged_before_training(caplog, overrides, warning):
    cfg = fields.default_config()
    cfg.data, cfg.num_epochs, cfg.encoder, cfg.decoder = "digits", 1, "linear", "linear"
    for name, value in overrides.items():
        fields.override(cfg, name, value)
    job = make_job(fields.resolve(cfg))
    with caplog.at_level("WARNING"):
        log_notes(job, job.parts.start(keys_of(0)).params)
    told = [record.getMessage() for record in caplog.records]
    assert [warning in message for message in told] == ([True] if warning else [])


def test_an_experiment_file_takes_one_data_set():
    with pytest.raises(UserError, match="one of swirl, digits, mnist"):
        read_experiment(f"{ROOT / 'experiments' / 'diffusion.py'}:swirl,digits")
