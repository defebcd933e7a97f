"""Variational autoencoders in JAX: swappable parts, and bounds held against log p(x).

What is named here is imported when it is first used, so that the command line answers at once.
"""

import importlib
import importlib.metadata
from typing import Any

_HOME = {
    "DivergedError": "errors",
    "Run": "runs.run",
    "RunsFailedError": "errors",
    "UserError": "errors",
    "build_model": "model",
    "default_config": "config.fields",
    "elbo": "objectives.elbo",
    "evaluate": "evaluation.evaluate",
    "fit": "training.fit",
    "fit_seeds": "training.fit",
    "imputations": "evaluation.arrays.imputations",
    "iwae": "objectives.iwae",
    "latents": "evaluation.arrays.latents",
    "load": "runs.run",
    "log_p": "evaluation.arrays.log_p",
    "log_weights": "weights",
    "reconstructions": "evaluation.arrays.reconstructions",
    "samples": "evaluation.arrays.samples",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("vae-jax")
    if name not in _HOME:
        raise AttributeError(f"module 'vae_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vae_jax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
