"""A linear VAE on data from a linear-Gaussian model, where everything is known exactly.

log p(x) of the trained model is known (its decoder is affine), and so is the density the data was
simulated from.

    vae-jax train --config=experiments/linear_gaussian.py --workdir=runs/linear_gaussian
    vae-jax evaluate --workdir=runs/linear_gaussian --num_importance_samples=1000
"""

from ml_collections import ConfigDict

from vae_jax.config import default_config, is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`quick` trains for five epochs."""
    config = default_config()
    config.data = "linear_gaussian(x_dim=8, z_dim=2, scale=0.5)"
    config.encoder = config.decoder = "linear"
    config.latent_dim = 2
    config.likelihood = "normal(scale='learned')"
    config.objective = "elbo"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=1e-2, decay_steps=num_steps))"
    )
    config.num_epochs = 100
    config.eval_every_epochs = 5.0
    if is_quick(arg):
        config.num_epochs = 5
    return config
