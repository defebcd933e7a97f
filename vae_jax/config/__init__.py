"""Experiments as configs: strings to functions, defaults, checks, identity."""

from vae_jax.config.fields import (
    FAMILY_OF,
    NOT_IDENTITY,
    default_config,
    described,
    differences,
    identity,
    in_field,
    is_quick,
    listed,
    of_seed,
    override,
    override_all,
    read,
    resolve,
    seeds,
    sizes,
    stored,
)
from vae_jax.config.meshes import mesh_sizes

__all__ = [
    "FAMILY_OF",
    "NOT_IDENTITY",
    "default_config",
    "described",
    "differences",
    "identity",
    "in_field",
    "is_quick",
    "listed",
    "mesh_sizes",
    "of_seed",
    "override",
    "override_all",
    "read",
    "resolve",
    "seeds",
    "sizes",
    "stored",
]
