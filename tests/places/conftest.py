import pytest

from tests.cli.test_cli import DIGITS, TINY
from vae_jax.cli.main import main

SHORT = [*TINY, "--config.num_epochs=4", "--config.eval_every_epochs=2.0"]
TRAIN = ["train", f"--config={DIGITS}:quick", *SHORT]
FEW = ["--num_importance_samples=20", "--iwae_samples=5"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A run that was trained, evaluated and drawn; to be copied, not changed."""
    path = tmp_path_factory.mktemp("places") / "run"
    assert main(["vae-jax", *TRAIN, f"--workdir={path}"]) == 0
    assert main(["vae-jax", "evaluate", f"--workdir={path}", *FEW]) == 0
    return path


@pytest.fixture
def run(shared, tmp_path):
    """A copy of the run."""
    import shutil

    return shutil.copytree(shared, tmp_path / "run")
