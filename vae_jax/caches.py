"""Files kept between runs to save time: decoded images, compiled programs."""

import contextlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

from vae_jax.places import expanded, refusal

COMPILED_BYTES = 2**29
COMPILED_SECONDS = 0.0  # all are kept: a start has 30 small ones, a second to compile, 3 KB each

NOWHERE = Path(os.devnull, "vae_jax")


def cache_dir() -> Path:
    """The folder of these files: VAE_JAX_CACHE, or vae_jax in the user's cache folder.

    Of a user without a home that can be written it is among the temporary files, and where there
    are none either, it is one that cannot be made.
    """
    if given := _given("VAE_JAX_CACHE"):
        return given
    usual = _of_user("XDG_CACHE_HOME", "~/.cache") / "vae_jax"
    return usual if _can_be_used(usual) else _temporary() or NOWHERE


def _given(variable: str) -> Path | None:
    """The folder that a variable names; None without it, or for `~` where there is no home."""
    text = os.path.expanduser(os.environ.get(variable, ""))
    return None if not text or text.startswith("~") else Path(text)


def _of_user(variable: str, default: str) -> Path:
    return _given(variable) or expanded(default)


def _can_be_used(folder: Path) -> bool:
    return folder.is_absolute() and not refusal(folder)  # `~` is left where there is no home


def _temporary() -> Path | None:
    """A folder among the temporary files that is this user's alone, or None."""
    with contextlib.suppress(OSError):
        folder = Path(tempfile.gettempdir()) / f"vae_jax-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        others_write = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not others_write:
            return folder
    return None


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs on disk, so that the same one is compiled once ever.

    JAX_COMPILATION_CACHE_DIR names another folder; one that cannot be written is not used.
    """
    import jax

    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    theirs, ours = _given("JAX_COMPILATION_CACHE_DIR"), cache_dir() / "compiled"
    folder = theirs or ours
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not theirs:
            delete_least_used(ours, COMPILED_BYTES)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", COMPILED_SECONDS)


def delete_least_used(folder: Path, most_bytes: int) -> None:
    """Deletes the files that were not used for longest, so that at most so many bytes are left.

    JAX's own limit looks at all files whenever it adds one, under a lock.
    """
    states = {}
    for path in filter(Path.is_file, folder.iterdir()):
        with contextlib.suppress(OSError):  # another process has deleted it
            states[path] = path.stat()
    left = most_bytes
    for path in sorted(states, key=lambda p: -max(states[p].st_atime, states[p].st_mtime)):
        left -= states[path].st_size
        if left < 0:
            with contextlib.suppress(OSError):  # likewise
                path.unlink()


def give_matplotlib_a_folder() -> None:
    """Sets MPLCONFIGDIR where matplotlib cannot write its folders in the user's home.

    It would warn, and look through all fonts again in each process.
    """
    usual = (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache"))
    if not all(_can_be_used(_of_user(*names) / "matplotlib") for names in usual):
        os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))


def expand_variables() -> None:
    """Writes `~` out in the variables that name folders of libraries, which would make one `~`."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        if os.environ.get(name, "").startswith("~"):
            folder = _given(name)
            os.environ.pop(name) if folder is None else os.environ.update({name: str(folder)})
