"""An installation in place is found from everywhere, and a wheel has all files that are needed."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = "import vae_jax; print(vae_jax.__version__, vae_jax.__file__)"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The files that an installation is made of, in a directory of the package's name."""
    path = tmp_path_factory.mktemp("beside") / "vae_jax"
    path.mkdir()
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, path)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("vae_jax", "docs", "tests"):
        shutil.copytree(ROOT / name, path / name, ignore=ignored)
    return path


@pytest.mark.slow
def test_the_package_is_found_from_the_directory_that_holds_the_clone(clone, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "-e", clone]
    subprocess.run(install, check=True)
    for folder in (clone.parent, clone, clone / "docs", tmp_path):
        found = subprocess.run(
            [python, "-E", "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == ["0.1.0", str(clone / "vae_jax" / "__init__.py")]


@pytest.mark.slow
def test_a_wheel_has_the_package_with_its_templates_and_nothing_else(clone, tmp_path):
    make = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, clone]
    subprocess.run(make, check=True)
    [wheel] = tmp_path.glob("*.whl")
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    files = {p for p in (clone / "vae_jax").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert inside == {str(p.relative_to(clone)) for p in files}
    assert {"vae_jax/py.typed", "vae_jax/paper.mplstyle"} <= inside
    assert "vae_jax/reporting/report.html.jinja" in inside
