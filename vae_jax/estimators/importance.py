from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float
from numpyro.distributions import constraints

from vae_jax.divergences import closed_form_kl
from vae_jax.divergences.layers import require_few_layers
from vae_jax.errors import UserError
from vae_jax.estimators._best import best_log_p, error_of_mean
from vae_jax.estimators._pareto import FEWEST, pareto_k
from vae_jax.estimators._rows import decoded_rows
from vae_jax.estimators.closed_form_kl import KL
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Examples,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)
from vae_jax.weights import LogWeights, checked_examples, log_likelihood, log_weights

LARGEST = 2**25  # draws of one example: its log weights and their sums take about 1 GiB
IWAE_SAMPLES = (1, 5, 50, 500)
FEW = 10  # draws
HEAVIEST = 0.7  # Pareto k, and less where 10^(1 / (1 - k)) draws are more than there are
SHAPE = (
    "of the largest weights' generalized Pareto, which has 1 / k moments; "
    "over 0.7, or less where K is small, is too heavy"
)
GAP = "the bound's gap, {} - elbo, example by example"
Count = Annotated[int, constraints.integer_interval(1, LARGEST)]


def importance(
    *,
    num_samples: Count = 5000,
    iwae_samples: tuple[Count, ...] | None = None,
    defensive: Annotated[float, constraints.interval(0.0, 0.9)] = 0.0,
) -> Estimator:
    """log p(x) by K importance samples from q(z|x), and the bounds by the same draws.

    log p^(x) = log 1/K sum_k w_k, w_k = p(x, z_k) / q(z_k | x) (Burda et al. 2016; Rezende et al.
    2014, appendix E), in expectation a lower bound that tightens with K = `num_samples`; and the
    ELBO with its terms, the KL in closed form where there is one, the IWAE bounds of the k in
    `iwae_samples`, by default those of 1, 5, 50 and 500 up to K, and the effective sample size.

    The share `defensive` of the K draws is of the prior, w_k = p(x, z_k) / r(z_k) for all of them,
    r = (1 - defensive) q(z|x) + defensive p(z), which bounds w by p(x|z) / defensive where q(z|x)
    is too narrow (Hesterberg 1995; Owen & Zhou 2000). The bounds keep to the draws of q(z|x).
    """
    of_q = _of_q(num_samples, defensive)
    usual = tuple(k for k in IWAE_SAMPLES if k <= of_q)
    ks = usual if iwae_samples is None else tuple(sorted(set(iwae_samples)))
    _require(num_samples, ks, defensive)

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        options: dict[str, Any] = {"num_samples": num_samples, "iwae_samples": ks}
        options |= {"defensive": defensive}
        rows = decoded_rows(model, params)
        values = importance_sampling(model, params, keys, batch, rows=rows, **options)
        kl = closed_form_kl(model.encode(params, batch), model.prior(params, *batch.conditions))
        return values if kl is None else values | {"kl": kl}

    quantities = _quantities(num_samples, ks, of_q)
    summary = partial(_summary, num_samples=num_samples)
    require = partial(require_few_layers, taker="importance sampling takes")
    return Estimator(of_examples, quantities, require, summary, _derive, num_samples)


def _of_q(num_samples: int, defensive: float) -> int:
    """How many of the draws are of q(z|x); the others are of the prior."""
    return num_samples - round(defensive * num_samples)


