"""The seconds of `vae-jax report`, and of a `sweep` that finds all done, over many made-up runs.

    python -m benchmarks.reports [--runs=10000] [--seeds=5]

One setting is trained and evaluated, for its files; the others are copies of them with other values,
written straight to disk, so that 10,000 runs are there within a minute. Then it prints what a run
takes on disk, and how long the commands take.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EVALUATION = ["--num_importance_samples=10"]
CONFIG = ["--config=experiments/digits.py:quick", "--config.encoder=mlp(hidden=(8,))"]


def sweep(workdir: Path, count: int, seeds: int) -> list[str]:
    """The command that would make the runs."""
    rates = "|".join(rate(i) for i in range(count))
    grid = f"--grid=optimizer.learning_rate={rates}"
    return ["sweep", *CONFIG, f"--workdir={workdir}", grid, f"--num_seeds={seeds}", *EVALUATION]


def rate(i: int) -> str:
    return repr(round(1e-3 + i * 1e-6, 9))


def call(*words: str) -> str:
    """Runs a command; how long it took by a clock and of the processors."""
    began, before = time.perf_counter(), used()
    subprocess.run([sys.executable, "-m", "vae_jax", *words], check=True, stdout=subprocess.DEVNULL)
    return f"{time.perf_counter() - began:.1f} s, of processors {used() - before:.1f} s"


def used() -> float:
    """The seconds of processors that programs took which were run from here."""
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def make(workdir: Path, count: int, seeds: int) -> None:
    """The runs of `sweep(workdir, count, seeds)` and its plan, as that would leave them."""
    call(*sweep(workdir, 1, 1))
    plan = json.loads((workdir / "sweep.json").read_text())
    [(name, entry)] = plan["settings"].items()
    first = workdir / name / "seed_0"
    texts = {p: p.read_text() for p in map(first.joinpath, TEXTS) if p.exists()}
    config, results = (json.loads(texts[first / f]) for f in ("config.json", "results.json"))
    with np.load(first / "per_example" / "test.npz") as stored:
        arrays = dict(stored)
    rng = np.random.default_rng(0)
    steps = [p.name for p in (first / "checkpoints").iterdir()]
    metrics = {s: _metrics(first / "checkpoints" / s) for s in steps}
    for i in range(count):
        setting = name.replace(f"={rate(0)}", f"={rate(i)}")
        plan["settings"][setting] = entry | {"overrides": {"optimizer.learning_rate": rate(i)}}
        plan["settings"][setting]["seeds"] = list(range(seeds))
        for seed in range(seeds):
            if (i, seed) == (0, 0):
                continue
            path = workdir / setting / f"seed_{seed}"
            path.mkdir(parents=True)
            for source, text in texts.items():
                (path / source.name).write_text(text)
            optimizer = config["optimizer"].replace(f"={rate(0)}", f"={rate(i)}")
            (path / "config.json").write_text(
                json.dumps(config | {"seed": seed, "optimizer": optimizer}, indent=2)
            )
            shift = float(rng.normal(0, 1) - math.log1p(i))
            results["test"]["numbers"]["log_p"]["mean"] = float(arrays["log_p"].mean() + shift)
            (path / "results.json").write_text(json.dumps(results, indent=2))
            (path / "per_example").mkdir()
            noise = rng.normal(0, 0.3, arrays["log_p"].shape)
            moved = arrays | {"log_p": (arrays["log_p"] + shift + noise).astype(np.float32)}
            np.savez_compressed(path / "per_example" / "test.npz", **moved)
            for step, text in metrics.items():
                (path / "checkpoints" / step / "metrics").mkdir(parents=True)
                if text:
                    (path / "checkpoints" / step / "metrics" / "metrics").write_text(text)
    (workdir / "sweep.json").write_text(json.dumps(plan, indent=2))


TEXTS = ("config.json", "environment.json", "data.json", "metrics.jsonl", "results.json")


def _metrics(checkpoint: Path) -> str:
    path = checkpoint / "metrics" / "metrics"
    return path.read_text() if path.exists() else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workdir = asked.workdir or Path(folder) / "many"
        count = asked.runs // asked.seeds
        began = time.perf_counter()
        if not workdir.exists():
            make(workdir, count, asked.seeds)
        print(f"{asked.runs} runs made up in {time.perf_counter() - began:.0f} s", flush=True)
        first = next(workdir.glob("*/seed_0"))
        files = [path for path in first.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"a run, without its checkpoints' arrays: {len(files)} files, {size / 1e3:.0f} kB")
        print(f"report: {call('report', f'--workdir={workdir}')}", flush=True)
        page = (workdir / "report.html").stat().st_size
        print(f"report.html: {page / 1e6:.1f} MB")
        print(f"sweep, all done: {call(*sweep(workdir, count, asked.seeds))}", flush=True)


if __name__ == "__main__":
    main()
