"""The contracts: a VAE's parts as NamedTuples of pure functions, with leading batch axes.

Every function gets the whole `params` and reads its own branch: a prior may call the encoder.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.brought import Array, Dataset, Shape, as_it_is
from vae_jax.errors import UserError
from vae_jax.standard_errors import known_error

Params = dict[str, Any]
UNTRAINED = "untrained"  # a part keeps under this key, in its branch, what no optimizer may move


class Batch(NamedTuple):
    """Examples as a model sees them; None is an empty pytree, which costs nothing."""

    x: Array  # [..., *x_shape]
    given: Any = None  # what the model is conditioned on, [..., *given_shape]; None: nothing
    observed: Array | None = None  # [..., *x_shape], which elements of x were seen; None: all

    @property
    def conditions(self) -> tuple[Any, ...]:
        """`given` as an argument: `model.prior(params, *batch.conditions)`; empty for None."""
        return () if self.given is None else (self.given,)


Examples = Batch | Array | np.ndarray  # public functions take a plain x where that is all


def as_batch(examples: Examples) -> Batch:
    """The examples as a `Batch` of floats: a plain array, also one of NumPy's, is its x.

    x becomes 0 where it was not observed.
    """
    x: Any = examples.x if isinstance(examples, Batch) else examples
    if np.ma.is_masked(x):
        raise UserError("x has masked elements: a model takes all of them as observed")
    x = x if isinstance(x, Array) else np.asarray(x)
    if not any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise UserError(f"x is of dtype {x.dtype}: real numbers are needed")
    with np.errstate(over="ignore"):  # infinities are refused where x is looked at
        x = jnp.asarray(x if x.dtype in (np.float32, np.float64) else x.astype(float))
    if not isinstance(examples, Batch):
        return Batch(x)
    if examples.observed is None or np.shape(examples.observed) != x.shape:
        return examples._replace(x=x)
    observed = jnp.asarray(examples.observed, bool)
    return examples._replace(x=jnp.where(observed, x, 0), observed=observed)


class Context(NamedTuple):
    """The state of the training that calls an objective."""

    step: Array | int | None = None  # updates made before this one; None: after all schedules
    num_examples: int | None = None  # in the training set; None: as many as are in the batch


END = Context()  # training is over: evaluation's context


def _no_model(*_: Any) -> Any:
    raise UserError("a part called the model while there is none: call it inside `distribution`")


class Spec(NamedTuple):
    """The rest of the model as a part may know it; the first argument of its factory.

    `encode`, `decode`, `prior` are the finished model's: call them inside `distribution` alone.
    """

    x_shape: Shape
    latent_dim: int
    given_shape: Shape | None = None
    encode: Callable[[Params, Examples], Distribution] = _no_model
    decode: Callable[..., Distribution] = _no_model  # (params, z, given=None)
    prior: Callable[..., Distribution] = _no_model  # (params, given=None)
    layers: Shape | None = None  # their sizes; None: there is one
    noise: Callable[[Params], Array] | None = None  # the posterior's, where it diffuses

    @property
    def sizes(self) -> Shape:
        """The sizes of the layers of z, the top one first; of one layer `latent_dim`."""
        return self.layers or (self.latent_dim,)


class Network(NamedTuple):
    """A function with parameters, from `[..., *in_shape]` to `[..., *out_shape]`."""

    init: Callable[[Array], Params]  # (key) -> this network's branch of params
    apply: Callable[[Params, Float[Array, "*batch_and_in"]], Float[Array, "*batch_and_out"]]


def no_params(key: Array, batch: Batch) -> Params:
    """The `init` of a part that has no parameters of its own: an empty branch."""
    return {}


class Prior(NamedTuple):
    """p(z), or p(z | given)."""

    init: Callable[[Array, Batch], Params]  # (key, training examples) -> params["prior"]
    distribution: Callable[..., Distribution]  # (params, given=None) -> event [latent_dim]
    visible: int | None = None  # last numbers of z, which alone the decoder sees; None: all of z


class Posterior(NamedTuple):
    """q(z | x), made from the encoder's features of x; its draws are differentiable."""

    num_features: int  # asked of the encoder, per example
    init: Callable[[Array, Batch], Params]  # (key, training examples) -> params["posterior"]
    distribution: Callable[[Params, Float[Array, "*batch features"]], Distribution]
    layers: Shape | None = None  # the sizes of layers, where it decides them: no latent_dim is said
    noise: Callable[[Params], Array] | None = None  # -log SNR of its layers, where it diffuses x


class Likelihood(NamedTuple):
    """p(x | z), made from the decoder's features of z; with `support`, `mean` and `sample`."""

    num_features: int  # asked of the decoder, per data element
    init: Callable[[Array, Batch], Params]  # (key, training examples) -> params["likelihood"]
    distribution: Callable[[Params, Float[Array, "*batch_and_x features"]], Distribution]
    accepts: constraints.Constraint = constraints.real  # the data it can be evaluated on
    inputs: Callable[[Array], Array] = as_it_is  # x -> x in units that suit the encoder network
    # (params, features, a training batch) -> params["likelihood"], after every update
    refit: Callable[[Params, Array, Batch], Params] | None = None


