"""Training steps of one model by all contestants, against the machine's matrix products.

python -m benchmarks.training [--quick]
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np

from benchmarks import contestants
from benchmarks.contestants import ours
from benchmarks.products import TRAINING, Chain
from benchmarks.rates import Call, machine, ratio, table, time_in_turn
from benchmarks.settings import VAMP, Setting, an_example

COLUMNS = ["", "ms a step", "examples/s", "GFLOP/s", "time, ours 1: median (least to greatest)"]
MNIST, GATED = "`mnist.py`", "gated 300-300, VampPrior(500)"


def settings(is_quick: bool) -> list[Setting]:
    if is_quick:
        return [Setting(MNIST, 20, 3), Setting(GATED, 20, 2, tuple(VAMP.items()))]
    by_batch = {20: 200, 100: 100, 512: 30}
    plain = [Setting(MNIST, batch, steps) for batch, steps in by_batch.items()]
    return [*plain, Setting(GATED, 100, 25, tuple(VAMP.items()))]


def others() -> Iterator[ModuleType]:
    """Those whose library is here; a line says which is not."""
    for module in pkgutil.iter_modules(contestants.__path__):
        if module.name != "ours":
            try:
                yield importlib.import_module(f"benchmarks.contestants.{module.name}")
            except ModuleNotFoundError as error:
                print(f"{module.name} is not compared: {error}; pip install -e '.[bench]'")


def of_contestants(setting: Setting) -> dict[str, Call]:
    """The calls of those that can train the setting's model, their losses equal to ours."""
    keys, x, noise = an_example(setting)
    expected, calls = ours.loss(setting, x, keys, noise), {ours.NAME: ours.training(setting)}
    for one in others():
        try:
            np.testing.assert_allclose(one.loss(setting, x, keys, noise), expected, rtol=1e-5)
            calls[one.NAME] = one.training(setting)
        except NotImplementedError as error:
            print(f"{one.NAME} does not train {setting.name}: {error}")
    return calls


def of_products(makers: Mapping, *arguments: object) -> dict[str, Call]:
    """The products by each library that is here."""
    calls = {}
    for name, make in makers.items():
        try:
            calls[name] = make(*arguments)
        except ModuleNotFoundError as error:
            print(f"{name}: {error}")
    return calls


def rate(ours: list[float], products: Mapping[str, list[float]]) -> str:
    """Ours as a share of the best products' rate, the best being the best of a round."""
    best = np.min(list(products.values()), 0)
    return f"{ratio(best, ours)} of the rate of the best products"


def measured(setting: Setting, rounds: int) -> str:
    """The table of a setting."""
    products = of_products(TRAINING, setting)
    seconds = time_in_turn(of_contestants(setting) | products, rounds)
    flops, rows = Chain(setting).training_flops(setting.batch), []
    for name, values in seconds.items():
        each = np.median(values) / setting.steps
        numbers = [f"{each * 1e3:.3f}", f"{setting.batch / each:,.0f}", f"{flops / each / 1e9:.0f}"]
        rows.append([name, *numbers, ratio(values, seconds[ours.NAME])])
    share = rate(seconds[ours.NAME], {name: seconds[name] for name in products})
    title = f"A training step of {setting.name}, batch {setting.batch}: ours at {share}"
    return table(title, COLUMNS, rows)


def main(is_quick: bool = "--quick" in sys.argv) -> None:
    for setting in settings(is_quick):
        print(measured(setting, 1 if is_quick else 9), flush=True)


if __name__ == "__main__":
    print(machine())
    main()
