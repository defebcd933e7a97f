"""Experiment files: Python with a function `get_config`, and perhaps `sweep`."""

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ml_collections import ConfigDict

from vae_jax.errors import UserError, one_line

Result = TypeVar("Result")


def load_experiment(path: Path) -> ModuleType:
    """The module that an experiment file defines; it may import its neighbours.

    Raises:
        UserError: if it cannot be run, naming the line.
    """
    folder = str(path.resolve().parent)
    if sys.path[0] != folder:  # first, as that of a script: its neighbours are meant
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("_experiment", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules[spec.name] = module  # as dataclasses want it
    _run(path, lambda: loader.exec_module(module))
    return module


def _run(path: Path, function: Callable[[], Result]) -> Result:
    """The result of a user's code, whose errors name its line."""
    try:
        return function()
    except UserError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).resolve() == path.resolve()]
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
        where = line or (lines[-1] if lines else 0)
        raise UserError(f"{path}, line {where}: {one_line(error)}") from error


def parted(text: str) -> tuple[Path, str]:
    """`FILE.py:ARGUMENT` -> its file and its argument, which may be empty."""
    file, suffix, argument = text.partition(".py:")
    return (Path(text), "") if Path(text).is_file() else (Path(file + suffix[:3]), argument)


def read_experiment(text: str) -> ConfigDict:
    """The config of `FILE.py`, or of `FILE.py:ARGUMENT`.

    Raises:
        UserError: if the file has no `get_config`, or that takes no argument or makes no config.
    """
    path, argument = parted(text)
    make: Any = getattr(load_experiment(path), "get_config", None)
    if not callable(make):
        raise UserError(f"{path} defines no function get_config, which returns the config")
    config = _run(path, lambda: make(argument) if argument else make())
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"{path}: get_config returns a {kind}, where a ConfigDict is needed")
    return config


def listed_overrides(text: str) -> list[dict[str, Any]]:
    """The overrides that the function `sweep` of an experiment file lists; none without it.

    Raises:
        UserError: if that is no list of dicts.
    """
    path, _ = parted(text)
    list_them: Any = getattr(load_experiment(path), "sweep", list)
    overrides = _run(path, list_them)
    if not isinstance(overrides, list) or not all(isinstance(o, dict) for o in overrides):
        raise UserError(f"{path}: sweep() returns a list of dicts, config field -> value")
    return overrides
