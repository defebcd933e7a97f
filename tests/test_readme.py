import re
from pathlib import Path

import pytest

from vae_jax.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(BLOCKS[0], namespace)
    assert namespace["weights"].log_prior.shape == (50, 3)
    assert namespace["same"].params.keys() == namespace["params"].keys()


@pytest.mark.parametrize("name", ["my_lab.horseshoe(scale=0.2)"])
def test_the_prior_of_ones_own_trains(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("my_lab").mkdir()
    Path("my_lab/horseshoe.py").write_text(BLOCKS[1])
    experiment = Path(__file__).parents[1] / "experiments" / "digits.py"
    flags = [f"--config={experiment}:quick", "--workdir=run", f"--config.prior={name}"]
    assert main(["vae-jax", "train", *flags]) == 0
    assert main(["vae-jax", "evaluate", "--workdir=run", "--num_importance_samples=5"]) == 0
