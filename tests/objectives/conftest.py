import jax
import numpy as np
import pytest

from tests.compiled import compiled
from vae_jax import log_weights


@pytest.fixture(scope="module")
def keys(bits):
    return jax.random.split(jax.random.key(7), len(bits))


@pytest.fixture(scope="module")
def log_w(small, bits, keys):
    """Log weights of six draws of each example, `[6, 12]`."""
    return np.asarray(compiled(log_weights)(*small, keys, bits, 6).log_weight, float)


@pytest.fixture(scope="module")
def moments(small, bits):
    """Means and standard deviations of q(z|x), `[12, 2]` each."""
    q = small[0].encode(small[1], bits).base_dist
    return np.asarray(q.loc, float), np.asarray(q.scale, float)


@pytest.fixture(scope="module")
def drawn(small, bits, keys):
    """The first draws of z, made again from what `log_weights` promises."""

    def draw(key, x):
        return small[0].encode(small[1], x).sample(jax.random.fold_in(key, 0))

    return np.asarray(jax.vmap(draw)(keys, bits), float)
