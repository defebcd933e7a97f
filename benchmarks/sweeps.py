"""The cost of a sweep beyond training and evaluation, for runs of about a minute.

    python -m benchmarks.sweeps

The same runs twice, each time in a process of its own with an empty cache: by `vae-jax sweep`, and by
a program that calls `fit`, `load` and `evaluate` for one after the other and does nothing else.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATES = ("1e-3", "2e-3")
EPOCHS = 4000
PROGRAM = """
import sys
from pathlib import Path
from vae_jax import caches, evaluate, fit, load
from vae_jax.runs.results import save_results
sys.path.insert(0, "experiments")
from digits import get_config
caches.keep_compiled_programs()
for rate in sys.argv[2].split(","):
    config, workdir = get_config(), Path(sys.argv[1]) / rate
    config.num_epochs, config.optimizer = EPOCHS, f"adam(learning_rate={rate})"
    fit(config, workdir)
    save_results(workdir, "test", evaluate(load(workdir), quiet=True))
"""


def seconds(command: list[str], cache: Path) -> float:
    began = time.perf_counter()
    environment = {**os.environ, "VAE_JAX_CACHE": str(cache)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    program = PROGRAM.replace("EPOCHS", str(EPOCHS))
    grid = "|".join(f"adam(learning_rate={rate})" for rate in RATES)
    sweep = ["sweep", "--config=experiments/digits.py", f"--config.num_epochs={EPOCHS}"]
    ratios = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            one, other, caches = (Path(folder) / name for name in ("one", "other", "caches"))
            flags = [f"--grid=optimizer={grid}", f"--workdir={one}"]
            swept = seconds([sys.executable, "-m", "vae_jax", *sweep, *flags], caches / "one")
            bare = [sys.executable, "-c", program, str(other), ",".join(RATES)]
            alone = seconds(bare, caches / "other")
        ratios.append(swept / alone)
        print(f"{len(RATES)} runs: sweep {swept:.1f} s, alone {alone:.1f} s", flush=True)
    print("sweep / alone: " + ", ".join(f"{ratio:.3f}" for ratio in ratios))


if __name__ == "__main__":
    main()
