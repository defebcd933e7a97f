"""From a call of `vae-jax` to its first words and to what it was called for.

    python -m benchmarks.startup

The first step of `train` on digits, compiled anew and from the cache; then each command, and again
where it has nothing left to do. Beside the seconds of a clock stand those of the processors, of all
threads, which other programs on the machine change less.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

FIRST_STEP = """
import sys
from vae_jax.cli import main
from vae_jax.training import loop
def stop(*args): raise SystemExit
loop._log_window = stop
sys.argv[1:] = ["train", "--config=experiments/digits.py", "--workdir=" + sys.argv[1]]
main.run()
"""
QUICK = ["--config=experiments/digits.py:quick"]
FEW = ["--num_importance_samples=10"]
SWEEP = ["sweep", *QUICK, "--grid=latent_dim=2|3", "--num_seeds=1", *FEW]
ROUNDS = 3


class Took(NamedTuple):
    """The time that a process took, in seconds."""

    words: float  # to its first line
    end: float
    processors: float


def took(command: list[str], cache: Path) -> Took:
    environment = {**os.environ, "VAE_JAX_CACHE": str(cache)}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stderr is not None
    process.stderr.readline()
    words = time.perf_counter() - began
    lines = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, lines
    return Took(words, time.perf_counter() - began, used.ru_utime + used.ru_stime)


def first_steps(folder: Path, is_cold: bool) -> Took:
    """The medians of some starts of `train`, up to its first step."""
    every = []
    for i in range(ROUNDS + (not is_cold)):
        workdir, cache = folder / f"{is_cold} {i}", folder / (f"cold {i}" if is_cold else "warm")
        every.append(took([sys.executable, "-c", FIRST_STEP, str(workdir)], cache))
    return Took(*map(median, zip(*every[-ROUNDS:], strict=True)))  # the first one fills the cache


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, sweep = f"--workdir={folder / 'run'}", f"--workdir={folder / 'sweep'}"
        print(f"{'':36}{'first words':>12}{'end':>10}{'processors':>12}")
        for is_cold in (True, False):
            told = f"train, first step, {'cold' if is_cold else 'warm'} cache"
            show(told, first_steps(folder, is_cold))
        for command, arguments in {
            "train": [*QUICK, run],
            "train, done": [*QUICK, run],
            "evaluate": [run, *FEW],
            "evaluate, done": [run, *FEW],
            "sample": [run],
            "export": [run, "--what=latents"],
            "report": [run],
            "compare-kl": [run, "--num_repetitions=32", "--max_samples=4"],
            "sweep": [*SWEEP[1:], sweep],
            "sweep, done": [*SWEEP[1:], sweep],
            "report, of a sweep": [sweep],
        }.items():
            words = [sys.executable, "-m", "vae_jax", command.partition(",")[0], *arguments]
            show(command, took(words, folder / "warm"))


def show(told: str, of: Took) -> None:
    print(f"{told:36}{of.words:10.1f} s{of.end:8.1f} s{of.processors:10.1f} s", flush=True)


if __name__ == "__main__":
    main()
