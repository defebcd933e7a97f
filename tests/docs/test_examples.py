"""Every example of the documentation runs: programs, files of one's own, commands."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.pages import PAGES, ROOT, commands, files, programs, sections
from vae_jax import config
from vae_jax.cli import commands as own_commands
from vae_jax.cli.flags import Flags
from vae_jax.cli.main import find_command, main
from vae_jax.config import components
from vae_jax.config.experiments import listed_overrides
from vae_jax.kl_comparison.pairs import named
from vae_jax.sweeps import grids

SLOW = ("README.md", "docs/library.md")  # they train
EXTENDING = sections(PAGES["docs/extending.md"])
COMMANDS = [
    pytest.param(words, id=f"{page}: {' '.join(words)[:60]}")
    for page, text in PAGES.items()
    for words in commands(text)
]
OF_VAE_JAX = [param for param in COMMANDS if param.values[0][0] == "vae-jax"]
OTHERS = [param for param in COMMANDS if param.values[0][0] != "vae-jax"]
WITH_PROGRAM = [
    pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW))
    for page, text in PAGES.items()
    if programs(text)
]
KNOWN = ("git", "cd", "cp", "pip", "jupyter")  # not ours to test


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A directory as the pages assume it: their files saved, the experiments beside them."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "experiments").symlink_to(ROOT / "experiments")
    for text in PAGES.values():
        for path, code in files(text).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(code)
    x = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    np.savez(folder / "mine.npz", train=x[:200], test=x[200:])
    return folder


@pytest.fixture(autouse=True)
def _in_the_lab(lab, monkeypatch):
    """Works in that directory; forgets its modules afterwards."""
    monkeypatch.chdir(lab)
    monkeypatch.syspath_prepend(lab)
    folders = [*own_commands.__path__, str(lab / "vae_jax" / "cli" / "commands")]
    monkeypatch.setattr(own_commands, "__path__", folders)
    _forget()
    yield
    _forget()


def _forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


@pytest.mark.parametrize("words", OF_VAE_JAX)
def test_a_command_is_understood(words):
    command, flags = find_command(words[1]), Flags(words[1:])
    command.flags(flags)
    args = flags.read()
    assert not args.words or getattr(command, "TAKES_WORDS", False)
    check = {"train": resolve, "sweep": combine, "list": find_families, "compare-kl": make_pair}
    check.get(words[1], lambda args: None)(args)
    for text in (getattr(args, "estimators", None) or "").split("|"):
        assert not text or components.resolve("estimators", text)
    if getattr(args, "backend", None):
        assert components.resolve("sweeps.backends", args.backend)


def resolve(args):
    """The config of a file, or changes of the one that a run has."""
    cfg = config.default_config() if args.config is None else args.config
    config.override_all(cfg, args.overrides)
    assert config.resolve(cfg)


def combine(args):
    listed = listed_overrides(args.config_file)
    for overrides in grids.combine(args.grid, args.zip, listed, num_random=args.random):
        varied = config.resolve(args.config)
        for field, value in overrides.items():
            config.override(varied, field, value)
        assert config.resolve(varied)


def find_families(args):
    assert set(args.words) <= set(components.FAMILIES)


def make_pair(args):
    if args.q:
        named.pair(args.q, args.p)


@pytest.mark.parametrize("words", OTHERS)
def test_another_command_names_what_there_is(words):
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2])
    elif words[:2] == ["python", "-c"]:
        compile(words[2], "<example>", "exec")
    else:
        assert words[0] in KNOWN or words[0].startswith(".venv/bin/")


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PROGRAM)
def test_the_program_of_a_page_runs(page):
    exec("\n".join(programs(PAGES[page])), {"__name__": "example"})


def test_the_prior_of_the_readme_trains():
    flags = ["--config=experiments/digits.py:quick", "--config.num_epochs=2", "--workdir=run"]
    prior = "--config.prior=my_lab.heavy_tails(scale=0.2)"
    assert main(["vae-jax", "train", *flags, prior]) == 0
    assert main(["vae-jax", "evaluate", "--workdir=run", "--num_importance_samples=5"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("section", [name for name, text in EXTENDING.items() if commands(text)])
def test_a_part_of_ones_own_works(section):
    for words in commands(EXTENDING[section]):
        assert main(words) == 0


def test_files_of_ones_own_are_short():
    for path, code in files(PAGES["docs/extending.md"]).items():
        body = code.partition("\n\n\n")[2]
        assert len([line for line in body.splitlines() if line.strip()]) <= 16, path
        assert Path(path).stem in code
