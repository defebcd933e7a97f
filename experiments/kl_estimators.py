"""The same model from the same seeds, its KL in closed form, sampled, or by the path derivative.

    vae-jax sweep  --config=experiments/kl_estimators.py --num_importance_samples=1000 \
        --workdir=runs/kl_estimators
    vae-jax report --metric=elbo --workdir=runs/kl_estimators

and `--config=experiments/kl_estimators.py:mnist` for MNIST.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.errors import UserError

DATA = ("digits", "mnist")


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/digits.py`, or `mnist` for 30 epochs, five seeds; `quick` for a try-out."""
    words = set(filter(None, arg.split(",")))
    if unknown := words - {*DATA, "quick"}:
        wanted = "digits or mnist, and quick, with a comma between"
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {wanted}")
    name = "mnist" if "mnist" in words else "digits"
    file = Path(__file__).parent / f"{name}.py"
    config = runpy.run_path(str(file))["get_config"]("quick" if "quick" in words else "")
    config.num_seeds = 5
    if "quick" in words:
        config.num_seeds = 1
    elif name == "mnist":
        config.num_epochs = 30
    return config


def sweep() -> list[dict[str, str]]:
    """The estimators; the first is the baseline."""
    return [
        {"objective": "elbo(kl='closed_form')"},
        {"objective": "elbo(kl='sampled')"},
        {"objective": "elbo(gradient='stl')"},
    ]
