"""Handwritten digits, 8 x 8 bits, in a latent plane: the demonstration, all of it in a minute.

A latent of two dimensions can be drawn, and quadrature gives log p(x), so that every bound is held
against the truth.

    vae-jax train --config=experiments/digits.py --workdir=runs/digits
    vae-jax evaluate --workdir=runs/digits --num_importance_samples=1000 --quadrature_points=300

Expected on the 359 test digits, nats: ELBO -23.13 ± 0.20, log p(x) -22.70 ± 0.19 by importance
sampling and -22.69 ± 0.19 by quadrature, which is what it is held against; there is no
published figure. 20 s on 2 CPU cores.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config, is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`quick` trains for twenty epochs."""
    config = default_config()
    config.data = "digits(binarize='dynamic')"
    config.encoder = config.decoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.latent_dim = 2
    config.posterior = "diag_normal"
    config.prior = "standard_normal"
    config.likelihood = "bernoulli"
    config.objective = "elbo"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    config.num_epochs = 600
    config.eval_every_epochs = 20.0
    if is_quick(arg):
        config.num_epochs = 20
    return config
