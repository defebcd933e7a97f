"""How many layers, and which of them are used (Sonderby et al. 2016).

Digits, 200 epochs: ladders of two to five layers, other chains of three, and what warm-up and free
bits do about layers that are not used.

    vae-jax sweep  --config=experiments/ladders.py --num_importance_samples=1000 \
        --workdir=runs/ladders
    vae-jax report --workdir=runs/ladders
    vae-jax report --workdir=runs/ladders --metric=active_layer_2

log p(x), nats on the 359 test digits, K = 1000: mean ± error over 3 seeds, and the active
dimensions of the layers, that beside x first, mean over seeds:

    (8, 16)           ladder     warm-up    -22.186 ± 0.017  16, 6
    (8, 8, 16)        ladder     warm-up    -22.364 ± 0.011  9.7, 2.7, 0.3
    (4, 8, 8, 16)     ladder     warm-up    -22.405 ± 0.019  10, 0, 0, 0
    (4, 4, 8, 8, 16)  ladder     warm-up    -22.496 ± 0.106  9, 0, 0, 0, 0
    (8, 8, 16)        bottom_up  warm-up    -22.290 ± 0.009  16, 4.3, 0.3
    (8, 8, 16)        top_down   warm-up    -22.139 ± 0.018  15.7, 4.7, 1.7
    (8, 8, 16)        ladder     neither    -27.024 ± 0.046  0, 0, 0
    (8, 8, 16)        ladder     free bits  -22.582 ± 0.096  16, 8, 2.7
    (8, 8, 16)        top_down   neither    -22.583 ± 0.006  10, 1.3, 0.3
    (8, 8, 16)        top_down   free bits  -22.219 ± 0.015  16, 7.7, 5.3

Without a warm-up the ladder ends with an empty z; more than two layers bring nothing on digits. The
LVAE of five layers has 81.74 nats on MNIST, which was not tried. 30 runs, 20 minutes on 2 CPU cores
that had other work as well.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/hierarchical.py` on digits; `quick`: a try-out."""
    file = Path(__file__).parent / "hierarchical.py"
    words = "digits,quick" if arg == "quick" else ",".join(filter(None, ("digits", arg)))
    config = runpy.run_path(str(file))["get_config"](words)
    config.latent_dim, config.prior, config.posterior = (8, 16), "layered", "ladder"
    return config


def sweep() -> list[dict[str, str]]:
    """Ladders of two to five layers; chains upwards, downwards; without warm-up, and free bits."""
    sizes = ("(8, 16)", "(8, 8, 16)", "(4, 8, 8, 16)", "(4, 4, 8, 8, 16)")
    three = {"latent_dim": "(8, 8, 16)"}
    return [
        *({"latent_dim": size} for size in sizes),
        {**three, "posterior": "bottom_up"},
        {**three, "posterior": "top_down"},
        {**three, "objective": "elbo"},
        {**three, "objective": "elbo(free_bits=2.0)"},
        {**three, "posterior": "top_down", "objective": "elbo"},
        {**three, "posterior": "top_down", "objective": "elbo(free_bits=2.0)"},
    ]
