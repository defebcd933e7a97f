"""From `vae-jax train` to the end of its first step: imports, data, compilation.

python -m benchmarks.startup
"""

import subprocess
import sys
import tempfile
import time

PROGRAM = """
import sys
from vae_jax.cli.main import main
from vae_jax.training import loop
def stop(*args): print("first step"); sys.stdout.flush(); raise SystemExit
loop._log_window = stop
main(["vae-jax", "train", "--config=experiments/digits.py", "--workdir=" + sys.argv[1]])
"""


def main() -> None:
    times = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as workdir:
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", PROGRAM, workdir], check=True, capture_output=True
            )
            times.append(time.perf_counter() - start)
    print(f"first step after {sorted(times)[2]:.1f} s ({min(times):.1f} to {max(times):.1f})")


if __name__ == "__main__":
    main()
