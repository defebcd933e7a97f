"""What a config makes, checked: the parts that runs of all seeds share."""

import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vae_jax import runs, training
from vae_jax.datasets import gather, require_valid, x_shape
from vae_jax.divergences import closed_form_kl, describe
from vae_jax.errors import UserError
from vae_jax.types import Dataset, Model, Objective, Params

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """What stays the same while the runs of a config train, whatever their seed."""

    cfg: ConfigDict
    dataset: Dataset
    model: Model
    objective: Objective
    steps_per_epoch: int
    kl_form: str  # how KL(q(z|x) || p(z)) is had
    num_parameters: int  # that training adjusts

    @property
    def num_steps(self) -> int:
        """Updates of a whole run."""
        return self.cfg.num_epochs * self.steps_per_epoch

    @property
    def eval_every(self) -> int:
        """Updates from one validation, and checkpoint, to the next."""
        return max(1, round(self.cfg.eval_every_epochs * self.steps_per_epoch))


class Loaded:
    """Data sets, each read and checked once, however many configs name it."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._datasets: dict[str, Dataset] = {}
        self._checked: set[tuple[str, str]] = set()

    def dataset(self, cfg: ConfigDict) -> Dataset:
        """The data set that a config names."""
        if cfg.data not in self._datasets:
            self._datasets[cfg.data] = runs.make_dataset(cfg)
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
    model = runs.make_model(cfg, dataset) if model is None else model
    loaded.require_valid(cfg, model)
    objective, steps = runs.make_objective(cfg), runs.steps_per_epoch(cfg, dataset)
    start = runs.make_start(cfg, dataset, model)
    params = jax.eval_shape(start, training.keys_of(0)).params
    kl_form = _trace(model, objective, params, x_shape(dataset))
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
    return Job(cfg, dataset, model, objective, steps, kl_form, count)


def _trace(model: Model, objective: Objective, params: Params, shape: tuple[int, ...]) -> str:
    """Traces the objective, so that what cannot work fails here; says how the KL is had."""
    said = []

    def trace(params: Params, key: Any) -> Any:
        x = jnp.zeros((2, *shape))
        q, p = model.encode(params, x), model.prior(params)
        form = "no closed form: sampled" if closed_form_kl(q, p) is None else "in closed form"
        said.append(f"KL(q(z|x) || p(z)) of {describe(q)} and {describe(p)}: {form}")
        return objective(model, params, jax.random.split(key), x, 0)

    bound = jax.eval_shape(trace, params, jax.random.key(0))
    if not {"log_likelihood", "kl"} <= bound.terms.keys():
        raise UserError("an objective's terms must have 'log_likelihood' and 'kl'")
    return said[0]


def advise(job: Job, params: Params) -> None:
    """Says how the KL is had, and warns of data that p(x|z) gives no probability."""
    raw = jnp.asarray(gather(job.dataset.splits["train"], slice(0, runs.INIT_BATCH)))

    @jax.jit
    def in_support(params: Params, raw: Any) -> Any:
        keys = training.example_keys(jax.random.key(0), jnp.arange(len(raw)))
        _, x = training.presented(job.dataset, keys, raw)
        z = jnp.zeros(job.model.prior(params).event_shape)
        return job.model.decode(params, z).support(x).all()

    logger.info("%s", job.kl_form)
    if not in_support(params, raw):
        logger.warning(
            "the data is not in the support of p(x|z), so the numbers are no log-likelihoods: "
            "binarize the data or choose another likelihood"
        )
