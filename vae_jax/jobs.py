"""What a config makes, checked: the parts that runs of all seeds share."""

import inspect
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from numpyro.distributions import Distribution

from vae_jax import components, config, optimizers, training
from vae_jax.datasets import gather, require_shapes, require_valid, x_shape
from vae_jax.divergences import closed_form_kl, describe, require_nested_supports
from vae_jax.errors import UserError
from vae_jax.model import build_model
from vae_jax.streaming import fits
from vae_jax.types import Array, Dataset, Model, Objective, Params

logger = logging.getLogger(__name__)
INIT_BATCH = 1000


def make_dataset(cfg: ConfigDict) -> Dataset:
    """The data set a config names."""
    dataset = config.in_field("data", lambda: components.build("datasets", cfg.data)())
    return require_shapes(dataset)


def make_model(cfg: ConfigDict, dataset: Dataset) -> Model:
    """The model a config names, for the shape of its data."""
    names = ("encoder", "decoder", "posterior", "prior", "likelihood", "precision")
    return build_model(x_shape(dataset), cfg.latent_dim, **{name: cfg[name] for name in names})


def make_objective(cfg: ConfigDict, dataset: Dataset) -> Objective:
    """The objective a config names; told the training set's size where it asks for one."""
    objective = components.build("objectives", cfg.objective)
    if "num_examples" in inspect.signature(objective).parameters:
        return partial(objective, num_examples=len(dataset.splits["train"]))
    return objective


def steps_per_epoch(cfg: ConfigDict, dataset: Dataset) -> int:
    """Full batches in the training split.

    Raises:
        UserError: if there is none.
    """
    size = len(dataset.splits["train"])
    if cfg.batch_size > size:
        raise UserError(f"config.batch_size={cfg.batch_size} is larger than the {size} examples")
    return size // cfg.batch_size


def make_rule(cfg: ConfigDict, dataset: Dataset) -> training.Optimization:
    """The update rule a config names."""
    num_steps = cfg.num_epochs * steps_per_epoch(cfg, dataset)
    optimizer = optimizers.build(cfg.optimizer, num_steps)
    return training.optimization(optimizer, cfg.clip_norm, cfg.ema_decay)


def make_start(
    cfg: ConfigDict, dataset: Dataset, model: Model
) -> Callable[[training.Keys], training.State]:
    """A seed's keys -> its state before the first update; compiled once for all seeds."""
    rule = make_rule(cfg, dataset)
    raw = gather(dataset.splits["train"], slice(0, INIT_BATCH))

    @jax.jit
    def start(keys: training.Keys, raw: Any) -> training.State:
        ids = jnp.arange(len(raw))
        _, x = training.presented(dataset, training.example_keys(keys.start, ids), raw)
        return training.initial_state(model, rule, keys.model, x)

    return lambda keys: start(keys, raw)


class Job(NamedTuple):
    """What stays the same while the runs of a config train, whatever their seed."""

    cfg: ConfigDict
    dataset: Dataset
    model: Model
    objective: Objective
    start: Callable[[training.Keys], training.State]
    update: training.Update
    state: training.State  # shapes and types alone
    steps_per_epoch: int
    kl_form: str  # how KL(q(z|x) || p(z)) is had

    @property
    def num_steps(self) -> int:
        """Updates of a whole run."""
        return self.cfg.num_epochs * self.steps_per_epoch

    @property
    def eval_every(self) -> int:
        """Updates from one validation, and checkpoint, to the next."""
        return max(1, round(self.cfg.eval_every_epochs * self.steps_per_epoch))

    @property
    def num_parameters(self) -> int:
        """Numbers that training adjusts."""
        return training.num_parameters(self.state.params)


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


def make_job(cfg: ConfigDict, model: Model | None = None, loaded: Loaded | None = None) -> Job:
    """The parts that a resolved config names, checked against the data and each other.

    Raises:
        UserError: for parts that cannot work together, before anything is trained.
    """
    loaded = loaded or Loaded()
    dataset = loaded.dataset(cfg)
    model = make_model(cfg, dataset) if model is None else model
    loaded.require_valid(cfg, model)
    if cfg.seeds_at_once > 1 and not fits(dataset.splits["train"], cfg.max_device_bytes):
        message = "a training set that is streamed serves one seed at a time"
        raise UserError(f"config.seeds_at_once={cfg.seeds_at_once}: {message}")
    objective, start = make_objective(cfg, dataset), make_start(cfg, dataset, model)
    update = training.make_update(model, objective, make_rule(cfg, dataset), dataset)
    state = jax.eval_shape(start, training.keys_of(0))
    _require_memory(state)
    kl_form = _trace(cfg, dataset, model, update, state)
    steps = steps_per_epoch(cfg, dataset)
    return Job(cfg, dataset, model, objective, start, update, state, steps, kl_form)


