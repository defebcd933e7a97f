"""Importance-sampled log p(x), K = 5000, by all that estimate it, against the decoder's products.

python -m benchmarks.evaluation [--quick]
"""

import sys

import numpy as np

from benchmarks.contestants import ours
from benchmarks.products import DECODING, Chain
from benchmarks.rates import Call, machine, ratio, table, time_in_turn
from benchmarks.settings import Setting, an_example
from benchmarks.training import MNIST, of_products, others, rate

COLUMNS = ["", "s for 10,000 images", "GFLOP/s", "time, ours 1: median (least to greatest)"]
EXAMPLES, ROWS, AGREEMENT = 4, 2000, 0.05  # nats, of means over the images at K = 5000


def of_contestants(setting: Setting, k: int) -> dict[str, Call]:
    """The calls of those that estimate log p(x), their estimates as ours up to the draws' noise."""
    x = np.array(an_example(setting)[1][:EXAMPLES], np.float32)
    calls = dict(ours.evaluations(setting, x, k))
    for one in others():
        calls |= getattr(one, "evaluations", lambda *_: {})(setting, x, k)
    expected = calls[ours.NAME]()
    for name, call in calls.items():
        assert abs(call() - expected) < AGREEMENT * (5000 / k) ** 0.5, name
    return calls


def measured(setting: Setting, k: int, rounds: int) -> str:
    """The table of K draws."""
    products = of_products(DECODING, setting, min(ROWS, k), max(1, EXAMPLES * k // ROWS))
    seconds = time_in_turn(of_contestants(setting, k) | products, rounds)
    flops, rows = Chain(setting).decoding_flops(EXAMPLES * k), []
    for name, values in seconds.items():
        each = np.median(values)
        numbers = [f"{each / EXAMPLES * 10_000:,.0f}", f"{flops / each / 1e9:.0f}"]
        rows.append([name, *numbers, ratio(values, seconds[ours.NAME])])
    share = rate(seconds[ours.NAME], {name: seconds[name] for name in products})
    title = (
        f"log p(x) of {setting.name}, K = {k:,}, scaled up from {EXAMPLES} images: ours at {share}"
    )
    return table(title, COLUMNS, rows)


def main(is_quick: bool = "--quick" in sys.argv) -> None:
    k, rounds = (100, 1) if is_quick else (5000, 7)
    print(measured(Setting(MNIST, 20, 1), k, rounds), flush=True)


if __name__ == "__main__":
    print(machine())
    main()
