"""Likelihoods of grey levels: masses on the 17 levels of digits, and densities of the same levels.

    vae-jax sweep  --config=experiments/ablations/likelihoods.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/likelihoods
    vae-jax report --workdir=runs/likelihoods --metric=log_p_levels
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.config import is_quick

MASSES = (
    "categorical(levels=17)",
    "binomial(total_count=16)",
    "discretized_logistic(levels=17)",
    "discretized_logistic_mixture(components=5, levels=17)",
)
DENSITIES = (
    "normal(scale='optimal')",
    "normal(scale='learned_per_element')",
    "normal(scale='predicted')",
    "laplace(scale='predicted')",
    "beta",
    "continuous_bernoulli",
)


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/digits.py` with 10 latents for 300 epochs; `quick` trains one seed for 5."""
    config = runpy.run_path(str(Path(__file__).parents[1] / "digits.py"))["get_config"]()
    config.latent_dim = 10
    config.num_epochs, config.num_seeds = (5, 1) if is_quick(arg) else (300, 3)
    return config


def sweep() -> list[dict[str, str]]:
    """Masses on the levels, densities of the dequantized levels; the first is the baseline."""
    data = "digits(binarize='none', values='{}')"
    levels = [{"data": data.format("levels"), "likelihood": p} for p in MASSES]
    return levels + [{"data": data.format("dequantized"), "likelihood": p} for p in DENSITIES]
