"""What keeps the code readable: imports go one way, heavy ones wait, components stand alone."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "vae_jax"
ORDER = [
    "errors",
    "caches",
    "standard_errors",
    "types",
    "config",
    "networks",
    "flows",
    "distributions",
    "model",
    "weights",
    "divergences",
    "kl_estimators",
    "posteriors",
    "likelihoods",
    "priors",
    "objectives",
    "estimators",
    "datasets",
    "batches",
    "runs",
    "training",
    "evaluation",
    "sweeps",
    "plots",
    "kl_comparison",
    "reporting",
    "cli",
]


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vae_jax"):
            first = node.module.split(".")[1:2]
            yield from first or (alias.name for alias in node.names)


def test_every_part_has_its_place_in_the_order():
    assert {part(p) for p in PACKAGE.rglob("*.py")} == {*ORDER, "__init__", "__main__"}


def test_a_file_imports_only_from_what_stands_before_it():
    for path in PACKAGE.rglob("*.py"):
        if part(path) not in ("__init__", "__main__"):
            for name in imports(path):
                assert ORDER.index(name) <= ORDER.index(part(path)), f"{path} imports {name}"


def test_flax_is_imported_in_networks_only():
    for path in PACKAGE.rglob("*.py"):
        found = "import flax" in path.read_text() or "from flax" in path.read_text()
        assert not found or part(path) == "networks", path


def test_heavy_imports_wait_until_they_are_needed():
    heavy = [
        "matplotlib",
        "sklearn",
        "tensorflow",
        "tensorflow_datasets",
        "tensorboardX",
        "grain",
        "jinja2",
        "PIL",
        "filelock",
        "tabulate",
    ]
    program = (
        f"import sys, vae_jax, vae_jax.cli.main; print([m for m in {heavy} if m in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_files_stay_short():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path
