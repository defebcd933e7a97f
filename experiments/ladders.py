"""How many layers, and which of them are used (Sonderby et al. 2016)."""

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
