"""A table of real numbers, a row an example: small networks, five latents, a scale for each column.

Name a table of your own by `--config.data="csv(path='patients.csv')"`; here it is scikit-learn's
178 wines of 13 columns. Rows are few, so that the run stops where validation no longer improves.

    vae-jax train --config=experiments/table.py --workdir=runs/table
    vae-jax evaluate --workdir=runs/table --num_importance_samples=1000
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config, is_quick


def get_config(arg: str = "") -> ConfigDict:
    """`quick` trains for five epochs."""
    config = default_config()
    config.data = "tabular(name='wine')"
    config.encoder = config.decoder = "mlp(hidden=(64, 64))"
    config.latent_dim = 5
    config.likelihood = "normal(scale='learned_per_element', min_scale=0.1)"
    config.objective = "elbo"
    config.batch_size = 32
    config.num_epochs, config.eval_every_epochs = 500, 10.0
    if is_quick(arg):
        config.num_epochs, config.eval_every_epochs = 5, 1.0
    return config
