"""Configs and environments as people read them."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vae_jax.errors import counted
from vae_jax.sweeps.compare import Comparison

MODEL = (
    "a VAE with prior {prior}, posterior {posterior}, likelihood {likelihood} and latent_dim "
    "{latent_dim}"
)


def sentence(text: str) -> str:
    """With a capital letter, unless it begins with a number's name, and a full stop."""
    first = text.partition(" ")[0]
    is_name = "_" in first or first in ("log", "elbo", "kl")
    begun = text if is_name else text[:1].upper() + text[1:]
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def run(cfg: ConfigDict) -> str:
    """A sentence on the parts and the data of a run."""
    model = MODEL.format(**cfg)
    return (
        f"{model[0].upper()}{model[1:]}; encoder {cfg.encoder}, decoder {cfg.decoder}; trained on "
        f"{cfg.data} for {counted(cfg.num_epochs, 'epoch')} by {cfg.objective} with "
        f"{cfg.optimizer}, seed {cfg.seed}."
    )


def sweep(comparison: Comparison, configs: Sequence[ConfigDict]) -> str:
    """A sentence on what the settings of a comparison share and what varies."""
    seeds = {run.seed for row in comparison.rows for run in row.runs}
    what = f"{counted(len(comparison.rows), 'setting')}, {counted(len(seeds), 'seed')}"
    if comparison.of_single_runs:
        what = counted(len(comparison.rows), "run")
    varied = [field.partition(".")[0] for field in comparison.fields]
    varied += [f for f in (configs or [{}])[0] if len({str(cfg[f]) for cfg in configs}) > 1]
    if not configs:
        return f"{what}; no run was begun."
    values = {f: "varying" if f in varied else v for f, v in configs[0].items()}
    model, data = MODEL.format(**values), values["data"]
    return f"{what} of {model}, trained by {values['objective']} on {data}."


def entries(values: Mapping[str, Any]) -> dict[str, str]:
    """The values of a config or an environment, in words by name."""
    return {name: _words(value) for name, value in values.items()}


def _words(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    match value:
        case [*words] if words and str(words[0]).endswith("vae-jax"):
            return shlex.join(["vae-jax", *words[1:]])
        case Mapping():
            return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
        case [*items]:
            return ", ".join(map(_words, items))
    return str(value)