class Model(NamedTuple):
    """The five parts wired together: four functions, and the data they can be evaluated on."""

    init: Callable[[Array, Examples], Params]  # (key, training examples) -> params
    encode: Callable[[Params, Examples], Distribution]  # q(z | x), event [latent_dim]
    decode: Callable[..., Distribution]  # (params, z [..., latent_dim], given=None) -> p(x | z)
    prior: Callable[..., Distribution]  # (params, given=None) -> p(z)
    accepts: constraints.Constraint = constraints.real
    # (params, keys [batch], batch) -> params with the likelihood's branch solved for
    refit: Callable[[Params, Array, Batch], Params] | None = None
    x_shape: Shape | None = None  # of one example; None: whatever the functions take
    visible: int | None = None  # last numbers of z, which `decode` takes alone too; None: all of z
    given_shape: Shape | None = None  # of a condition; None: the model takes none

    def __repr__(self) -> str:
        return f"Model(x_shape={self.x_shape}, accepts={type(self.accepts).__name__.strip('_')})"


def shaped(model: Model, x_shape: Shape) -> Batch:
    """An example by its shapes, with a condition where the model takes one."""
    x: Any = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    given = model.given_shape and jax.ShapeDtypeStruct(model.given_shape, jnp.float32)
    return Batch(x, given)


class Bound(NamedTuple):
    """The bound that an objective reports of a batch, and what is differentiated.

    `terms` has at least `log_likelihood` and `kl`, without the weights that training gives them.
    """

    value: Float[Array, "..."]  # the lower bound on log p(x) itself, nats per example
    surrogate: Float[Array, ""]  # what training maximizes
    terms: dict[str, Array]  # [...] each, nats per example


class Objective(Protocol):
    """A lower bound on log p(x) that can be maximized; options are keyword arguments.

    Args: a model and its parameters; one key, or one per example; a `Batch`, or x
    `[..., *x_shape]`; and where training is, by default at its end.
    """

    def __call__(
        self, model: Model, params: Params, key: Array, batch: Examples, context: Context = END
    ) -> Bound:
        """The bound and what training maximizes, nats."""


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error, nats."""

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]


class KLEstimator(Protocol):
    """A sampled estimate of KL(q || p) by one key and K draws of q; `biased` marks one that is."""

    def __call__(self, key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
        """KL(q || p) in nats, `[...]`; raises UserError where it cannot be estimated."""


def biased(estimator: KLEstimator) -> KLEstimator:
    """The estimator, marked: it may be differentiated, and is not reported, being no KL."""
    estimator.biased = True  # type: ignore[attr-defined]
    return estimator


def of_batches(estimator: KLEstimator) -> KLEstimator:
    """The estimator, marked: its draws for the examples of a batch belong together."""
    estimator.of_batches = True  # type: ignore[attr-defined]
    return estimator


def is_biased(estimator: KLEstimator | None) -> bool:
    """Whether an estimator is marked as `biased`."""
    return getattr(estimator, "biased", False)


NATS = "nats per example"


class Quantity(NamedTuple):
    """The description of an estimator's number, for tables, figures and comparisons."""

    unit: str
    how: str  # it is computed, with the numbers that decide its error
    better: Literal["higher", "lower"] | None = None
    label: str = ""  # in the figure of bounds, for estimates of log p(x) and bounds on it
    k: int | None = None  # draws in such a bound: those of one label are points of a curve
    of_levels: bool = False  # comparable between masses on levels and densities of them


class Number(NamedTuple):
    """A mean over examples."""

    mean: float
    standard_error: float | None  # over examples; None for a single one
    n: int  # examples
    monte_carlo_error: float | None = None  # of the mean, from the draws for these examples
    remark: str = ""  # a doubt about it, in a line
    how: str = ""  # it was computed, where the values decide; empty: as its quantity says


Values = Mapping[str, np.ndarray]  # {name: [n, ...]}, float64


def means(values: Values) -> dict[str, Number]:
    """The mean and the standard error, std / sqrt(n), of every array `[n]`; others have none."""
    arrays = {name: array for name, array in values.items() if array.ndim == 1}
    return {n: Number(float(a.mean()), known_error(a), len(a)) for n, a in arrays.items()}


class Facts(NamedTuple):
    """The facts of a model that are known before anything is computed."""

    model: Model
    params: Params  # arrays, or before training their shapes alone
    x_shape: Shape
    posterior: Distribution  # q(z | x) of one example, with shapes in place of arrays
    prior: Distribution  # p(z), likewise
    likelihood: Distribution  # p(x | z) of one z, likewise
    has_closed_form: bool  # KL(q(z | x) || p(z))
    dataset: Dataset | None = None  # that is evaluated; None: only arrays are there
    split: str = ""  # of it
    is_own: bool = True  # the data set that the model was trained on

    @property
    def are_known(self) -> bool:
        """Whether the parameters are arrays."""
        return all(isinstance(leaf, Array | np.ndarray) for leaf in jax.tree.leaves(self.params))

    @property
    def example(self) -> Batch:
        """One example by its shapes, with a condition where the model takes one."""
        return shaped(self.model, self.x_shape)


class Estimator(NamedTuple):
    """An estimator of log p(x), of a gap, of what the latents do: evaluation computes a list.

    Every array is kept for each example, except those whose names begin with an underscore.
    `summary` gets all, and makes numbers of any of them; those with a `Quantity` are reported.
    """

    # (model, params, keys [batch], batch) -> {name: [batch, ...]}, compiled
    of_examples: Callable[[Model, Params, Array, Batch], dict[str, Array]]
    quantities: Mapping[str, Quantity]
    require: Callable[[Facts], None] = lambda facts: None  # raises UserError, before anything runs
    summary: Callable[[Values], dict[str, Number]] = means
    # (facts, all values, with what earlier estimators derived) -> values made of them, on the host
    derive: Callable[[Facts, Values], dict[str, np.ndarray]] = lambda facts, values: {}
    floats_per_example: int = 1  # held at a time, which limits the examples of a batch
