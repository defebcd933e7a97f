import sys

import pytest
from numpyro.distributions import kl_divergence

from tests.quick_runs import quick_config
from vae_jax import fit

SOURCE = """
import jax.numpy as jnp
from numpyro.distributions import Normal, kl_divergence

class Shifted(Normal):
    pass

@kl_divergence.register(Shifted, Normal)
def _wrong(q, p):  # 0.05 more than the KL of two normals
    ratio = (q.scale / p.scale) ** 2
    return 0.5 * (ratio + ((q.loc - p.loc) / p.scale) ** 2 - 1 - jnp.log(ratio)) + 0.05

def from_rate(rate):
    return Normal(0.0, 1 / rate)

number = 3

def text():
    return "no distribution"
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A module of the user's own, whose closed form is wrong."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "my_densities.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path / "lab")
    before = dict(kl_divergence.funcs)
    yield "my_densities"
    for signature in set(kl_divergence.funcs) - set(before):
        del kl_divergence.funcs[signature]
    kl_divergence._cache.clear()
    sys.modules.pop("my_densities", None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of eight epochs, 96 updates."""
    config = quick_config(num_epochs=8)
    return fit(config, tmp_path_factory.mktemp("trained"), quiet=True)
