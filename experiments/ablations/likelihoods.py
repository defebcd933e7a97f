"""Likelihoods of grey levels: masses on the 17 levels of digits, and densities of the same levels.

A mass and a density are not the same unit: log p(x) of one is no better or worse than the other's.
What compares is the probability of the levels. A mass gives it. A density of levels with uniform
noise, (level + u) / 17, gives a lower bound: log P >= E log p(x) - 64 log 17 (Theis et al. 2016).
That is `log_p_levels`; densities are at a disadvantage by the bound's gap.

    vae-jax sweep  --config=experiments/ablations/likelihoods.py --num_importance_samples=1000 \
        --num_workers=2 --workdir=runs/ablation_likelihoods
    vae-jax report --workdir=runs/ablation_likelihoods --metric=log_p_levels

log p of the levels, nats on the 359 test digits, K = 1000: mean ± error over 3 seeds,
difference to the first and its 95% interval over seeds, corrected for 9 differences:

    categorical(levels=17)                                  -91.64 ± 0.26
    binomial(total_count=16)                                -89.46 ± 0.34   +2.17 [-5.65, +10.00]
    discretized_logistic(levels=17)                         -83.87 ± 0.45   +7.77 [-1.55, +17.09]
    discretized_logistic_mixture(components=5, levels=17)   -84.13 ± 0.23   +7.51 [+1.64, +13.37]
    normal(scale='optimal')                                -141.84 ± 0.49  -50.20 [-56.99, -43.41]
    normal(scale='learned_per_element')                    -117.33 ± 0.24  -25.69 [-31.14, -20.24]
    normal(scale='predicted')                              -108.99 ± 0.10  -17.35 [-19.49, -15.21]
    laplace(scale='predicted')                             -110.75 ± 0.20  -19.11 [-25.08, -13.14]
    beta                                                    -92.90 ± 0.06   -1.26 [-5.26, +2.74]
    continuous_bernoulli                                    -98.51 ± 0.14   -6.87 [-11.12, -2.63]

The first four are masses. The discretized logistics are ahead of the categorical, which has to
learn from 1,294 images that levels are ordered (with three seeds only the mixture's interval
leaves out 0); a binomial, whose mean decides its spread, gains less. Densities that can pile up at
both ends (beta, continuous Bernoulli) are ahead of bell curves; and the choice of a normal's scale
matters by 30 nats, one for all pixels, `optimal`, being the worst: many pixels never change. 30
runs, 11 minutes on 2 CPU cores that had other work as well.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from vae_jax.config.fields import is_quick

MASSES = (
    "categorical(levels=17)",
    "binomial(total_count=16)",
    "discretized_logistic(levels=17)",
    "discretized_logistic_mixture(components=5, levels=17)",
)
DENSITIES = (
    "normal(scale='optimal')",
    "normal(scale='learned_per_element')",
    "normal(scale='predicted')",
    "laplace(scale='predicted')",
    "beta",
    "continuous_bernoulli",
)


def get_config(arg: str = "") -> ConfigDict:
    """`experiments/digits.py` with 10 latents for 300 epochs; `quick` trains one seed for 5."""
    config = runpy.run_path(str(Path(__file__).parents[1] / "digits.py"))["get_config"]()
    config.latent_dim = 10
    config.num_epochs, config.num_seeds = (5, 1) if is_quick(arg) else (300, 3)
    return config


def sweep() -> list[dict[str, str]]:
    """Masses on the levels, densities of the dequantized levels; the first is the baseline."""
    data = "digits(binarize='none', values='{}')"
    levels = [{"data": data.format("levels"), "likelihood": p} for p in MASSES]
    return levels + [{"data": data.format("dequantized"), "likelihood": p} for p in DENSITIES]