def _quantities(num_samples: int, ks: tuple[int, ...], of_q: int) -> dict[str, Quantity]:
    K, higher = num_samples, partial(Quantity, NATS, better="higher")
    groups, source = "mean over the groups of {} draws", "q(z|x)"
    if of_q < K:
        source += f" and, {K - of_q} draws of them, the prior"
    return {
        "elbo": higher("log_likelihood - kl, the KL in closed form where there is one"),
        "log_likelihood": higher(f"E_q log p(x|z), mean over {of_q} draws"),
        "kl": KL,
        "kl_sampled": Quantity(NATS, f"E_q log q(z|x) - log p(z), mean over {of_q} draws"),
        "kl_sampled_minus_kl": Quantity(NATS, "difference of the two, example by example"),
        **{
            f"iwae_{k}": higher(
                f"IWAE bound with k = {k}, {groups.format(of_q // k * k)}", label="IWAE", k=k
            )
            for k in ks
        },
        "log_p": higher(
            f"importance sampling from {source}, K = {K}", label="log p(x), importance sampling"
        ),
        "log_p_minus_elbo": Quantity(NATS, GAP.format("log_p")),
        "effective_sample_size": Quantity(
            "draws", f"(sum w)^2 / sum w^2 of {K} importance weights"
        ),
        **({"pareto_k": Quantity("shape", SHAPE)} if num_samples >= FEWEST else {}),
    }


def _derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
    """Differences example by example, so that they are paired."""
    kl = values.get("kl", values["kl_sampled"])
    elbo = values["log_likelihood"] - kl
    both = {"kl_sampled_minus_kl": values["kl_sampled"] - kl} if "kl" in values else {}
    return {"elbo": elbo, **both, "log_p_minus_elbo": values[best_log_p(values)] - elbo}


def _summary(values: Values, *, num_samples: int) -> dict[str, Number]:
    """Means; that of log p(x) with its draws' error, and a remark where they are too few."""
    numbers, errors = means(values), values["log_p_error"]
    monte_carlo = error_of_mean(errors)
    remark = _doubt(values, num_samples)
    log_p = numbers["log_p"]._replace(monte_carlo_error=monte_carlo, remark=remark)
    gap = numbers["log_p_minus_elbo"]._replace(how=GAP.format(best_log_p(values)))
    return numbers | {"log_p": log_p, "log_p_minus_elbo": gap}


def _doubt(values: Values, num_samples: int) -> str:
    """A remark on the examples whose weights are too few, or too uneven, for their number."""
    if num_samples < FEWEST:
        return ""
    most = min(HEAVIEST, 1 - 1 / np.log10(num_samples))
    few, heavy = values["effective_sample_size"] < FEW, values["pareto_k"] > most
    reasons = [
        (few.mean(), f"fewer than {FEW} of {num_samples} draws make log_p"),
        (heavy.mean(), f"the weights' tail is too heavy, Pareto k over {most:.2f}"),
    ]
    told = [f"of {share:.1%} of the examples {reason}" for share, reason in reasons if share]
    why = "there it still rises with K, and its error is too small"
    return f"{', '.join(told)}: {why}" if told else ""


def importance_sampling(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    *,
    num_samples: int = 5000,
    iwae_samples: tuple[int, ...] = (),
    defensive: float = 0.0,
    rows: int = 2000,
) -> dict[str, Float[Array, " batch"]]:
    """log p(x) by importance sampling from q(z | x), and bounds and terms by the same draws.

    The draws are made a chunk at a time, so that no more than about `rows` pass the decoder
    together.

    Args:
        model: the model.
        params: its parameters.
        key: one key per example, `[batch]`.
        batch: a `Batch`, or x `[batch, *x_shape]`.
        num_samples: K.
        iwae_samples: the k for which IWAE_k is estimated too, each by the mean over the K // k
            groups of k draws.
        defensive: the share of the draws that is of the prior, as `importance` has it.
        rows: draws times examples that are decoded at a time; speed and memory, not results.

    Returns:
        nats, `[batch]` each: `log_p`; `log_p_error`, its Monte Carlo standard error by the delta
        method, from the weights that were drawn: it misses the regions that q(z|x) does not cover,
        and is too small where few weights dominate (NaN for K = 1); `log_likelihood` and
        `kl_sampled`, means over the draws of log p(x|z) and of log q(z|x) - log p(z); `iwae_k`;
        `effective_sample_size`, (sum w)^2 / sum w^2, in draws; and from K = 25 on `pareto_k` of
        the weights' tail.

    Raises:
        UserError: if K or a k is not positive, a k is larger than the draws of q(z|x), K is over
            2^25, or `defensive` no share.
    """
    _require(num_samples, iwae_samples, defensive)
    key, batch = checked_examples(model, key, batch)
    of_q = _of_q(num_samples, defensive)
    drawn = draw_weights(model, params, key, batch, range(of_q), rows)
    log_w, log_ratio = drawn.log_weight, drawn.log_prior - drawn.log_posterior
    bounds = {f"iwae_{k}": _iwae(log_w, k) for k in iwae_samples}
    if of_q < num_samples:
        of_prior = range(of_q, num_samples)
        blind = draw_weights(model, params, key, batch, of_prior, rows, weigh=_prior_weights)
        log_w = jnp.concatenate([_mixed(of, of_q / num_samples) for of in (drawn, blind)])
    log_total, log_square = logsumexp(log_w, 0), logsumexp(2 * log_w, 0)
    size = jnp.exp(2 * log_total - log_square)
    return {
        "log_p": log_total - jnp.log(num_samples),
        "log_p_error": jnp.sqrt(jnp.maximum(num_samples / size - 1, 0) / (num_samples - 1)),
        "log_likelihood": drawn.log_likelihood.mean(0),
        "kl_sampled": -log_ratio.mean(0),
        "effective_sample_size": size,
        **({"pareto_k": pareto_k(log_w)} if num_samples >= FEWEST else {}),
        **bounds,
    }


