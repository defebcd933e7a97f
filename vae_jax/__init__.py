"""Variational autoencoders in JAX: swappable parts, and bounds held against log p(x).

What is named here is imported when it is first used, so that the command line answers at once.
"""

import importlib
from typing import Any

_HOME = {
    "DivergedError": "errors",
    "Run": "runs",
    "RunsFailedError": "errors",
    "UserError": "errors",
    "build_model": "model",
    "default_config": "config",
    "elbo": "objectives.elbo",
    "evaluate": "evaluation",
    "fit": "fitting",
    "fit_seeds": "fitting",
    "iwae": "objectives.iwae",
    "load": "runs",
    "log_weights": "model",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vae_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vae_jax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
