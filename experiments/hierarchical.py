"""One layer, two, and two with a VampPrior on top: the HVAE (Tomczak & Welling 2018)."""

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
