import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.batches.keys import example_keys, keys_of
from vae_jax.batches.splits import present
from vae_jax.types import Dataset


def test_dynamic_binarization_differs_at_every_presentation_and_not_at_evaluation():
    from vae_jax.datasets.digits import digits

    dataset = digits()
    raw = jnp.asarray(dataset.splits["train"][:50])

    def at(key):
        return present(dataset, example_keys(key, jnp.arange(50)), raw)[1].x

    assert np.array_equal(at(jax.random.key(0)), at(jax.random.key(0)))
    assert not np.array_equal(at(jax.random.key(0)), at(jax.random.key(1)))


def test_no_key_serves_two_purposes():
    """Presentation and inference of an example, and every purpose of a seed, have streams apart."""
    keys = example_keys(jax.random.key(0), jnp.arange(3))
    noise = Dataset({}, lambda key, raw: jax.random.uniform(key, raw.shape))
    z_keys, batch = present(noise, keys, jnp.zeros((3, 4)))
    again = jax.vmap(lambda key: jax.random.uniform(key, (4,)))(z_keys)
    assert not np.isclose(batch.x, again).any()
    purposes = keys_of(0)
    below = [jax.random.fold_in(key, i) for key in purposes for i in range(8)]
    data = [tuple(jax.random.key_data(key).tolist()) for key in (*purposes, *below)]
    assert len(set(data)) == len(data)
