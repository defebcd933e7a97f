"""KL(q || p): closed forms by the pair of types, entropies, what bounds it, and quadrature.

A pair is one file in `pairs/`, or anywhere else a function registered with NumPyro's dispatcher:

    @kl_divergence.register(HalfNormal, HalfNormal)
    def half_normals(q, p):
        return kl_divergence(Normal(0.0, q.scale), Normal(0.0, p.scale))

A function for elements suffices: the KL of two `Independent`s is its sum. It raises
NotImplementedError for parameters that have no closed form.
"""

import importlib
import pkgutil

from vae_jax.divergences import pairs
from vae_jax.divergences.closed_form import (
    closed_form_kl,
    closed_form_pairs,
    describe,
    kl_per_dimension,
    require_closed_form_kl,
)
from vae_jax.divergences.entropies import entropy
from vae_jax.divergences.quadrature import kl_by_quadrature
from vae_jax.divergences.supports import require_nested_supports

__all__ = [
    "closed_form_kl",
    "closed_form_pairs",
    "describe",
    "entropy",
    "kl_by_quadrature",
    "kl_per_dimension",
    "require_closed_form_kl",
    "require_nested_supports",
]

for _module in pkgutil.iter_modules(pairs.__path__):  # each registers its pair
    importlib.import_module(f"{pairs.__name__}.{_module.name}")
