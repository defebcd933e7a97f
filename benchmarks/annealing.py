"""Annealed importance sampling against the gradients that its leapfrog steps need, and no more.

python -m benchmarks.annealing
"""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rates import ratio, time_in_turn
from vae_jax import build_model
from vae_jax.batches.devices import compiler_options
from vae_jax.estimators import _annealing as annealing
from vae_jax.estimators.ais import ais
from vae_jax.types import Batch

EXAMPLES, TEMPERATURES, CHAINS, LEAPFROGS, ROUNDS = 13, 50, 16, 10, 5


def of_mnist():
    """The model of experiments/mnist.py, and a batch of examples, as `ais` is given them."""
    shape, tanh = (28, 28, 1), "mlp(hidden=(200, 200), activation='tanh')"
    model = build_model(shape, 50, encoder=tanh, decoder=tanh, likelihood="bernoulli")
    x = jax.random.uniform(jax.random.key(0), (EXAMPLES, *shape)) < 0.2
    return model, model.init(jax.random.key(1), x.astype(float)), Batch(x.astype(jnp.float32))


def annealed(model, params, batch):
    """The estimator, as an evaluation compiles it."""
    estimator = ais(temperatures=TEMPERATURES, chains=CHAINS, leapfrog_steps=LEAPFROGS)
    run = jax.jit(
        lambda params, keys, batch: estimator.of_examples(model, params, keys, batch),
        compiler_options=compiler_options(),
    )
    keys = jax.random.split(jax.random.key(2), EXAMPLES)
    return lambda: jax.block_until_ready(run(params, keys, batch))


def gradients_alone(model, params, batch):
    """A leapfrog's gradients of log p(x, z) and log q(z|x), as many in a row, with no HMC."""

    def one(example, z):
        path = annealing.path_from("posterior", model, params, example)
        slope = jax.grad(path.potential(0.5))
        steps = (TEMPERATURES - 1) * LEAPFROGS
        return jax.lax.fori_loop(0, steps, lambda _, z: z - 1e-6 * slope(z), z)

    run = jax.jit(jax.vmap(jax.vmap(one, (None, 0))), compiler_options=compiler_options())
    z = jax.random.normal(jax.random.key(3), (EXAMPLES, CHAINS, 50))
    return lambda: jax.block_until_ready(run(batch, z))


def main() -> None:
    model = of_mnist()
    seconds = time_in_turn(
        {"annealing": annealed(*model), "gradients alone": gradients_alone(*model)}, ROUNDS
    )
    gradients = (TEMPERATURES - 1) * LEAPFROGS * CHAINS * EXAMPLES
    for name, values in seconds.items():
        rate = gradients / np.median(values)
        hours = 1000 * LEAPFROGS * CHAINS * 100 / rate / 3600
        print(
            f"{name:16} {rate:8.0f} gradients/s  {hours:.2f} h for 100 images, 1,000 temperatures"
        )
    print(
        f"annealing / gradients alone, time: {ratio(seconds['annealing'], seconds['gradients alone'])}"
    )


if __name__ == "__main__":
    main()
