"""A config's parts: data set, model, objective, update rule, all made once."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.conditions import Given, conditioned
from vae_jax.batches.keys import Keys, example_keys
from vae_jax.batches.records import Record, moments, record_of
from vae_jax.batches.rows import gather, rows_of
from vae_jax.batches.splits import present, require_shapes, require_valid, x_of, x_shape
from vae_jax.config import components, optimizers
from vae_jax.errors import UserError
from vae_jax.model import build_model
from vae_jax.runs.state import Optimization, State, initial_state, optimization
from vae_jax.types import Dataset, Model, Objective, Shape

INIT_BATCH = 1000
Records = dict[str, tuple[Any, Record]]  # name and condition -> split, and its record
OF_MODEL = ("encoder", "decoder", "posterior", "prior", "likelihood", "precision")
SHOWN = ("data", *OF_MODEL[:-1], "latent_dim", "objective")


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """The functions and data that a config names, whatever the seed; equal only to themselves."""

    cfg: ConfigDict
    dataset: Dataset
    x_shape: Shape
    model: Model
    objective: Objective
    rule: Optimization
    steps_per_epoch: int
    records: Records = field(default_factory=dict)  # of the data set, as far as they are known

    def record(self, split: str) -> Record:
        """The identity of a split of the data set, which is read once for that."""
        stored = rows_of(self.dataset, split)
        key = f"{split} given {self.cfg.given}"
        if key not in self.records or self.records[key][0] is not self.dataset.splits[split]:
            self.records[key] = self.dataset.splits[split], record_of(stored)
        return self.records[key][1]

    def moments(self, split: str) -> dict[str, float]:
        """The moments of x by which other ways to make it are told from this one."""
        return moments(self._x_of, self.dataset.splits[split])

    @functools.cached_property
    def _x_of(self) -> Callable[..., Any]:
        return jax.jit(lambda keys, raw: x_of(self.dataset, keys, raw)[0])

    def __repr__(self) -> str:
        return f"Parts({self.in_words})"

    @property
    def in_words(self) -> str:
        """The names of the parts, without their arguments, and the sizes."""
        names = {name: str(self.cfg[name]).partition("(")[0] for name in SHOWN}
        return ", ".join(f"{name}={text}" for name, text in names.items())

    @property
    def num_steps(self) -> int:
        """Updates of a whole run."""
        return self.cfg.num_epochs * self.steps_per_epoch

    @functools.cached_property
    def programs(self) -> dict[Any, Callable[..., Any]]:
        """The compiled programs of these parts, for as long as the parts are there."""
        return {}

    @functools.cached_property
    def start(self) -> Callable[[Keys], State]:
        """The function from a seed's keys to its state before the first update, compiled once."""
        raw = gather(rows_of(self.dataset, "train"), slice(0, INIT_BATCH))

        @jax.jit
        def start(keys: Keys, raw: Any) -> State:
            ids = jnp.arange(len(raw))
            _, batch = present(self.dataset, example_keys(keys.start, ids), raw)
            return initial_state(self.model, self.rule, keys.model, batch)

        return lambda keys: start(keys, raw)


def make_parts(
    cfg: ConfigDict,
    *,
    model: Model | None = None,
    dataset: Dataset | None = None,
    records: Records | None = None,
) -> Parts:
    """The parts that a resolved config names, each built once.

    Args:
        cfg: the config.
        model: in place of the one that the config names.
        dataset: likewise.
        records: of the data set, for others to share.

    Raises:
        UserError: for parts that cannot be built.
    """
    dataset = make_dataset(cfg) if dataset is None else dataset
    shape, steps = x_shape(dataset), _steps_per_epoch(cfg, dataset)
    if model is None:
        model = _build(cfg, shape, dataset)
    objective = components.build("objectives", cfg.objective)
    length = cfg.num_epochs * steps
    optimizer = config.in_field("optimizer", optimizers.build, cfg.optimizer, length)
    rule = optimization(optimizer, cfg.clip_norm, cfg.ema_decay)
    records = {} if records is None else records
    return Parts(cfg, dataset, shape, model, objective, rule, steps, records)


def _build(cfg: ConfigDict, shape: Shape, dataset: Dataset) -> Model:
    """The model that a config names, for data with such conditions and missing values."""
    given, coding = Given.read(cfg.given), dataset.coding
    return build_model(
        shape,
        cfg.latent_dim,
        **{name: cfg[name] for name in OF_MODEL},
        given_shape=(coding.size,) if coding else None,
        embedding=given.embedding if given else 0,
        missing=dataset.missing,
    )


def make_dataset(cfg: ConfigDict) -> Dataset:
    """The data set that a config names, with what it is conditioned on."""
    dataset = config.in_field("data", lambda: components.build("datasets", cfg.data)())
    if "train" not in dataset.splits:
        there = f"{', '.join(dataset.splits) or 'nothing'} alone: a train split is needed"
        raise UserError(f"config.data: {cfg.data.partition('(')[0]} holds {there}")
    return config.in_field("given", conditioned, require_shapes(dataset), cfg.given)


def _steps_per_epoch(cfg: ConfigDict, dataset: Dataset) -> int:
    """Full batches in the training split; raises UserError for a batch that is larger."""
    size = len(dataset.splits["train"])
    if cfg.batch_size > size:
        raise UserError(f"config.batch_size={cfg.batch_size} is larger than the {size} examples")
    return size // cfg.batch_size


class Datasets:
    """Data sets, each read, checked and identified once, however many configs name it."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._known: dict[tuple[str, str], tuple[Dataset, Records]] = {}
        self._checked: set[tuple[str, str]] = set()

    def make_parts(self, cfg: ConfigDict, model: Model | None = None) -> Parts:
        """The parts that a config names; those of one data set share it."""
        name = cfg.data, cfg.given
        if name not in self._known:
            self._known[name] = make_dataset(cfg), {}
        dataset, records = self._known[name]
        return make_parts(cfg, model=model, dataset=dataset, records=records)

    def require_valid(self, parts: Parts) -> None:
        """Raises UserError if the model cannot be evaluated on its data set."""
        pair = (parts.cfg.data, repr(parts.model.accepts))
        if pair not in self._checked:
            require_valid(parts.dataset, parts.model)
            self._checked.add(pair)
