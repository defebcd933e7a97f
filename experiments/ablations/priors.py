"""Priors on dynamically binarized MNIST.

    vae-jax sweep  --config=experiments/ablations/priors.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/priors
    vae-jax report --workdir=runs/priors
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.config import is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/mnist.py` for 30 epochs, a warm-up of 10; `quick` trains one seed an epoch."""
    config = runpy.run_path(str(Path(__file__).parents[1] / "mnist.py"))["get_config"]()
    config.objective = "elbo(warmup_steps=5900)"
    config.num_epochs, config.num_seeds = (1, 1) if is_quick(arg) else (30, 3)
    return config


def sweep() -> list[dict[str, str]]:
    """The priors; the first is the baseline."""
    return [
        {"prior": prior}
        for prior in (
            "standard_normal",
            "mixture(components=500)",
            "vamp(components=500)",
            "realnvp",
            "maf",
            "autoregressive",
        )
    ]
