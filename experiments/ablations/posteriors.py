"""Posteriors on dynamically binarized MNIST, with the standard normal prior.

    vae-jax sweep  --config=experiments/ablations/posteriors.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/ablation_posteriors
    vae-jax report --workdir=runs/ablation_posteriors
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/ablations/priors.py`, whose prior is the standard normal."""
    return runpy.run_path(str(Path(__file__).parent / "priors.py"))["get_config"](arg)


def sweep() -> list[dict[str, str]]:
    """The posteriors; the first is the baseline."""
    posteriors = ("diag_normal", "full_normal", "iaf")
    return [{"posterior": posterior} for posterior in posteriors]
