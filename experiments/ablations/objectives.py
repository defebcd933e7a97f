"""The ELBO against IWAE with k = 5 and 50, its gradient had in three ways, on 10,000 MNIST images.

    vae-jax sweep  --config=experiments/ablations/objectives.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/objectives
    vae-jax report --workdir=runs/objectives
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.config import is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/mnist.py`: 30 epochs of 10,000 images, batch 20; `quick`: one epoch and seed."""
    config = runpy.run_path(str(Path(__file__).parents[1] / "mnist.py"))["get_config"]()
    config.data = "mnist(binarize='dynamic', train=10000)"
    config.batch_size = 20
    config.optimizer = config.optimizer.replace("2e-3", "1e-3")
    config.num_epochs, config.num_seeds = (1, 1) if is_quick(arg) else (30, 3)
    return config


def sweep() -> list[dict[str, str]]:
    """The objectives; the first is the baseline."""
    iwae = "iwae(num_samples={}, gradient='{}')"
    gradients = ("standard", "stl", "dreg")
    return [
        {"objective": objective}
        for objective in ("elbo", *(iwae.format(k, g) for k in (5, 50) for g in gradients))
    ]
