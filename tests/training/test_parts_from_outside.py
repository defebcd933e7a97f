"""Parts of a model from outside the package, with parameters of their own."""

import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import fit

VAMP = """
import jax
from numpyro.distributions import Categorical, MixtureSameFamily
from vae_jax.types import Prior


def vamp(spec, *, components: int = 4) -> Prior:
    def init(key, batch):
        return {"inputs": batch.x[:components], "logits": jax.numpy.zeros(components)}

    def distribution(params):
        branch = params["prior"]
        return MixtureSameFamily(
            Categorical(logits=branch["logits"]), spec.encode(params, branch["inputs"])
        )

    return Prior(init, distribution)
"""
FLOW = """
import jax.numpy as jnp
from numpyro.distributions import Normal, TransformedDistribution
from numpyro.distributions.transforms import AffineTransform, SigmoidTransform
from vae_jax.types import Posterior


def squash(spec) -> Posterior:
    def init(key, batch):
        return {"log_stretch": jnp.zeros(spec.latent_dim)}

    def distribution(params, features):
        loc, log_scale = jnp.split(features, 2, axis=-1)
        base = Normal(loc, jnp.exp(log_scale))
        stretch = AffineTransform(0.0, 3 * jnp.exp(params["posterior"]["log_stretch"]))
        return TransformedDistribution(base, [SigmoidTransform(), stretch]).to_event(1)

    return Posterior(2 * spec.latent_dim, init, distribution)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "name", "source"), [("prior", "vamp", VAMP), ("posterior", "squash", FLOW)]
)
def test_parts_with_parameters_that_call_other_parts(tmp_path, monkeypatch, part, name, source):
    """A prior that calls the encoder, and a flow with parameters, from outside the package."""
    from vae_jax import evaluate
    from vae_jax.reporting.samples import sample

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"outside_{part}").mkdir()
    (tmp_path / f"outside_{part}" / f"{name}.py").write_text(source)
    config = quick_config(**{part: f"outside_{part}.{name}"})
    run = fit(config, quiet=True)
    results = evaluate(run, num_importance_samples=20, quiet=True)
    assert np.isfinite(results["numbers"]["log_p"]["mean"])
    assert "kl" not in results["numbers"]
    assert {"samples", "manifold", "interpolations"} <= sample(run, num_samples=4).figures.keys()
