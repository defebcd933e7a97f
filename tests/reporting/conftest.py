import pytest

from tests.quick_runs import quick_config
from vae_jax import fit


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The run of `quick_config`."""
    return fit(quick_config(), tmp_path_factory.mktemp("reported"), quiet=True)
