"""A config's parts: data set, model, objective, update rule, all made once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.keys import Keys, example_keys
from vae_jax.batches.splits import gather, present, require_shapes, require_valid, x_shape
from vae_jax.config import components, optimizers
from vae_jax.errors import UserError
from vae_jax.model import build_model
from vae_jax.runs.state import Optimization, State, initial_state, optimization
from vae_jax.types import Dataset, Model, Objective

INIT_BATCH = 1000


def make_dataset(cfg: ConfigDict) -> Dataset:
    """The data set a config names."""
    dataset = config.in_field("data", lambda: components.build("datasets", cfg.data)())
    return require_shapes(dataset)


def make_model(cfg: ConfigDict, dataset: Dataset) -> Model:
    """The model a config names, for the shape of its data."""
    names = ("encoder", "decoder", "posterior", "prior", "likelihood", "precision")
    return build_model(x_shape(dataset), cfg.latent_dim, **{name: cfg[name] for name in names})


def make_objective(cfg: ConfigDict) -> Objective:
    """The objective a config names."""
    return components.build("objectives", cfg.objective)


def steps_per_epoch(cfg: ConfigDict, dataset: Dataset) -> int:
    """Full batches in the training split.

    Raises:
        UserError: if there is none.
    """
    size = len(dataset.splits["train"])
    if cfg.batch_size > size:
        raise UserError(f"config.batch_size={cfg.batch_size} is larger than the {size} examples")
    return size // cfg.batch_size


def make_rule(cfg: ConfigDict, dataset: Dataset) -> Optimization:
    """The update rule a config names."""
    num_steps = cfg.num_epochs * steps_per_epoch(cfg, dataset)
    optimizer = optimizers.build(cfg.optimizer, num_steps)
    return optimization(optimizer, cfg.clip_norm, cfg.ema_decay)


def make_start(cfg: ConfigDict, dataset: Dataset, model: Model) -> Callable[[Keys], State]:
    """A seed's keys -> its state before the first update; compiled once for all seeds."""
    rule = make_rule(cfg, dataset)
    raw = gather(dataset.splits["train"], slice(0, INIT_BATCH))

    @jax.jit
    def start(keys: Keys, raw: Any) -> State:
        ids = jnp.arange(len(raw))
        _, batch = present(dataset, example_keys(keys.start, ids), raw)
        return initial_state(model, rule, keys.model, batch)

    return lambda keys: start(keys, raw)


class Loaded:
    """Data sets, each read and checked once, however many configs name it."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._datasets: dict[str, Dataset] = {}
        self._checked: set[tuple[str, str]] = set()

    def dataset(self, cfg: ConfigDict) -> Dataset:
        """The data set that a config names."""
        if cfg.data not in self._datasets:
            self._datasets[cfg.data] = make_dataset(cfg)
        return self._datasets[cfg.data]

    def require_valid(self, cfg: ConfigDict, model: Model) -> None:
        """Raises UserError if the model cannot be evaluated on that data set."""
        pair = (cfg.data, repr(model.accepts))
        if pair not in self._checked:
            require_valid(self.dataset(cfg), model)
            self._checked.add(pair)
