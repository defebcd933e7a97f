"""One run: its parts made from a config, its directory, its checkpoints, and how to load it."""

from vae_jax.runs.run import Run, load, load_all

__all__ = ["Run", "load", "load_all"]
