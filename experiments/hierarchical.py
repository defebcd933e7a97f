"""One layer, two, and two with a VampPrior on top: the HVAE (Tomczak & Welling 2018).

Dynamically binarized MNIST, gated layers, 40 latents a layer, 8 epochs of which 4 warm up.

    vae-jax sweep  --config=experiments/hierarchical.py --num_importance_samples=100 \
        --workdir=runs/hierarchical
    vae-jax report --workdir=runs/hierarchical

log p(x), nats on the 10,000 test images, K = 100: mean ± error over 3 seeds, error over images,
difference to the first and its 95% interval over seeds, corrected for 2 differences; the figures of
the paper, whose networks are wider and trained a hundred times as long, K = 5000:

    flat                        -99.91 ± 0.04  0.24                         -84.50
    two layers                  -96.11 ± 0.12  0.26  +3.80 [+3.20, +4.39]   -82.71
    two, vamp(components=100)   -94.16 ± 0.07  0.27  +5.75 [+5.54, +5.96]   -81.24

The order is the published one, the budget is not. 9 runs, 20 minutes on 2 CPU cores that had other
work as well.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config
from vae_jax.errors import UserError

GATED = "mlp(hidden=({}), activation='identity', gated=True)"


def get_config(arg: str = "") -> ConfigDict:
    """`mnist`, by default, or `digits`; `quick`: a try-out."""
    words = set(filter(None, arg.split(",")))
    if unknown := words - {"mnist", "digits", "quick"}:
        wanted = "mnist or digits, and quick, with a comma between"
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {wanted}")
    config = default_config()
    config.latent_dim = 40
    config.likelihood = "bernoulli"
    config.num_seeds = 3
    (_digits if "digits" in words else _mnist)(config)
    if "quick" in words:
        config.num_seeds, config.num_epochs, config.eval_every_epochs = 1, 1, 1.0
    return config


def _mnist(config: ConfigDict) -> None:
    config.data = "mnist(binarize='dynamic')"
    config.encoder = config.decoder = GATED.format("200, 200")
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=1e-3, decay_steps=num_steps))"
    )
    config.objective = "elbo(warmup_steps=2_360)"
    config.num_epochs = 8


def _digits(config: ConfigDict) -> None:
    config.data = "digits(binarize='dynamic')"
    config.encoder = config.decoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    config.objective = "elbo(warmup_steps=600)"
    config.num_epochs, config.eval_every_epochs = 200, 200 / 15


def sweep() -> list[dict[str, str]]:
    """One layer, two, and two below a VampPrior; the first is the baseline."""
    between = GATED.format("200,")
    two = {"latent_dim": "(40, 40)", "posterior": f"top_down(network={between})"}
    return [
        {"prior": "standard_normal"},
        {**two, "prior": f"layered(network={between})"},
        {**two, "prior": f"layered(top=vamp(components=100), network={between})"},
    ]
