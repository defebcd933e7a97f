"""A linear VAE on data from a linear-Gaussian model, where everything is known exactly.

log p(x) of the trained model is known (its decoder is affine), and so is the density the data was
simulated from (Lucas et al. 2019; Tipping & Bishop 1999).

    vae-jax train --config=experiments/linear_gaussian.py --workdir=runs/linear_gaussian
    vae-jax evaluate --workdir=runs/linear_gaussian --num_importance_samples=1000

Expected on the 1,000 test examples, nats: ELBO -8.84 ± 0.06, log p(x) -8.84 ± 0.06 by importance
sampling and -8.84 ± 0.06 exactly; held against -8.84 ± 0.06, the data's own density.
15 s on 2 CPU cores.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config, is_quick


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
