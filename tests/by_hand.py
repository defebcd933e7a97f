"""Runs made of a model and data that no config names."""

from dataclasses import replace

from vae_jax import default_config
from vae_jax.runs import Run
from vae_jax.runs.parts import make_parts


def run_of(model, dataset, params, step=0, **fields):
    """A run of these; `fields` are of its config."""
    config = default_config()
    config.update({"batch_size": 1} | fields)
    return Run(make_parts(config, model=model, dataset=dataset), params, step)


def with_parts(run, **changes):
    """The run with another model or data set."""
    return run._replace(parts=replace(run.parts, **changes))
