"""One accelerator: how long the schedule of the IWAE paper takes, seeds at once, bfloat16, K = 5000.

    python -m benchmarks.accelerator [--quick]

The steps are those of `vae-jax train` without what it writes; the schedule's 3,280 epochs of 59,000
examples are scaled up from the steps that are timed. On a CPU it runs as well, to show that it works.
"""

import sys

import jax
import numpy as np

from benchmarks.contestants import ours
from benchmarks.products import Chain
from benchmarks.rates import Call, machine, ratio, table, time_in_turn
from benchmarks.settings import Setting, an_example

EPOCHS, EXAMPLES, BATCH, SEEDS = 3280, 59_000, 100, 8
COLUMNS = ["", "ms a step", "examples/s", "GFLOP/s", "3,280 epochs", "time, one seed in float32 1"]
BFLOAT16 = (("precision", "bfloat16"),)
NAME = "`mnist.py`"


def training_calls(steps: int) -> tuple[Setting, dict[str, Call]]:
    """One seed, several along one axis, and the networks in bfloat16."""
    setting = Setting(NAME, BATCH, steps)
    narrow, seeds = setting._replace(changes=BFLOAT16), tuple(range(SEEDS))
    return setting, {
        "one seed, float32": ours.training(setting),
        f"{SEEDS} seeds, float32": ours.training(setting, seeds),
        "one seed, bfloat16": ours.training(narrow),
        f"{SEEDS} seeds, bfloat16": ours.training(narrow, seeds),
    }


def trained(steps: int, rounds: int) -> str:
    """The table of training."""
    setting, calls = training_calls(steps)
    seconds, rows = time_in_turn(calls, rounds), []
    first, flops = next(iter(seconds)), Chain(setting).training_flops(BATCH)
    for name, values in seconds.items():
        each, seeds = np.median(values) / steps, SEEDS if str(SEEDS) in name[:2] else 1
        numbers = [f"{each * 1e3:.4f}", f"{seeds * BATCH / each:,.0f}"]
        whole = f"{each * EPOCHS * (EXAMPLES // BATCH):,.0f} s"
        numbers += [f"{seeds * flops / each / 1e9:,.0f}", whole]
        rows.append([name, *numbers, ratio(values, seconds[first])])
    return table(f"A training step of {NAME}, batch {BATCH}", COLUMNS, rows)


def evaluated(examples: int, k: int, rounds: int) -> str:
    """The table of log p(x)."""
    settings = {"float32": Setting(NAME, examples, 1)}
    settings["bfloat16"] = settings["float32"]._replace(changes=BFLOAT16)
    x = np.asarray(an_example(settings["float32"])[1], np.float32)
    calls = {name: ours.evaluations(s, x, k)[ours.NAME] for name, s in settings.items()}
    seconds, rows = time_in_turn(calls, rounds), []
    flops = Chain(settings["float32"]).decoding_flops(examples * k)
    for name, values in seconds.items():
        each = np.median(values)
        numbers = [f"{each / examples * 10_000:,.1f}", f"{flops / each / 1e9:,.0f}"]
        rows.append([name, *numbers, ratio(values, seconds["float32"])])
    columns = ["", "s for 10,000 images", "GFLOP/s", "time, float32 1"]
    return table(f"log p(x), K = {k:,}, scaled up from {examples} images", columns, rows)


def main(is_quick: bool = "--quick" in sys.argv) -> None:
    print(machine())
    on_cpu = jax.devices()[0].platform == "cpu"
    steps, rounds = (3, 1) if is_quick else (100, 3) if on_cpu else (5900, 5)
    print(trained(steps, rounds), flush=True)
    examples, k = (4, 100) if is_quick else (4, 5000) if on_cpu else (100, 5000)
    print(evaluated(examples, k, rounds), flush=True)


if __name__ == "__main__":
    main()
