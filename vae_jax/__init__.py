"""Variational autoencoders in JAX: swappable parts, and bounds held against log p(x)."""

from vae_jax.config import default_config
from vae_jax.errors import DivergedError, UserError
from vae_jax.evaluation import evaluate
from vae_jax.fitting import fit
from vae_jax.model import build_model, log_weights
from vae_jax.objectives.elbo import elbo
from vae_jax.objectives.iwae import iwae
from vae_jax.runs import Run, load

__all__ = [
    "DivergedError",
    "Run",
    "UserError",
    "build_model",
    "default_config",
    "elbo",
    "evaluate",
    "fit",
    "iwae",
    "load",
    "log_weights",
]
