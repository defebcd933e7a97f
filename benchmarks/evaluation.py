"""Importance-sampled log p(x), K = 5000, against the machine's rate on the decoder's products.

python -m benchmarks.evaluation
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Bernoulli

from benchmarks.rates import chain_of_decoding, decoding_flops, ratio, time_in_turn
from vae_jax import build_model
from vae_jax.batches.devices import compiler_options
from vae_jax.estimators.importance import importance_sampling
from vae_jax.types import Likelihood, no_params

EXAMPLES, K, ROWS, ROUNDS = 20, 5000, 2000, 9


def numpyros_bernoulli(spec):
    """The same likelihood by NumPyro's own density."""

    def distribution(params, features):
        return Bernoulli(logits=features[..., 0]).to_event(3)

    return Likelihood(1, no_params, distribution)


def estimate(likelihood):
    model = build_model((28, 28, 1), 50, likelihood=likelihood)
    x = (jax.random.uniform(jax.random.key(0), (EXAMPLES, 28, 28, 1)) < 0.2).astype(jnp.float32)
    params = model.init(jax.random.key(1), x)
    keys = jax.random.split(jax.random.key(2), EXAMPLES)
    call = partial(
        importance_sampling, model, num_samples=K, iwae_samples=(1, 5, 50, 500), rows=ROWS
    )
    run = jax.jit(call, compiler_options=compiler_options())
    return lambda: jax.block_until_ready(run(params, keys, x))


def main() -> None:
    calls = {
        "ours": estimate("bernoulli"),
        "products alone": chain_of_decoding(ROWS, EXAMPLES * K // ROWS),
        "with NumPyro's density": estimate(numpyros_bernoulli),
    }
    seconds = time_in_turn(calls, ROUNDS)
    for name, values in seconds.items():
        rate = decoding_flops(EXAMPLES * K) / np.median(values) / 1e9
        ten_thousand = np.median(values) / EXAMPLES * 10_000
        print(f"{name:24} {rate:4.0f} GFLOP/s  {ten_thousand:6.0f} s for 10,000 images")
    print(f"ours / products alone, rate: {ratio(seconds['products alone'], seconds['ours'])}")
    faster = ratio(seconds["with NumPyro's density"], seconds["ours"])
    print(f"ours / with NumPyro's density, rate: {faster}")


if __name__ == "__main__":
    main()
