"""One run: what a config makes, its directory, its checkpoints, and how it is read back."""

from vae_jax.runs.run import Run, load, load_all

__all__ = ["Run", "load", "load_all"]
