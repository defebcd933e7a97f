"""A start imports what it needs and nothing more, counted by modules, since clocks differ."""

import os
import subprocess
import sys

HEAVY = [
    "torch",
    "tensorflow",
    "sklearn",
    "scipy.stats",
    "pandas",
    "pyarrow",
    "matplotlib",
    "grain",
]
TRAINING = """
import sys
from vae_jax import default_config
from vae_jax.training import fit
from vae_jax.training.logs import Log
from vae_jax.runs.parts import make_parts
make_parts(fit._resolved(default_config(), None))
from pathlib import Path
log = Log(Path(sys.argv[1]), default_config(), 0)
log.write(1, 1.0, {"bound": 0.0})
log.__exit__()
"""
FINDING_DONE = """
import sys
import vae_jax.cli.commands.sweep, vae_jax.evaluation.evaluate, vae_jax.runs.stored
import vae_jax.reporting.tables, vae_jax.sweeps.compare, vae_jax.sweeps.execute
"""


def imported(program, tmp_path):
    """The heavy modules that a program has imported, where PyTorch and TensorFlow are installed."""
    for name in ("torch", "tensorflow"):
        (tmp_path / "installed" / name).mkdir(parents=True)
        (tmp_path / "installed" / name / "__init__.py").write_text("")
    told = f"print([name for name in {HEAVY} if name in sys.modules])"
    paths = [str(tmp_path / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-c", program + told, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_training_imports_no_library_that_it_does_not_need(tmp_path):
    assert imported(TRAINING, tmp_path) == "[]"


def test_a_command_that_finds_all_done_imports_none_either(tmp_path):
    assert imported(FINDING_DONE, tmp_path) == "[]"
