"""The ELBO against IWAE with k = 5 and 50, its gradient had in three ways, on 10,000 MNIST images.

The model of `experiments/mnist.py` on a sixth of its data, in batches of 20 as in the IWAE paper,
for 30 epochs, 15,000 updates.

    vae-jax sweep  --config=experiments/ablations/objectives.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/ablation_objectives
    vae-jax report --workdir=runs/ablation_objectives

log p(x), nats on the 10,000 test images, K = 1000: mean ± error over 3 seeds, error over images,
difference to the first and its 95% interval over seeds, corrected for 6 differences:

    elbo                                       -106.539 ± 0.510  0.292
    iwae(num_samples=5, gradient='standard')   -102.585 ± 0.155  0.278  +3.954 [-0.273, +8.181]
    iwae(num_samples=5, gradient='stl')        -101.463 ± 0.064  0.272  +5.076 [-0.774, +10.925]
    iwae(num_samples=5, gradient='dreg')       -101.560 ± 0.170  0.272  +4.979 [+1.211, +8.746]
    iwae(num_samples=50, gradient='standard')  -100.778 ± 0.006  0.270  +5.760 [+0.274, +11.247]
    iwae(num_samples=50, gradient='stl')        -99.371 ± 0.030  0.264  +7.168 [+1.547, +12.788]
    iwae(num_samples=50, gradient='dreg')       -99.875 ± 0.005  0.266  +6.664 [+1.082, +12.245]

IWAE beats the ELBO and more draws beat fewer, as published (Burda et al. 2016), and both gradients
without the score beat the bound's own (Tucker et al. 2019): `stl` although it is biased for K > 1.
The encoder's signal drowns in noise as K grows (`python -m benchmarks.gradients`). Three seeds
tell the large differences only: the ELBO's runs differ by more than IWAE's. 21 runs, 46 minutes
on 2 CPU cores that had other work as well.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.config.fields import is_quick


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
