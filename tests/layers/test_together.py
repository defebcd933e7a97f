"""Layers and diffusions with everything else: objectives, tops, the commands."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.cli.test_cli import ROOT, call
from vae_jax import UserError, build_model
from vae_jax.config import components
from vae_jax.evaluation.of_layers import _active

X = (np.random.default_rng(0).uniform(size=(8, 6)) < 0.5).astype(np.float32)
SMALL = {"encoder": "mlp(hidden=(8,))", "decoder": "mlp(hidden=(8,))"}
MODELS = {
    "top_down": {"latent_dim": (2, 3), "prior": "layered(network=linear)",
                 "posterior": "top_down(network=linear, context=4)"},
    "bottom_up": {"latent_dim": (2, 3), "prior": "layered(network=linear, decoder_sees='all')",
                  "posterior": "bottom_up(network=linear)"},
    "flat_prior": {"latent_dim": (2, 3), "posterior": "bottom_up(network=linear)"},
    "flat_posterior": {"latent_dim": (2, 3), "prior": "layered(network=linear)"},
    "diffusion": {"posterior": "diffused(steps=3, size=2)",
                  "prior": "denoising(network=mlp(hidden=(4,)), time_frequencies=1)"},
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
        with pytest.raises(UserError, match=r"^[^\n]*$"):
            value_and_slopes(model, build)
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
    """Three dimensions: a mean that varies, one that varies little, and noise alone."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(5000, 1)) * np.array([0.5, 0.05, 0.0])
    halves = mean[:, None] + rng.normal(size=(5000, 2, 3)) / 5**0.5
    assert _active(halves).mean == 1


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
        assert "--estimators=bound" in err.splitlines()[-1]
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
