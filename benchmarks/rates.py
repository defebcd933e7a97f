"""How to time things in turn, their ratios, the machine they ran on, and the table of them."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
import numpy as np

Call = Callable[[], object]
PACKAGES = ("jax", "jaxlib", "numpyro", "optax", "torch", "pythae")


def time_in_turn(calls: Mapping[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, A B C A B C ..., after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> str:
    """Median of the ratios round by round, with the least and the greatest."""
    ratios = np.array(numerator) / np.array(denominator)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def machine() -> str:
    """The processor or accelerator, its cores, and the versions of what is compared."""
    device = jax.devices()[0]
    name = processor() if device.platform == "cpu" else device.device_kind
    versions = ", ".join(f"{p} {v}" for p in PACKAGES if (v := _version(p)))
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {load}; {versions}"


def processor() -> str:
    """The model that the processor says it is."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    fields = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    named = fields.get("model name", platform.processor() or platform.machine())
    numbers = [fields.get(f"{name}\t", fields.get(name, "")) for name in ("cpu family", "model")]
    wide = " with AVX-512" if "avx512f" in fields.get("flags\t", fields.get("flags", "")) else ""
    return f"{named} (family {numbers[0]}, model {numbers[1]}){wide}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown below its title."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join([f"\n{title}\n", *(f"| {' | '.join(line)} |" for line in lines)])
