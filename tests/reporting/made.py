"""Entries of `results.json` made by hand: what estimators of any name might have written."""

import json

import numpy as np

from vae_jax.reporting.entries import Entry

FIELDS = {"seed": 0, "checkpoint": "best", "probability": "mass", "in_support": True}
FIELDS |= {"few_values": "", "other_data": None, "fingerprint": "f"}


def number(mean, error=0.2, **more):
    record = {"mean": mean, "standard_error": error, "n": 100, "unit": "nats per example"}
    return record | {"method": "by hand"} | more


def results(size=100, sha256="a", **numbers):
    """An entry; a plain number becomes a record, an array `[n]` its mean and error."""
    data = {"name": "digits", "sha256": sha256, "shape": [size, 8, 8, 1], "dtype": "uint8"}
    data["x"] = {"mean": 0.5, "std": 0.1, "min": 0.0, "max": 1.0}
    return FIELDS | {
        "num_examples": size,
        "data": data,
        "numbers": {name: _record(value) for name, value in numbers.items()},
    }


def _record(value):
    if isinstance(value, np.ndarray):
        return number(value.mean(), value.std(ddof=1) / len(value) ** 0.5)
    return value if isinstance(value, dict) else number(value)


def entry(name="test", size=100, **numbers):
    arrays = {n: v for n, v in numbers.items() if isinstance(v, np.ndarray)}
    return Entry(name, results(size, **numbers), arrays)


def write(workdir, **entries):
    """A run directory with a config, and entries by name."""
    from tests.quick_runs import quick_config
    from vae_jax.config import resolve

    workdir.mkdir(exist_ok=True)
    (workdir / "config.json").write_text(json.dumps(resolve(quick_config()).to_dict()))
    kept = {}
    for name, numbers in entries.items():
        of = results(**numbers)
        arrays = {n: v for n, v in numbers.items() if isinstance(v, np.ndarray)}
        (workdir / "per_example").mkdir(exist_ok=True)
        np.savez(workdir / "per_example" / f"{name}.npz", **arrays)
        kept[name] = of | {"arrays": f"per_example/{name}.npz"}
    (workdir / "results.json").write_text(json.dumps(kept))
    return workdir
