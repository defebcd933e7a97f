"""From the VAE to diffusion: a fixed posterior that adds noise, a prior that takes it away.

Three data sets: `swirl`, points of a spiral on 8 bits (Kingma et al. 2021, VDM), `digits` in 17
levels, and binarized `mnist`.

    vae-jax train    --config=experiments/diffusion.py:swirl --workdir=runs/swirl
    vae-jax evaluate --workdir=runs/swirl --estimators="bound(kl='one_layer', num_samples=50)"
    vae-jax sample   --workdir=runs/swirl
    vae-jax sample   --workdir=runs/swirl --steps=20 --output=runs/swirl_20

Expected ELBO on test examples, nats, and bits per dimension:

    swirl   -7.70 ± 0.05   5.556 ± 0.036
    digits  -82.73 ± 0.59  1.865 ± 0.013

The swirl has no published figure on points that were not trained on; a model that knows the 1,024
training points by heart has 5 bits on them. Of digits the best VAE here has log p(x) = -83.87 ±
0.45 (`experiments/ablations/likelihoods.py`). On 2 CPU cores that had other work as well the swirl
takes 5 minutes and digits 20; `mnist` was only tried out.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config
from vae_jax.errors import UserError

DATA = ("swirl", "digits", "mnist")


def get_config(arg: str = "") -> ConfigDict:
    """`swirl`, `digits` in 17 levels, or binarized `mnist`; `quick`: a try-out."""
    words = set(filter(None, arg.split(",")))
    wanted = f"one of {', '.join(DATA)}, and quick, with a comma between"
    if unknown := words - {*DATA, "quick"}:
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {wanted}")
    if len(words - {"quick"}) > 1:
        raise UserError(f"arguments {arg!r} of the experiment file: {wanted}")
    config = default_config()
    config.encoder = config.decoder = "identity"
    config.objective = "elbo(kl='one_layer')"
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    {"digits": _digits, "mnist": _mnist}.get(next(iter(words - {"quick"}), ""), _swirl)(config)
    if "quick" in words:
        config.num_epochs, config.eval_every_epochs, config.ema_decay = 2, 1.0, 0.0
    return config


def _swirl(config: ConfigDict) -> None:
    config.data = "swirl"
    config.posterior = "diffused(steps=1000, schedule='learned')"
    network = "mlp(hidden=(512, 512), activation='silu')"
    config.prior = f"denoising(network={network}, data_frequencies=(0, 1, 2, 3, 4, 5, 6, 7))"
    config.likelihood = "inverted(levels=256)"
    config.batch_size, config.num_epochs, config.eval_every_epochs = 256, 5_000, 250.0
    config.ema_decay = 0.999


def _digits(config: ConfigDict) -> None:
    config.data = "digits(binarize='none', values='levels')"
    config.posterior = "diffused(steps=1000, schedule='learned', gamma_min=-7.0)"
    config.prior = "denoising(network=unet(channels=(32, 64), blocks=2))"
    config.likelihood = "inverted(levels=17)"
    config.num_epochs, config.eval_every_epochs, config.ema_decay = 200, 10.0, 0.99


def _mnist(config: ConfigDict) -> None:
    config.data = "mnist(binarize='dynamic')"
    config.posterior = "diffused(steps=1000, gamma_min=-5.0)"
    config.prior = "denoising(network=unet(channels=(16, 32, 64)))"
    config.likelihood = "inverted(levels=2)"
    config.num_epochs, config.eval_every_epochs, config.ema_decay = 5, 0.5, 0.999
