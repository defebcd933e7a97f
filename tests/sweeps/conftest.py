import json
import subprocess
import sys

import filelock
import pytest

from tests.cli.test_cli import ROOT
from tests.sweeps.commands import LONGER, ONE, arguments


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """A sweep's directory and output, made by the first of pytest's processes to ask."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def make(name, *more, **options):
        workdir, output = base / name / "sweep", base / name / "output.json"
        with filelock.FileLock(base / f"{name}.lock"):
            if not output.exists():
                command = [sys.executable, "-m", "vae_jax", *arguments(workdir, *more, **options)]
                run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
                assert run.returncode == 0, run.stderr
                output.write_text(json.dumps([run.stdout, run.stderr]))
        return workdir, *json.loads(output.read_text())

    return make


@pytest.fixture(scope="module")
def swept(made_once):
    """Twelve runs, two workers."""
    return made_once("swept", "--num_workers=2")


@pytest.fixture(scope="module")
def longer(made_once):
    """Four runs of two settings that nobody disturbed."""
    return made_once("longer", "--num_workers=2", *LONGER, grid=ONE, seeds=2)[0]
