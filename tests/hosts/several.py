"""Commands that several processes on this machine do together, over gloo."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SMALL = (
    "--config=experiments/digits.py",
    *("--config.encoder=mlp(hidden=(64,))", "--config.decoder=mlp(hidden=(64,))"),
    *("--config.latent_dim=2", "--config.eval_every_epochs=1", "--config.trackers="),
)
ROOT = Path(__file__).parents[2]


def started(count, *command, devices=1, program=("-m", "vae_jax"), of_last=()):
    """The processes of a command, `count` of them, each with as many simulated devices."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    where = [f"--coordinator=localhost:{port}", f"--num_processes={count}"]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    return [
        subprocess.Popen(
            [sys.executable, *program, *command, *where * (count > 1)]
            + [f"--process_id={i}"] * (count > 1)
            + [*of_last] * (i == count - 1),
            cwd=ROOT,
            env={**os.environ, "XLA_FLAGS": flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]


def ended(processes, seconds=300):
    """The status, the output and the last line on stderr of each process."""
    outcomes = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=seconds)
            outcomes.append((process.returncode, out, (err.splitlines() or [""])[-1]))
    finally:
        for process in processes:  # that wait for each other
            process.kill()
    return outcomes


def run_together(count, *command, seconds=300, **options):
    """The command, done to its end without a mistake."""
    outcomes = ended(started(count, *command, **options), seconds)
    assert [status for status, _, _ in outcomes] == [0] * count, outcomes
    return outcomes


def wait_for_lines(path, number, seconds=200):
    """Waits until a file has so many lines."""
    for _ in range(10 * seconds):
        if path.exists() and len(path.read_text().splitlines()) >= number:
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} has less than {number} lines after {seconds} s")
