import functools
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from numpyro.distributions import Distribution, constraints

from vae_jax.errors import UserError
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

AT_ONCE = 2**22  # densities times latent dimensions that are held together


def surgery(*, num_samples: Annotated[int, constraints.integer_greater_than(2)] = 2) -> Estimator:
    """E KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), the ELBO's prior term in two parts.

    ELBO surgery (Hoffman & Johnson 2016): `mean_kl`, `mutual_information`, which log n bounds, and
    `marginal_kl`. q(z) is the mixture of the posteriors of the n examples that are evaluated, so
    that this takes n^2 K densities, K = `num_samples` draws of each. The standard error is over
    examples, given q(z); the Monte Carlo error is that of the draws.
    """
    how = f"mean over {num_samples} draws of each example; q(z) of these examples"
    quantities = {
        "mean_kl": Quantity(NATS, f"E_q log q(z|x) - log p(z), {how}"),
        "mutual_information": Quantity(NATS, f"I_q(x; z), E_q log q(z|x) - log q(z), {how}"),
        "marginal_kl": Quantity(NATS, f"KL(q(z) || p(z)), E_q log q(z) - log p(z), {how}"),
    }

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        def draws(key: Array, one: Batch) -> Array:
            return model.encode(params, one).sample(key, (num_samples,))

        return {"_x": batch.x, "_z": jax.vmap(draws)(keys, batch)}

    held = num_samples  # and x, which the data set holds too
    return Estimator(of_examples, quantities, _require, _summary, _derive, held)


def _require(facts: Facts) -> None:
    if facts.posterior.batch_shape:
        raise UserError("surgery takes one q(z|x) an example")


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """The three terms of each example, `[n]`, and of each draw, `[n, K]`, an underscore before."""
    z = jnp.asarray(values["_z"].swapaxes(0, 1), jnp.float32)

    program = _program(facts.model.encode, facts.model.prior)
    draws = program(facts.params, jnp.asarray(values["_x"], jnp.float32), z)
    named = {n: np.asarray(d, np.float64).T for n, d in zip(Surgery._fields, draws, strict=True)}
    return {f"_{n}": d for n, d in named.items()} | {n: d.mean(1) for n, d in named.items()}


@functools.lru_cache(maxsize=1)  # the runs of many seeds share one program
def _program(encode: Callable[..., Distribution], prior: Callable[..., Distribution]) -> Any:
    return jax.jit(lambda params, x, z: _terms(encode(params, x), prior(params), z))


def _summary(values: Values) -> dict[str, Number]:
    numbers = means({name: array for name, array in values.items() if f"_{name}" in values})
    return {
        name: number._replace(
            monte_carlo_error=float(_stratified(jnp.asarray(values[f"_{name}"].T)).standard_error)
        )
        for name, number in numbers.items()
    }


class Surgery(NamedTuple):
    """The prior matching term of N examples, and the two parts whose sum it is, nats, `[]` each."""

    mean_kl: Estimate  # 1/N sum_n KL(q(z | x_n) || p(z))
    mutual_information: Estimate  # I_q(x; z), at most log N
    marginal_kl: Estimate  # KL(q(z) || p(z))


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

    return Surgery(*map(_stratified, _terms(q, p, q.sample(key, (num_samples,)))))


def _terms(q: Distribution, p: Distribution, z: Array) -> tuple[Array, Array, Array]:
    """log q(z|x) - log p(z), log q(z|x) - log q(z), log q(z) - log p(z) at z `[K, N, d]`."""
    N, d = z.shape[1:]

    def log_aggregated(z: Array) -> Array:
        return logsumexp(q.log_prob(z)) - jnp.log(N)

    size = max(1, AT_ONCE // (N * d))
    average = jax.lax.map(log_aggregated, z.reshape(-1, d), batch_size=size).reshape(-1, N)
    each, prior = q.log_prob(z), p.log_prob(z)
    return each - prior, each - average, average - prior


def _stratified(values: Array) -> Estimate:
    """The mean of `[K, N]`, N strata with K draws each, and its standard error."""
    return Estimate(values.mean(), jnp.sqrt(values.var(0, ddof=1).mean() / values.size))
