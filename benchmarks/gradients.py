"""Signal-to-noise ratio and cost of IWAE's gradient estimators by K, on digits after some training.

python -m benchmarks.gradients

The ratio is that of a batch's gradient, |mean| / standard deviation over draws of z, both over all
parameters of a network. Rainforth et al. 2018: with `standard` the encoder's falls like K^-1/2,
while the decoder's grows like K^1/2.
"""

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.rates import ratio, time_in_turn
from vae_jax import default_config, fit
from vae_jax.batches.keys import example_keys
from vae_jax.batches.splits import gather, present
from vae_jax.config import components
from vae_jax.runs.run import Run

ESTIMATORS = ("standard", "stl", "dreg")
KS = (1, 4, 16, 64, 256)
BATCH, REPETITIONS, ROUNDS = 20, 1000, 15


def trained() -> Run:
    config = default_config()
    config.latent_dim, config.num_epochs, config.objective = 5, 20, "iwae"
    config.encoder = config.decoder = "mlp(hidden=(100,))"
    return fit(config, quiet=True, which="last")


def gradient_of(run: Run, x: jax.Array, estimator: str, k: int):
    """key -> the gradients of encoder and decoder, flat."""
    text = f"iwae(num_samples={k}, gradient='{estimator}')"
    objective = components.build("objectives", text)

    def gradient(key: jax.Array) -> dict[str, jax.Array]:
        gradients = jax.grad(lambda p: objective(run.model, p, key, x).surrogate)(run.params)
        return {name: ravel_pytree(gradients[name])[0] for name in ("encoder", "decoder")}

    return jax.jit(gradient)


def signal_to_noise(gradients: list[np.ndarray]) -> float:
    """The mean's own noise is taken off its square; 0 where nothing is left."""
    stacked = np.stack(gradients)
    variance = stacked.var(0, ddof=1).sum()
    signal = (stacked.mean(0) ** 2).sum() - variance / len(stacked)
    return float(np.sqrt(max(0, signal) / variance))


def main() -> None:
    run = trained()
    raw = gather(run.dataset.splits["train"], slice(0, BATCH))
    _, x = present(run.dataset, example_keys(jax.random.key(0), np.arange(BATCH)), raw)
    print(f"{'K':>4} {'estimator':10} {'encoder':>8} {'decoder':>8}  time of a gradient")
    for k in KS:
        gradients = {name: gradient_of(run, x, name, k) for name in ESTIMATORS}
        calls = {
            name: lambda g=g: jax.block_until_ready([g(jax.random.key(i)) for i in range(10)])
            for name, g in gradients.items()
        }
        seconds = time_in_turn(calls, ROUNDS)
        for name, gradient in gradients.items():
            drawn = jax.device_get([gradient(jax.random.key(i)) for i in range(REPETITIONS)])
            ratios = [signal_to_noise([g[part] for g in drawn]) for part in ("encoder", "decoder")]
            time = ratio(seconds[name], seconds["standard"])
            print(f"{k:4} {name:10} {ratios[0]:8.3f} {ratios[1]:8.3f}  {time}")


if __name__ == "__main__":
    main()
