"""The same model from the same seeds, its KL in closed form, sampled, or by the path derivative.

Sampled, the KL is the mean of log q(z|x) - log p(z) over the one draw that the likelihood has; the
path derivative leaves the score of log q out of its gradient (Roeder et al. 2017).

    vae-jax sweep  --config=experiments/kl_estimators.py --num_importance_samples=1000 \
        --workdir=runs/kl_estimators
    vae-jax report --metric=elbo --workdir=runs/kl_estimators

and `--config=experiments/kl_estimators.py:mnist` for MNIST.

ELBO, nats on the 359 test digits: mean ± error over 5 seeds, error over digits, difference to the
first and its 95% interval over seeds, corrected for 2 differences:

    elbo(kl='closed_form')  -23.99 ± 0.04  0.20
    elbo(kl='sampled')      -24.05 ± 0.07  0.19   -0.06 [-0.34, +0.23]
    elbo(gradient='stl')    -23.93 ± 0.04  0.20   +0.06 [-0.06, +0.19]

No difference over seeds is seen, though the variance of the encoder's gradient over draws of z is,
in the middle of training, 1.05 times that with the closed form where the KL is sampled and 0.40
times with the path derivative (`experiments/digits.py`, `compare_run`). 15 runs, 5 minutes, 2 of
them the program's own, on 2 CPU cores that had other work as well.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.errors import UserError

DATA = ("digits", "mnist")


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/digits.py` for 200 epochs, or `mnist` for 30, five seeds; `quick`: a try-out."""
    words = set(filter(None, arg.split(",")))
    if unknown := words - {*DATA, "quick"}:
        wanted = "digits or mnist, and quick, with a comma between"
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {wanted}")
    name = "mnist" if "mnist" in words else "digits"
    file = Path(__file__).parent / f"{name}.py"
    config = runpy.run_path(str(file))["get_config"]("quick" if "quick" in words else "")
    if "quick" not in words:
        config.num_seeds, config.num_epochs = 5, {"digits": 200, "mnist": 30}[name]
    return config


def sweep() -> list[dict[str, str]]:
    """The estimators; the first is the baseline."""
    return [
        {"objective": "elbo(kl='closed_form')"},
        {"objective": "elbo(kl='sampled')"},
        {"objective": "elbo(gradient='stl')"},
    ]
