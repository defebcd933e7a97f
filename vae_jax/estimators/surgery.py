import functools
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from numpyro.distributions import Distribution, constraints

from vae_jax.divergences.units import factors, marginals
from vae_jax.errors import UserError
from vae_jax.estimators._draws import require_one_prior
from vae_jax.estimators._two_samples import PERMUTATIONS, two_samples
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimate,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

AT_ONCE = 2**20  # densities of single dimensions that are held together
MOST_HELD = 2**27  # numbers of all draws, 1 GiB
COMPARED = 1000  # draws of q(z), and of p(z), in the test of two samples
PARTS = ("mean_kl", "mutual_information", "marginal_kl", "total_correlation", "dimension_kl")
NO_FACTORS = "surgery: no dimension_kl, since p(z) is no product over the dimensions of z"
NO_MARGINALS = (
    "surgery: no total_correlation and no dimension_kl, since q(z_j|x) of single dimensions "
    "is not known for such a posterior"
)


def surgery(*, num_samples: Annotated[int, constraints.integer_greater_than(2)] = 2) -> Estimator:
    """E KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), the ELBO's prior term in its parts.

    ELBO surgery (Hoffman & Johnson 2016): `mean_kl`, `mutual_information` and `marginal_kl`. Where
    the prior is a product over the dimensions of z, the last is `total_correlation`, KL(q(z) ||
    prod_j q(z_j)), and `dimension_kl`, sum_j KL(q(z_j) || p(z_j)) (Chen et al. 2018, eq. 2), whose
    terms of each example are the array `dimension_kl_by_unit`.

    q(z) is the mixture of the posteriors of the n examples that are evaluated, without weights of
    batches: n^2 K densities, K = `num_samples` draws of each. Of the q(z) of all x there are the
    information is below in expectation, at most log n, and both KLs to the prior are above. The
    standard error is over examples; the Monte Carlo error is that of the draws, given them.

    `mmd_prior` and `mmd_prior_p` hold one draw of q(z|x) of each of up to 1,000 examples against as
    many of p(z), by a kernel (Gretton et al. 2012), for the q(z) of all x there are.
    """
    how = f"{num_samples} draws of each example"
    quantities = _quantities(f"mean over {how}; q(z) of these examples")

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def draws(key: Array, one: Batch) -> tuple[Array, Array]:
            key_q, key_p = jax.random.split(key)
            z = model.encode(params, one).sample(key_q, (num_samples,))
            return z, model.prior(params, *one.conditions).sample(key_p)

        z, of_prior = jax.vmap(draws)(keys, batch)
        seen = {"x": batch.x, "given": batch.given, "observed": batch.observed}
        kept = {f"_surgery_{name}": array for name, array in seen.items() if array is not None}
        return {**kept, "_surgery_z": z, "_surgery_prior": of_prior}

    held = num_samples  # and x, which the data set holds too
    require = functools.partial(_require, num_samples)
    return Estimator(of_examples, quantities, require, _summary, _derive, held)


def _quantities(how: str) -> dict[str, Quantity]:
    below, above = "a lower bound for all x there are", "an upper bound for all x there are"
    kernel = f"one draw of q(z|x) an example, {COMPARED:,} at most, against as many of p(z)"
    return {
        "mean_kl": Quantity(NATS, f"E_q log q(z|x) - log p(z), {how}"),
        "mutual_information": Quantity(
            NATS, f"I_q(x; z), E_q log q(z|x) - log q(z), at most log n, {below}; {how}"
        ),
        "marginal_kl": Quantity(NATS, f"KL(q(z) || p(z)), E_q log q(z) - log p(z), {above}; {how}"),
        "total_correlation": Quantity(NATS, f"KL(q(z) || prod_j q(z_j)), {how}"),
        "dimension_kl": Quantity(NATS, f"sum_j KL(q(z_j) || p(z_j)), {above}; {how}"),
        "mmd_prior": Quantity("squared MMD", f"Gaussian kernel of the median distance, {kernel}"),
        "mmd_prior_p": Quantity(
            "probability", f"of such a squared MMD if q(z) = p(z), {PERMUTATIONS:,} permutations"
        ),
    }


