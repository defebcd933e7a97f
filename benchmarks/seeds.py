"""Seeds of `experiments/mnist.py` along one axis (vmap), or one after another, against one alone.

python -m benchmarks.seeds
"""

import jax

from benchmarks.rates import ratio, time_in_turn
from benchmarks.training import images, program, steps_of

ROUNDS = 5


def main() -> None:
    data = images()
    run, start = program(data)
    one = steps_of(run, start, data, [0])
    print(f"on {jax.devices()[0].device_kind}, against one seed alone:")
    for count in (4, 16):
        along = steps_of(run, start, data, list(range(count)))
        calls = {"one": one, "along": along, "after": lambda n=count: [one() for _ in range(n)]}
        seconds = time_in_turn(calls, ROUNDS)
        for name, how in (("along", "along one axis"), ("after", "one after another")):
            print(f"{count:3} seeds {how:18} {ratio(seconds[name], seconds['one'])} times as long")


if __name__ == "__main__":
    main()
