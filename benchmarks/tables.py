"""The table of results in `docs/results.md`, from the results.json of runs.

python -m benchmarks.tables runs/digits runs/linear_gaussian runs/mnist
"""

import json
import sys
from pathlib import Path

from vae_jax.config.components import parse

COLUMNS = ("elbo", "kl", "iwae_50", "log_p")


def _num_samples(estimators: list[str]) -> int:
    [importance] = [call for call in map(parse, estimators) if call.name == "importance"]
    return importance.arguments["num_samples"]


def cell(numbers: dict, name: str) -> str:
    number = numbers.get(name)
    return f"{number['mean']:.2f} ± {number['standard_error']:.2f}" if number else "–"


def main() -> None:
    print("| run | test examples | epochs | K | ELBO | KL | IWAE, k = 50 | log p(x) |")
    print("|---|---|---|---|---|---|---|---|")
    for workdir in map(Path, sys.argv[1:]):
        result = json.loads((workdir / "results.json").read_text())["test"]
        config = json.loads((workdir / "config.json").read_text())
        head = (result["num_examples"], config["num_epochs"], _num_samples(result["estimators"]))
        cells = [cell(result["numbers"], name) for name in COLUMNS]
        print(f"| `{workdir.name}` | {' | '.join(f'{n:,}' for n in head)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
