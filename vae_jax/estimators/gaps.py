from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, constraints

from vae_jax.divergences.layers import require_few_layers
from vae_jax.errors import UserError
from vae_jax.estimators import _families as families
from vae_jax.estimators._annealing import is_real, over_examples
from vae_jax.estimators._ascent import LEAST_STEPS, Ascent, Optimum
from vae_jax.estimators._best import FROM_BELOW, best_log_p, error_of_mean
from vae_jax.estimators._rows import decoded_rows
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

RICHER = {"full_normal": families.full_normal, "flow": families.flow}  # each holds those before it
NUMBERS_A_ROW = 200  # of a family, which take the memory of a decoded z
SURE = 3  # Monte Carlo errors
WORK = 2**21  # as `floats_per_example`: 16 examples are a batch, which is shown as done and kept
NO_LOG_P = "approximation_gap needs log p(x): ask for ais or importance besides"
Several = Annotated[int, constraints.integer_greater_than(2)]
Count = Annotated[int, constraints.positive_integer]


def gaps(
    *,
    num_samples: Several = 1000,
    richer: tuple[Literal["full_normal", "flow"], ...] = ("full_normal",),
    draws: Count = 5,
    learning_rate: Annotated[float, constraints.positive] = 1e-3,
    max_steps: Count = 20_000,
) -> Estimator:
    """log p(x) - ELBO in two: the approximation gap and the amortization gap (Cremer et al. 2018).

    q*(z) maximizes the ELBO of one x among all q that the posterior makes of any features, from
    those that the encoder gives x (arXiv:1801.03558, section 3). `amortization_gap`, L[q*] -
    L[q(z|x)], is lost by the encoder; `approximation_gap`, log p(x) - L[q*], by the family: it is
    reported if an estimator of log p(x) is there, the best one. Networks inside the posterior, of
    layers or of a flow, stay as they are. `richer` families follow, each from the optimum before:
    a normal of any covariance, and a flow on top of it.

    Adam takes steps by `draws` of z, at `learning_rate` and then at a tenth of it, until 1,000 of
    them bring nothing, or `max_steps`, which is said. ELBOs are of K = `num_samples` other draws,
    the same for all q.
    """
    asked: list[str] = [name for name in RICHER if name in richer]

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def one(key: Array, example: Batch) -> dict[str, Array]:
            key_optima, key_values = jax.random.split(key)
            ascent = Ascent(model, params, example, draws, learning_rate, max_steps)
            optima = _optima(asked, ascent, key_optima)
            qs = {"encoder": model.encode(params, example)} | {n: o.q for n, o in optima.items()}
            return _terms(_elbos(qs, ascent, key_values, num_samples)) | _ends(optima)

        dimensions = model.prior(params, *batch.conditions).event_shape[0]
        rows = draws + families.most_numbers(dimensions) // NUMBERS_A_ROW
        return over_examples(one, keys, batch, rows, decoded_rows(model, params))

    quantities = _quantities(asked, num_samples, max_steps)
    require, summary = partial(_require, asked), partial(_summary, asked, max_steps)
    return Estimator(of_examples, quantities, require, summary, _derive, max(num_samples, WORK))


def _quantities(asked: list[str], num_samples: int, max_steps: int) -> dict[str, Quantity]:
    higher = partial(Quantity, NATS, better="higher")
    how = f"{num_samples} draws, the same for all q"
    return {
        "elbo_encoder": higher(f"the ELBO of the encoder's q(z|x), {how}"),
        "elbo_optimal": higher(f"the ELBO of the best q of each x in the same family, {how}"),
        **{
            f"elbo_{name}": higher(f"the ELBO of the best {name} of each x, {how}")
            for name in asked
        },
        "amortization_gap": Quantity(NATS, "elbo_optimal - elbo_encoder, at least", "lower"),
        "approximation_gap": Quantity(NATS, "log p(x) - elbo_optimal", "lower"),
        "gaps_steps": Quantity("steps", f"of Adam, of all families, up to {max_steps} each"),
        "gaps_converged": Quantity("share", "of the examples, in all families", "higher"),
    }


def _require(asked: list[str], facts: Facts) -> None:
    families.require_family(facts.model)
    require_few_layers(facts, "gaps optimizes q of")
    if asked and not is_real(facts.prior.support):
        raise UserError(f"{asked[0]} is on all reals and this prior on a box: gaps(richer=())")


