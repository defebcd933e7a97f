"""Sweeps of tiny models as commands, and what they leave."""

import csv
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.test_cli import DIGITS, ROOT, TINY

SHORT = [*TINY, "--config.num_epochs=2", "--config.eval_every_epochs=1.0"]
EVALUATION = ["--num_importance_samples=20", "--iwae_samples=5"]
GRID = ["--grid=prior=standard_normal|mixture(components=3)", "--grid=latent_dim=2|3"]
LONGER = ["--config.num_epochs=60", "--config.eval_every_epochs=5.0"]
ONE = ["--grid=latent_dim=2|3"]


def arguments(workdir, *more, grid=GRID, seeds=3):
    fixed = ["sweep", f"--config={DIGITS}:quick", f"--workdir={workdir}", f"--num_seeds={seeds}"]
    given = {word.partition("=")[0] for word in more}  # no flag may be given twice
    usual = [word for word in (*SHORT, *EVALUATION) if word.partition("=")[0] not in given]
    return [*fixed, *usual, *grid, *more]


def table(workdir):
    """The rows of table.csv, without what a clock says."""
    rows = list(csv.DictReader((workdir / "table.csv").open()))
    return [{k: v for k, v in row.items() if k != "training_seconds"} for row in rows]


def start(workdir, *more, **options):
    command = [sys.executable, "-m", "vae_jax", *arguments(workdir, *more, **options)]
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


def children(pid):
    """The serving processes among the children of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(c): Path(f"/proc/{c}/cmdline").read_bytes() for c in listed}
    return [c for c, command in commands.items() if b"spawn_main" in command]
