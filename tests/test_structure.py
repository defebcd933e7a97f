"""Rules that keep the code readable: one way of imports, heavy ones late, sizes, names of things."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vae_jax"
ORDER = [
    "errors",
    "places",
    "progress",
    "caches",
    "hosts",
    "standard_errors",
    "brought",
    "types",
    "programs",
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
    "trackers",
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
        imported = "import flax" in path.read_text() or "from flax" in path.read_text()
        assert not imported or part(path) == "networks", path


def test_heavy_imports_wait_until_they_are_needed():
    heavy = [
        "numpy",
        "jax",
        "optax",
        "matplotlib",
        "sklearn",
        "tensorflow",
        "tensorflow_datasets",
        "tensorboardX",
        "wandb",
        "mlflow",
        "grain",
        "jinja2",
        "PIL",
        "pandas",
        "pyarrow",
        "filelock",
        "tabulate",
    ]
    program = (
        f"import sys, vae_jax, vae_jax.cli.main; print([m for m in {heavy} if m in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert imported.strip() == "[]"


def definitions(path):
    """Every module, class and function of a file."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def lines_of_code(function):
    """The lines of a function without its docstring and its decorators."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_files_and_functions_stay_short():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path
        for node in definitions(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert lines_of_code(node) <= 45, f"{path}: {node.name}"


def test_the_init_of_a_package_defines_nothing():
    for path in PACKAGE.rglob("__init__.py"):
        names = {node.name for node in definitions(path) if not isinstance(node, ast.Module)}
        lazy = {"__getattr__", "__dir__"} if path.parent == PACKAGE else set()
        assert names == lazy, path


@pytest.mark.parametrize("folder", ["vae_jax", "tests", "benchmarks", "experiments", "docs"])
def test_a_docstring_names_its_subject(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for node in definitions(path):
            assert not (ast.get_docstring(node) or "").startswith("What "), f"{path}: {node}"


def test_variables_are_named_after_what_they_hold():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_assigned = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            name = node.id if is_assigned else node.arg if isinstance(node, ast.arg) else ""
            assert name not in ("found", "made", "own", "said"), f"{path}:{node.lineno}: {name}"


def handles_text(call):
    """Whether a call reads or writes a file of text."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name != "open":
        return name in ("read_text", "write_text", "fdopen")
    modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    return bool(modes) and not any("b" in str(mode) for mode in modes)


def test_files_of_text_have_one_encoding_everywhere():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and handles_text(node):
                given = [keyword.arg for keyword in node.keywords]
                assert "encoding" in given, f"{path}:{node.lineno}: {ast.unparse(node)}"
