"""The one-layer VAE of the IWAE paper on dynamically binarized MNIST (Burda et al. 2016)."""

from ml_collections import ConfigDict

from vae_jax.config import default_config, is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`quick` trains for two epochs."""
    config = default_config()
    config.data = "mnist(binarize='dynamic')"
    config.encoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.decoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.latent_dim = 50
    config.likelihood = "bernoulli"
    config.objective = "elbo"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    config.num_epochs = 400
    config.eval_every_epochs = 5.0
    if is_quick(arg):
        config.num_epochs, config.eval_every_epochs = 2, 1.0
    return config
