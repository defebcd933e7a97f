"""The place where a program runs: whether it has a home, folders that can be written, locks."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from vae_jax.errors import UserError


def expanded(path: str | Path) -> Path:
    """The path with `~` as the user's home; unchanged for a user who has none."""
    return Path(os.path.expanduser(path))


def named(path: str | Path) -> Path:
    """The path that somebody wrote, `~` and `~user` in it as a home.

    Raises:
        UserError: if there is no such home, since a folder named `~` is never meant; for letters
            that Python cannot read here, which libraries do not take; and for an address.
    """
    if "://" in str(path):
        raise UserError(f"{path}: a path on this machine is needed, not an address")
    full = expanded(path)
    try:
        str(full).encode()
    except UnicodeEncodeError as error:
        shown = str(full).encode(errors="replace").decode()
        raise UserError(f"{shown}: letters that cannot be read here; LC_ALL=C.UTF-8?") from error
    if str(full).startswith("~") and not os.path.lexists(full.parts[0]):
        raise UserError(f"{path}: there is no home {full.parts[0]} here, a full path is needed")
    return full


def refusal(folder: Path) -> str | None:
    """Why a folder cannot be written, or made; None if it can. Nothing is left there."""
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return None
    except OSError as error:
        return error.strerror


def lock_refusal(folder: Path) -> str | None:
    """Why the file system of a folder has no locks; None if it has.

    A new file is tried, which nobody else holds: of others some systems say EACCES to both.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.strerror
    return None


def is_watched() -> bool:
    """Whether stderr is a terminal; it may be closed, or an object that only takes texts."""
    return bool(getattr(sys.stderr, "isatty", bool)())


def moved(path: str, before: str | None, now: Path) -> str:
    """Where a path is that lies to a run's directory as it lay before that one was moved.

    Args:
        path: it is kept where it still exists.
        before: where the run's directory was; None, of an older version, is not known.
        now: where it is.
    """
    if before is None or os.path.exists(path):
        return path
    return os.path.normpath(now.resolve() / os.path.relpath(path, before))


_DATA_FOLDERS: list[Path] = []  # where relative paths of data are looked for, after the current one
_MOVES: list[tuple[str, Path]] = []  # directories of runs, before and now


def look_for_data_in(folders: Iterable[str], before: str | None = None, now: Path = Path()) -> None:
    """Lets relative paths of data be looked for in more folders, where they are not here.

    Absolute ones are looked for beside a run that was moved.

    Args:
        folders: where it was trained.
        before: where its own directory was then; None: not known.
        now: where that is.
    """
    new = [Path(folder) for folder in folders if os.path.isabs(folder)]
    _DATA_FOLDERS[:] = dict.fromkeys([*new, *_DATA_FOLDERS])
    if before is not None:
        _MOVES[:] = dict.fromkeys([(before, now), *_MOVES])


def data_file(path: str | Path) -> Path:
    """The path that somebody wrote, here or where a run that was read was trained."""
    here = named(path)
    places = [here, *(folder / here for folder in _DATA_FOLDERS)]
    if here.is_absolute():
        places += [Path(moved(str(here), before, now)) for before, now in _MOVES]
    return next((place for place in places if place.exists()), here)


def own_folders() -> list[str]:
    """The folders that modules are found in, but for those of Python and of what is installed."""
    installed = (sys.prefix, sys.base_prefix)
    with contextlib.suppress(FileNotFoundError):  # a working directory that was deleted
        paths = dict.fromkeys(os.path.abspath(path) for path in sys.path)
        return [p for p in paths if not p.startswith(installed) and "site-packages" not in p]
    return []


def look_in(folders: Iterable[str]) -> None:
    """Lets modules be found in more folders, after all others."""
    sys.path += [f for f in folders if f not in sys.path and os.path.isabs(f) and os.path.isdir(f)]
