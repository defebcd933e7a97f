"""Files kept between runs to save time: decoded images, compiled programs."""

import os
from pathlib import Path

COMPILED_BYTES = 2 * 2**30
COMPILED_SECONDS = 0.3  # programs that compile faster are not worth a file


def cache_dir() -> Path:
    """The folder of these files: VAE_JAX_CACHE, or vae_jax in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("VAE_JAX_CACHE") or base / "vae_jax")


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs on disk, so that the same one is compiled once ever.

    JAX_COMPILATION_CACHE_DIR names another folder; one that cannot be written is not used.
    """
    import jax

    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or cache_dir() / "compiled")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", COMPILED_BYTES)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", COMPILED_SECONDS)
