"""The one-layer VAE of the IWAE paper on dynamically binarized MNIST (Burda et al. 2016).

tanh 200-200 each way and 50 latents, as published; batch 100 and a cosine schedule where the paper
has batch 20 and eight stages of a falling rate over 3,280 epochs.

    vae-jax train --config=experiments/mnist.py --workdir=runs/mnist
    vae-jax evaluate --workdir=runs/mnist

Expected on the 10,000 test images, nats, K = 5000: ELBO -91.56 ± 0.24, log p(x) -87.78 ± 0.23;
held against -86.76 in the paper's table 1 (VAE, k = 1). 7 minutes of training and 2 of evaluation
on 2 CPU cores. With `--config.num_epochs=1200`, three times as long, log p(x) is -86.87 ± 0.23.
That is of an earlier version, whose random numbers were others.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config, is_quick


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
