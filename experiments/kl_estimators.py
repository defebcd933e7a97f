"""The same model from the same seeds, its KL in closed form, sampled, or by the path derivative.

Sampled, the KL is the mean of log q(z|x) - log p(z) over the one draw that the likelihood has; the
path derivative leaves the score of log q out of its gradient (Roeder et al. 2017).

    vae-jax sweep  --config=experiments/kl_estimators.py --num_importance_samples=1000 \
        --workdir=runs/kl_estimators
    vae-jax report --metric=elbo --workdir=runs/kl_estimators

and for MNIST `--config=experiments/kl_estimators.py:mnist --num_importance_samples=100
--num_workers=2`. ELBO, nats: mean ± error over 5 seeds, error over test examples, difference to the
first and its 95% interval over seeds, corrected for 2 differences:

    digits, 200 epochs      elbo(kl='closed_form')  -23.99 ± 0.04  0.20
                            elbo(kl='sampled')      -24.05 ± 0.07  0.19   -0.06 [-0.34, +0.23]
                            elbo(gradient='stl')    -23.93 ± 0.04  0.20   +0.06 [-0.06, +0.19]
    MNIST, 30 epochs        elbo(kl='closed_form')  -97.84 ± 0.14  0.27
                            elbo(kl='sampled')      -98.06 ± 0.06  0.27   -0.22 [-0.80, +0.35]
                            elbo(gradient='stl')    -97.35 ± 0.11  0.26   +0.49 [+0.24, +0.75]

Closed form and sampled cannot be told apart, though 0.8 nats are not excluded; the path derivative
gains half a nat on MNIST, over sampled +0.71 [+0.24, +1.18] (`--baseline`), in 30 epochs. What
differs is the variance of the encoder's gradient over draws of z, here as a multiple of that with
the closed form (a batch of 100, at initialization, in the middle, at the end); the decoder's is the
same:

    vae-jax compare-kl --workdir="runs/kl_estimators/objective=elbo-kl=closed_form/seed_0"

    digits   sampled 2.69  1.10  1.08   path derivative 1.45  0.37  0.33
    MNIST    sampled 4.43  1.19  1.17   path derivative 2.06  0.43  0.36

Of the whole variance that an update sees, over batches too and of all parameters, the path
derivative has 1.25, 0.65 and 0.56 times the closed form's on MNIST, 1.10, 0.58 and 0.53 times on
digits. Each is one run of one seed.

The same command compares the values, on MNIST over 10,000 images with K = 1024: 22.964 ± 0.039 in
closed form, the sampled KL minus that 0.0014 ± 0.0009. Beside the standard error of 0.265 nats that
the choice of test images gives the ELBO, drawing z once for each has one of 0.03.

The three pairs of docs/kl.md, of distributions that can be named:

    vae-jax compare-kl --q='normal(loc=1.0, scale=0.5)' --p='laplace(loc=0.0, scale=1.0)'
    vae-jax compare-kl --p='normal(loc=0, scale=[1, 1, 1, 1, 1, 1, 1, 1, 1, 1])' --q='normal(
        loc=[1, 0, -1, 0.5, 0, 0, 0, 0, 0, 0], scale=[0.1, 0.2, 0.3, 0.5, 0.8, 1, 1, 1, 1, 1])'
    vae-jax compare-kl --q='normal(loc=[0.5, -0.5], scale=[0.3, 0.3])' --p='normal_mixture(
        logits=[0, 0, 0], loc=[[-1, 0], [1, 0], [0, 1]],
        scale=[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])'

On 2 CPU cores 5 minutes for digits, 35 for MNIST, 5 to compare a run of it, one to three a pair.
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
