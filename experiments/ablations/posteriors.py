"""Posteriors on dynamically binarized MNIST, with the standard normal prior.

The one-layer VAE of `experiments/mnist.py` for 30 epochs; the weight of the KL rises over the first
ten, as in `priors.py`, whose standard normal is this baseline.

    vae-jax sweep  --config=experiments/ablations/posteriors.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/ablation_posteriors
    vae-jax report --workdir=runs/ablation_posteriors

log p(x), nats on the 10,000 test images, K = 1000: mean ± error over 3 seeds, error over images,
difference to the first and its 95% interval over seeds, corrected for 2 differences:

    diag_normal  -93.36 ± 0.06  0.24
    full_normal  -92.13 ± 0.22  0.24   +1.22 [+0.19, +2.26]
    iaf          -92.42 ± 0.02  0.24   +0.93 [+0.70, +1.17]

A posterior with correlations gains a nat, whether they are said outright, 1,325 numbers an image,
or made by two autoregressive layers. 9 runs, 8 minutes on 2 CPU cores that had other work as well.
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
