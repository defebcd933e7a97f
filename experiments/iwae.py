"""Table 1 of the IWAE paper: one or two stochastic layers, k = 1, 5 or 50 (Burda et al. 2016).

Dynamically binarized MNIST, tanh. One layer: 50 latents, 200-200 each way. Two: z_1 of 100 numbers
beside x and z_2 of 50 above it, with 100-100 between them, q(z_1 | x) q(z_2 | z_1) upwards. k = 1
is the VAE, trained on the ELBO; more are trained on the IWAE bound.

    vae-jax train --config=experiments/iwae.py:layers=2,k=5 --workdir=runs/iwae_2_5
    vae-jax evaluate --workdir=runs/iwae_2_5

log p(x), nats on the 10,000 test images, K = 5000, of k = 1 with `--config.num_epochs=1000`, and
the figures of the paper and of an independent rerun:

    one layer    -86.96 ± 0.23   -86.76  -86.35
    two layers   -86.74 ± 0.23   -85.33  -84.83

which is a sixteenth of the paper's updates; k = 5 and 50 were not run. On one core of two that had
other work as well one layer takes 45 minutes, two 100. The bound of two layers wants a warm-up:
without it most of z_1 stays unused.

The word `paper` takes the published optimization, batches of 20 through eight stages of 3^i epochs
at 1e-3 10^(-i/7), 3,280 epochs in all; without it batches are of 100 and the rate falls as a
cosine over 2,000 epochs. `quick` trains for one.
"""

from ml_collections import ConfigDict

from vae_jax.config.fields import default_config
from vae_jax.errors import UserError

EXAMPLES = 59_000  # in the training split
WANTED = "layers=1 or 2, k=1, 5 or 50, paper, quick, with a comma between"


def get_config(arg: str = "") -> ConfigDict:
    """One cell of the table: `layers=2,k=5`, with `paper` or `quick` behind it."""
    words = set(filter(None, arg.split(",")))
    layers, k = _number(words, "layers", (1, 2)), _number(words, "k", (1, 5, 50))
    if unknown := words - {"paper", "quick"}:
        raise UserError(f"argument {sorted(unknown)[0]!r} of the experiment file: {WANTED}")
    config = default_config()
    config.data = "mnist(binarize='dynamic')"
    config.encoder = config.decoder = "mlp(hidden=(200, 200), activation='tanh')"
    config.likelihood = "bernoulli"
    config.objective = "elbo" if k == 1 else f"iwae(num_samples={k})"
    config.latent_dim = 50
    if layers == 2:
        config.latent_dim = (50, 100)
        config.prior = "layered(network=mlp(hidden=(100, 100), activation='tanh'))"
        config.posterior = "bottom_up(network=mlp(hidden=(100, 100), activation='tanh'))"
        if k == 1:  # without a warm-up most of z_1 stays unused
            config.objective = "elbo(warmup_steps=17_700)"
    (_as_published if "paper" in words else _in_large_batches)(config)
    if "quick" in words:
        config.num_epochs, config.eval_every_epochs = 1, 1.0
    return config


def _number(words: set[str], name: str, choices: tuple[int, ...]) -> int:
    """The number behind `name=`, which is taken out of the words; by default the first choice."""
    given = {choice for choice in choices if f"{name}={choice}" in words}
    words -= {f"{name}={choice}" for choice in choices}
    if len(given) > 1:
        raise UserError(f"{name} is given twice to the experiment file")
    return given.pop() if given else choices[0]


def _in_large_batches(config: ConfigDict) -> None:
    config.optimizer = (
        "adam(learning_rate=cosine_decay_schedule(init_value=2e-3, decay_steps=num_steps))"
    )
    config.batch_size, config.num_epochs, config.eval_every_epochs = 100, 2_000, 20.0


def _as_published(config: ConfigDict) -> None:
    stages = range(8)
    rates = [f"constant_schedule(value={1e-3 * 10 ** (-i / 7):.6g})" for i in stages]
    ends = [sum(3**j for j in range(i + 1)) * (EXAMPLES // 20) for i in stages[:-1]]
    schedule = f"join_schedules(schedules=({', '.join(rates)}), boundaries={tuple(ends)})"
    config.optimizer = f"adam(learning_rate={schedule}, eps=1e-4)"
    config.batch_size, config.num_epochs, config.eval_every_epochs = 20, 3_280, 20.0