def _require(num_samples: int, ks: tuple[int, ...], defensive: float) -> None:
    if not 1 <= num_samples <= LARGEST:
        raise UserError(f"num_samples={num_samples}: from 1 to {LARGEST} are possible")
    if not (0 <= defensive < 1 and (of_q := _of_q(num_samples, defensive))):
        raise UserError(f"defensive={defensive}: a share below 1 that leaves draws of q(z|x)")
    for k in ks:
        if not 1 <= k <= of_q:
            raise UserError(f"IWAE with k={k} needs at least k of the {of_q} samples of q(z|x)")


def draw_weights(
    model: Model,
    params: Params,
    key: Array,
    batch: Batch,
    draws: range,
    rows: int,
    weigh: Callable[..., LogWeights] = log_weights,
) -> LogWeights:
    """The log weights of the draws of these numbers, `[draws, batch]`, chunk by chunk."""
    count = len(batch.x)
    chunk = min(len(draws), max(1, rows // count))
    each = partial(weigh, model, params, key, batch, chunk)
    drawn = jax.lax.map(
        lambda first: each(first=first), draws.start + jnp.arange(0, len(draws), chunk)
    )
    return jax.tree.map(lambda a: a.reshape(-1, count)[: len(draws)], drawn)


def _prior_weights(
    model: Model, params: Params, key: Array, batch: Batch, num_samples: int, *, first: Array
) -> LogWeights:
    """The terms of `log_weights` at draws of the prior."""

    def at(key: Array, example: Batch) -> LogWeights:
        q, prior = model.encode(params, example), model.prior(params, *example.conditions)
        z = prior.sample(key)
        likelihood = log_likelihood(model, params, z, example)
        return LogWeights(likelihood, prior.log_prob(z), q.log_prob(z))

    keys = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (None, 0))
    each = jax.vmap(jax.vmap(at), (0, None))
    return each(keys(key, first + jnp.arange(num_samples)), batch)


def _mixed(terms: LogWeights, of_q: float) -> Array:
    """log p(x, z) - log r(z), r the mixture of q(z|x), whose share is `of_q`, and p(z)."""
    shares = jnp.log(of_q) + terms.log_posterior, jnp.log1p(-of_q) + terms.log_prior
    return terms.log_likelihood + terms.log_prior - jnp.logaddexp(*shares)


def _iwae(log_w: Array, k: int) -> Array:
    """IWAE_k, the mean over as many whole groups of k draws as there are."""
    groups = log_w[: len(log_w) // k * k].reshape(-1, k, log_w.shape[1])
    return (logsumexp(groups, 1) - jnp.log(k)).mean(0)