def _require_memory(state: training.State) -> None:
    """Raises UserError for a state that this machine could not hold, before it is made."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > there:
        message = f"{training.num_parameters(state.params):,} parameters and the optimizer's state"
        raise UserError(f"{message} take {size / 1e9:,.0f} GB, and here are {there / 1e9:,.0f} GB")


def _trace(
    cfg: ConfigDict,
    dataset: Dataset,
    model: Model,
    update: training.Update,
    state: training.State,
) -> str:
    """Traces an update, so that what cannot work fails here; says how the KL can be had."""
    said, batch = [], min(2, cfg.batch_size)

    def trace(state: training.State, raw: Array) -> Any:
        with jax.ensure_compile_time_eval():  # so that the ends of a support are numbers
            x = jnp.zeros(x_shape(dataset))
            q, p = model.encode(state.params, x), model.prior(state.params)
            _require_latent(cfg, posterior=q, prior=p)
            require_nested_supports(q, p)
        form = "sampled, no closed form" if closed_form_kl(q, p) is None else "has a closed form"
        said.append(f"KL(q(z|x) || p(z)) of {describe(q)} and {describe(p)}: {form}")
        return update(state, training.example_keys(jax.random.key(0), jnp.arange(batch)), raw)

    _, metrics = jax.eval_shape(trace, state, gather(dataset.splits["train"], slice(0, batch)))
    if not {"log_likelihood", "kl"} <= metrics.keys():
        raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
    return said[0]


def _require_latent(cfg: ConfigDict, **distributions: Distribution) -> None:
    """Raises UserError for a distribution over z that is not over vectors of latent_dim numbers."""
    for role, distribution in distributions.items():
        if distribution.event_shape != (cfg.latent_dim,):
            wanted = f"({cfg.latent_dim},) is needed; independent numbers want .to_event(1)"
            found = distribution.event_shape
            raise UserError(f"config.{role}={cfg[role]}: its event_shape is {found}, {wanted}")


def _require_finite_kl(job: Job, params: Params, raw: Array) -> None:
    """Raises UserError where q(z|x) has tails so heavy that its KL to p(z) is infinite."""

    @jax.jit
    def kl(params: Params, raw: Array) -> Any:
        keys = training.example_keys(jax.random.key(0), jnp.arange(len(raw)))
        _, x = training.presented(job.dataset, keys, raw)
        return closed_form_kl(job.model.encode(params, x), job.model.prior(params))

    found = kl(params, raw[:1])
    if found is not None and bool(jnp.isposinf(found).any()):
        pair = job.kl_form.partition(":")[0]
        raise UserError(f"{pair} is infinite: q(z|x) has too heavy tails for this p(z)")


def _warn_of_levels(job: Job, raw: Array) -> None:
    """Says so where a likelihood counts with many more levels than the data has."""
    accepted = job.model.accepts
    most, there = getattr(accepted, "upper_bound", None), float(raw.max())
    if accepted.is_discrete and most is not None and there < most / 2:
        message = "the data's levels reach %g, the likelihood's %g: they should be the same"
        logger.warning(message, there, most)


def advise(job: Job, params: Params) -> None:
    """Says how the KL is had, and warns of data that p(x|z) gives no probability."""
    raw = jnp.asarray(gather(job.dataset.splits["train"], slice(0, INIT_BATCH)))

    @jax.jit
    def in_support(params: Params, raw: Any) -> Any:
        keys = training.example_keys(jax.random.key(0), jnp.arange(len(raw)))
        _, x = training.presented(job.dataset, keys, raw)
        z = jnp.zeros(job.model.prior(params).event_shape)
        return job.model.decode(params, z).support(x).all()

    logger.info("%s", job.kl_form)
    _require_finite_kl(job, params, raw)
    _warn_of_levels(job, raw)
    if not in_support(params, raw):
        logger.warning(
            "the data is not in the support of p(x|z), so the numbers are no log-likelihoods: "
            "binarize the data or choose another likelihood"
        )