def _require(num_samples: int, facts: Facts) -> None:
    if facts.posterior.batch_shape:
        raise UserError("surgery takes one q(z|x) an example")
    require_one_prior(facts, "surgery")
    count = len(facts.dataset.splits[facts.split]) if facts.dataset else 1
    size = count * num_samples * facts.posterior.event_shape[0]
    if size > MOST_HELD:
        draws = f"{num_samples} draws of {facts.posterior.event_shape[0]:,} numbers"
        raise UserError(f"surgery holds {draws} for {count:,} examples, more than 1 GiB")


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The terms of each example, `[n]`, and of each draw, `[n, K]`, an underscore before."""
    z = jnp.asarray(values["_surgery_z"].swapaxes(0, 1), jnp.float32)
    program = _program(facts.model.encode, facts.model.prior)
    draws = program(facts.params, _batch_of(values), z)
    named = {n: np.asarray(d, np.float64).swapaxes(0, 1) for n, d in draws.items()}
    by_unit = named.pop("dimension_kl_by_unit", None)
    arrays = {f"_{n}": d for n, d in named.items()} | {n: d.mean(1) for n, d in named.items()}
    return arrays if by_unit is None else arrays | {"dimension_kl_by_unit": by_unit.mean(1)}


def _batch_of(values: Values) -> Batch:
    """The examples, as `of_examples` kept them."""
    kept = {
        name: jnp.asarray(values[f"_surgery_{name}"], jnp.float32)
        for name in Batch._fields
        if f"_surgery_{name}" in values
    }
    observed = kept.pop("observed", None)
    return Batch(**kept, observed=None if observed is None else observed > 0)


@functools.lru_cache(maxsize=1)  # the runs of many seeds share one program
def _program(encode: Callable[..., Distribution], prior: Callable[..., Distribution]) -> Any:
    return jax.jit(lambda params, x, z: _terms(encode(params, x), prior(params), z))


def _summary(values: Values) -> dict[str, Number]:
    """The means with both errors, what log n hides, what cannot be, and the test of the prior."""
    numbers = means({name: values[name] for name in PARTS if name in values})
    numbers = {
        name: number._replace(
            monte_carlo_error=float(_stratified(jnp.asarray(values[f"_{name}"].T)).standard_error)
        )
        for name, number in numbers.items()
    }
    for name, remark in (
        ("mutual_information", _at_the_limit(numbers["mutual_information"])),
        ("marginal_kl", _left_out(numbers)),
    ):
        numbers[name] = numbers[name]._replace(remark=remark)
    return numbers | _against_prior(values["_surgery_z"][:, 0], values["_surgery_prior"])


def _at_the_limit(information: Number) -> str:
    """A line where n examples are too few to tell the information in z; else empty."""
    most = math.log(information.n)
    if information.mean < min(0.95 * most, most - 1):
        return ""
    told = f"mutual_information is near log n = {most:.2f}, the most of {information.n:,} examples"
    return f"{told}: more would raise it, and lower marginal_kl and with it total_correlation"


def _left_out(numbers: Mapping[str, Number]) -> str:
    if "total_correlation" not in numbers:
        return NO_MARGINALS
    return "" if "dimension_kl" in numbers else NO_FACTORS


def _against_prior(z: np.ndarray, of_prior: np.ndarray) -> dict[str, Number]:
    """The two-sample test, of rows from all over the split; none of fewer than two."""
    n = min(len(z), COMPARED)
    rows = np.linspace(0, len(z) - 1, n).astype(int)
    if n < 2:
        return {}
    test = two_samples(z[rows], of_prior[rows])
    error = math.sqrt(test.p * (1 - test.p) / PERMUTATIONS)
    return {
        "mmd_prior": Number(test.mmd, test.error, n),
        "mmd_prior_p": Number(test.p, None, n, monte_carlo_error=error),
    }


class Surgery(NamedTuple):
    """The prior matching term of N examples, and the parts whose sum it is, nats, `[]` each.

    `marginal_kl` = `total_correlation` + `dimension_kl`, where those are known: None unless q(z_j |
    x_n) is, and the latter None unless the prior is a product over dimensions.
    """

    mean_kl: Estimate  # 1/N sum_n KL(q(z | x_n) || p(z))
    mutual_information: Estimate  # I_q(x; z), at most log N
    marginal_kl: Estimate  # KL(q(z) || p(z))
    total_correlation: Estimate | None = None  # KL(q(z) || prod_j q(z_j))
    dimension_kl: Estimate | None = None  # sum_j KL(q(z_j) || p(z_j))


def kl_surgery(key: Array, q: Distribution, p: Distribution, num_samples: int = 10) -> Surgery:
    """1/N sum_n KL(q(z|x_n) || p(z)) = I_q(x; z) + KL(q(z) || p(z)) (Hoffman & Johnson 2016).

    q(z) = 1/N sum_n q(z | x_n) is the aggregated posterior of these N examples, without error;
    I_q(x; z) = 1/N sum_n KL(q(z|x_n) || q(z)) is how many nats z tells about its example.
    Each is a mean of differences of log q(z|x_n), log q(z) and log p(z) over K draws z of each
    q(z | x_n), N^2 K densities in all; the standard errors are those of the draws.

    Args:
        key: one key.
        q: q(z | x_n) of all examples, batch `[N]`, event `[latent_dim]`.
        p: p(z), event `[latent_dim]`.
        num_samples: K, draws of z per example.

    Raises:
        UserError: if q is not a batch along one axis, or K is below 2.
    """
    if len(q.batch_shape) != 1 or num_samples < 2:
        raise UserError(
            f"batch {q.batch_shape}, num_samples={num_samples}: "
            "surgery takes a batch [N] of posteriors, and at least 2 draws of each"
        )
    terms = _terms(q, p, q.sample(key, (num_samples,)))
    return Surgery(**{name: _stratified(terms[name]) for name in PARTS if name in terms})


def _terms(q: Distribution, p: Distribution, z: Array) -> dict[str, Array]:
    """The terms of `Surgery` at z `[K, N, d]`, `[K, N]` each, and `dimension_kl_by_unit`."""
    K, N, d = z.shape
    units, units_of_p = marginals(q), factors(p)

    def at_draw(now: tuple[Array, Array]) -> dict[str, Array]:
        z, n = now
        each, prior = q.log_prob(z), p.log_prob(z)
        average = logsumexp(each) - jnp.log(N)
        terms = {
            "mean_kl": each[n] - prior,
            "mutual_information": each[n] - average,
            "marginal_kl": average - prior,
        }
        if units is None:
            return terms
        by_unit = logsumexp(units.log_prob(z), 0) - jnp.log(N)
        terms["total_correlation"] = average - by_unit.sum()
        if units_of_p is None:
            return terms
        by_unit -= units_of_p.log_prob(z)
        return terms | {"dimension_kl": by_unit.sum(), "dimension_kl_by_unit": by_unit}

    draws = z.reshape(-1, d), jnp.tile(jnp.arange(N), K)
    terms = jax.lax.map(at_draw, draws, batch_size=max(1, AT_ONCE // (N * d)))
    return {name: values.reshape(K, N, *values.shape[1:]) for name, values in terms.items()}


def _stratified(values: Array) -> Estimate:
    """The mean of `[K, N]`, N strata with K draws each, and its standard error."""
    return Estimate(values.mean(), jnp.sqrt(values.var(0, ddof=1).mean() / values.size))
