"""Seeds of `experiments/mnist.py` along one axis (vmap), or one after another, against one alone.

python -m benchmarks.seeds
"""

from benchmarks.contestants.ours import training
from benchmarks.rates import machine, ratio, time_in_turn
from benchmarks.settings import Setting
from benchmarks.training import MNIST

ROUNDS = 5


def main() -> None:
    setting = Setting(MNIST, 100, 300)
    one = training(setting)
    print(f"{machine()}\nagainst one seed alone:")
    for count in (4, 16):
        along = training(setting, tuple(range(count)))
        calls = {"one": one, "along": along, "after": lambda n=count: [one() for _ in range(n)]}
        seconds = time_in_turn(calls, ROUNDS)
        for name, how in (("along", "along one axis"), ("after", "one after another")):
            print(f"{count:3} seeds {how:18} {ratio(seconds[name], seconds['one'])} times as long")


if __name__ == "__main__":
    main()
