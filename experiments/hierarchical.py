"""One layer, two, and two with a VampPrior on top: the HVAE (Tomczak & Welling 2018)."""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config
from vae_jax.errors import UserError

LAYERED = "layered(top={}, network=mlp(hidden=(200,)))"


def get_config(arg: str = "") -> ConfigDict:
    """`mnist`, by default, or `digits`; `quick`: a try-out."""
    words = set(filter(None, arg.split(",")))
    if unknown := words - {"mnist", "digits", "quick"}:
        wanted = "mnist or digits, and quick, with a comma between"
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {wanted}")
    config = default_config()
    config.data = f"{'digits' if 'digits' in words else 'mnist'}(binarize='dynamic')"
    config.encoder = config.decoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.latent_dim = 40
    config.likelihood = "bernoulli"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    config.num_seeds = 3
    if "digits" in words:
        config.objective, config.num_epochs = "elbo(warmup_steps=600)", 200
    else:
        config.objective, config.num_epochs = "elbo(warmup_steps=2_950)", 15
    config.eval_every_epochs = config.num_epochs / 15
    if "quick" in words:
        config.num_seeds, config.num_epochs, config.eval_every_epochs = 1, 1, 1.0
    return config


def sweep() -> list[dict[str, str]]:
    """One layer, two, and two below a VampPrior; the first is the baseline."""
    two = {"latent_dim": "(40, 40)", "posterior": "top_down"}
    return [
        {"prior": "standard_normal"},
        {**two, "prior": LAYERED.format("standard_normal")},
        {**two, "prior": LAYERED.format("vamp(components=100)")},
    ]