def _optima(asked: list[str], ascent: Ascent, key: Array) -> dict[str, Optimum]:
    """The best q in the encoder's family, and in each that was asked for, from the one before."""
    key, key_own = jax.random.split(key)
    family = families.own(ascent.model, ascent.params, ascent.example)
    optima = {"optimal": ascent.optimum(family, key_own)}
    q = optima["optimal"].q
    for name in asked:
        key, key_start, key_steps = jax.random.split(key, 3)
        optima[name] = ascent.optimum(RICHER[name](key_start, q), key_steps)
        q = optima[name].q
    return optima


def _elbos(
    qs: dict[str, Distribution], ascent: Ascent, key: Array, num_samples: int
) -> dict[str, Array]:
    """The ELBO of each q at single draws, nats `[num_samples]`, made of the same noise."""

    def at(k: Array) -> dict[str, Array]:
        noise = jax.random.fold_in(key, k)
        return {name: ascent.elbo(q, jax.random.clone(noise)) for name, q in qs.items()}

    return jax.lax.map(at, jnp.arange(num_samples), batch_size=ascent.draws)


def _terms(values: dict[str, Array]) -> dict[str, Array]:
    """Means over draws with their errors, of each ELBO and of the amortization gap."""
    named = {f"elbo_{name}": each for name, each in values.items()}
    named["amortization_gap"] = values["optimal"] - values["encoder"]
    errors = {f"{name}_error": each.std(ddof=1) / len(each) ** 0.5 for name, each in named.items()}
    return {name: each.mean() for name, each in named.items()} | errors


def _ends(optima: dict[str, Optimum]) -> dict[str, Array]:
    """The steps that were made, and which optimizations converged."""
    converged = {f"elbo_{name}_converged": o.converged for name, o in optima.items()}
    every = jnp.stack([*converged.values()]).all()
    steps = jnp.stack([o.steps for o in optima.values()]).sum()
    return {"gaps_steps": steps, "gaps_converged": every, **converged}


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The family's loss, example by example, where log p(x) is there."""
    if not (best := best_log_p(values)):
        return {}
    error = np.hypot(values.get(f"{best}_error", 0.0), values["elbo_optimal_error"])
    gap = values[best] - values["elbo_optimal"]
    return {"approximation_gap": gap, "approximation_gap_error": error}


def _summary(asked: list[str], max_steps: int, values: Values) -> dict[str, Number]:
    """The means with their draws' errors, and what speaks against them."""
    numbers, best = means(values), best_log_p(values)
    ends = ["elbo_optimal", *(f"elbo_{name}" for name in asked)]
    remarks = {name: _unfinished(name, max_steps, values) for name in ends}
    if best:
        remarks["approximation_gap"] = _too_low(best, ends, values)
        below = f": at least, {best} is from below" if best in FROM_BELOW else ""
        how = f"{best} - elbo_optimal, example by example{below}"
        numbers["approximation_gap"] = numbers["approximation_gap"]._replace(how=how)
    else:
        remarks["amortization_gap"] = NO_LOG_P
    for name in ["elbo_encoder", "amortization_gap", *remarks]:
        error = error_of_mean(values[f"{name}_error"])
        more: dict[str, Any] = {"monte_carlo_error": error, "remark": remarks.get(name, "")}
        numbers[name] = numbers[name]._replace(**more)
    return numbers


def _unfinished(name: str, max_steps: int, values: Values) -> str:
    """A remark on the examples for which the best q of a family was not reached."""
    if not (open_ends := 1 - values[f"{name}_converged"]).any():
        return ""
    shares = "amortization_gap too small, approximation_gap too large"
    told = f"of {open_ends.mean():.1%} of the examples q has not converged in {max_steps:,} steps"
    told += f" (it takes {LEAST_STEPS:,} at least)" if max_steps < LEAST_STEPS else ""
    return f"{told}: {name} is too low" + f", {shares}" * (name == "elbo_optimal")


def _too_low(best: str, ends: list[str], values: Values) -> str:
    """A remark on a log p(x) that lies below a bound on it."""
    for name in ends:
        above = float((values[name] - values[best]).mean())
        error = np.hypot(values.get(f"{best}_error", np.zeros(1)), values[f"{name}_error"])
        if above > SURE * (error_of_mean(error) or 0.0):
            return f"{name} is {above:.2g} nats above {best}, which is too low: ais comes closer"
    return ""
