"""Per-example and per-step numbers -> summaries, each with its standard error."""

from typing import Any

import numpy as np
from scipy import stats

from vae_jax.kl_comparison.models import layers
from vae_jax.kl_comparison.models.examples import LIKELIHOOD_DRAWS, Values, powers
from vae_jax.kl_comparison.models.gradients import GRADIENT_ESTIMATORS, GradientMoments, Scalars
from vae_jax.standard_errors import standard_error

WORST = 5
BLOCKS = 20  # of the jackknife
ROUNDING = 1e-5  # of a gradient in float32, relative to its norm


def of_values(values: Values, num_samples: int) -> dict[str, Any]:
    """Summaries of the per-example arrays of `closed_and_sampled`, as JSON values."""
    difference = values["sampled"] - values["kl"]
    z = difference / np.hypot(values["sampled_error"], values["kl_error"])
    return {
        "kl": _mean(values["kl"]),
        "sampled": _mean(values["sampled"]),
        "difference": _with_z(difference, values["rounding"]),
        "z_scores": _z_scores(z, values["skewness"], num_samples),
        "worst": _worst(values, z),
        "convergence": _convergence(values, num_samples),
        "elbo": _elbo(values, num_samples),
        "dimensions": _dimensions(values),
        "layers": layers.summary(values),
    }


def _mean(values: np.ndarray) -> dict[str, Any]:
    error = float(standard_error(values)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "standard_error": error}


def _with_z(difference: np.ndarray, rounding: np.ndarray) -> dict[str, Any]:
    """A mean difference with its z-score, whose error includes rounding, which is no noise."""
    mean = _mean(difference)
    if mean["standard_error"] is not None:
        mean["z"] = mean["mean"] / float(np.hypot(mean["standard_error"], rounding.mean()))
    return mean


def _z_scores(z: np.ndarray, skewness: np.ndarray, num_samples: int) -> dict[str, float]:
    """Mean, standard deviation and largest size of z-scores, each with its expected value.

    Under a right closed form they are standard normal, up to the few draws behind each error:
    Student's with K - 1 degrees of freedom. Their mean is not 0 but -skewness / (2 sqrt(K)), as a
    mean and its error are correlated. `largest_expected` is the median of the largest of n.
    With few draws, below some hundred, a skewed log q - log p makes large ones commoner than that.
    """
    n, null = len(z), stats.t(num_samples - 1)
    largest = float(np.abs(z).max())
    return {
        "mean": float(z.mean()),
        "mean_standard_error": n**-0.5,
        "mean_expected": float(-skewness.mean() / (2 * num_samples**0.5)),
        "std": float(z.std(ddof=1)) if n > 1 else float("nan"),
        "std_standard_error": (2 * n) ** -0.5,
        "largest": largest,
        "largest_expected": float(null.isf((1 - 0.5 ** (1 / n)) / 2)),
        "largest_p_value": float(-np.expm1(n * np.log1p(-2 * null.sf(largest)))),
    }


def _worst(values: Values, z: np.ndarray) -> list[dict[str, float]]:
    order = np.argsort(-np.abs(z))[:WORST]
    names = ("kl", "sampled", "sampled_error")
    return [
        {"example": int(i), **{n: float(values[n][i]) for n in names}, "z": float(z[i])}
        for i in order
    ]


def _convergence(values: Values, num_samples: int) -> dict[str, Any]:
    """RMS error of the mean of k draws over examples, and its slope in k; theory says -1/2."""
    ks = powers(num_samples)
    squares = np.stack([values[f"squared_error_{k}"] for k in ks], 1)
    squares = squares - values["kl_error"][:, None] ** 2
    rms, n = np.sqrt(squares.mean(0).clip(0)), len(squares)
    summary: dict[str, Any] = {"num_samples": ks, "rms_error": rms.tolist()}
    if n > 1:
        summary["standard_error"] = (standard_error(squares) / (2 * rms)).tolist()
        summary["slope"], summary["slope_standard_error"] = _slope(squares, ks)
    return summary


def _slope(squares: np.ndarray, ks: list[int]) -> tuple[float, float]:
    """A least-squares slope in logarithms; its error by the jackknife over blocks of examples."""

    def fitted(rows: np.ndarray) -> float:
        return float(np.polyfit(np.log(ks), 0.5 * np.log(rows.mean(0).clip(1e-30)), 1)[0])

    blocks = np.array_split(np.arange(len(squares)), min(BLOCKS, len(squares)))
    without = np.array([fitted(np.delete(squares, block, 0)) for block in blocks])
    return fitted(squares), float(np.sqrt((len(blocks) - 1) * without.var()))


def _elbo(values: Values, num_samples: int) -> dict[str, Any]:
    """The error of the mean ELBO: from the choice of examples, and from k draws for each.

    All are standard errors, nats: `examples` over examples, without the noise of draws;
    `closed_form` and `sampled` of k draws, with the KL in closed form or not; `kl` of the k draws
    of the KL alone. `ratio` is that of both sources together, sampled over closed form.
    """
    n, draws = len(values["kl"]), min(num_samples, LIKELIHOOD_DRAWS)
    elbo = values["log_likelihood"] - values["kl"]
    noise = (values["likelihood_variance"] / draws + values["kl_error"] ** 2).mean()
    examples = float(np.sqrt(max(0.0, elbo.var(ddof=1) - noise) / n)) if n > 1 else float("nan")
    rows = []
    for k in powers(num_samples):
        of = ("ratio_variance", "likelihood_variance", "weight_variance")
        kl, closed, sampled = (float(np.sqrt(values[name].mean() / k / n)) for name in of)
        whole = float(np.hypot(examples, sampled) / np.hypot(examples, closed))
        row = {"kl": kl, "closed_form": closed, "sampled": sampled, "ratio": whole}
        rows.append({"num_samples": k, **row})
    return {"mean": float(elbo.mean()), "examples": examples, "draws": rows}


def _dimensions(values: Values) -> list[dict[str, Any]] | None:
    """Mean KL of each latent dimension, closed form and sampled, and their paired difference."""
    if "dimensions" not in values:
        return None
    closed, sampled = values["dimensions"], values["dimensions_sampled"]
    columns = zip(closed.T, sampled.T, values["dimensions_rounding"].T, strict=True)
    return [
        {"kl": _mean(a), "sampled": _mean(b), "difference": _with_z(b - a, rounding)}
        for a, b, rounding in columns
    ]


def of_gradients(moments: GradientMoments, within: Scalars, total: Scalars) -> dict[str, Any]:
    """estimator -> group -> summaries of the per-step numbers of a stage, as JSON values.

    `variance` over draws of z, of a fixed batch; `ratio` of it to the first estimator's; `norm` of
    the mean gradient and `signal_to_noise`, norm / sqrt(variance); `bias`, the norm of the mean
    difference to the first estimator over `norm`, with the z-score of its square and `bias_below`,
    a bound that holds with 95% at least. Over random batches: `batch_variance`, the total, and
    `share`, the part of it that draws of z cause.
    """
    names = [name for name in GRADIENT_ESTIMATORS if name in moments.variance]
    return {
        name: {
            group: {
                **_mean_of("variance", variance),
                **ratio("ratio", variance, moments.variance[names[0]][group]),
                **_signal(variance, moments.signal[name][group], moments.bias[name][group]),
                **_mean_of("batch_variance", total[name][group]),
                **ratio("share", within[name][group], total[name][group]),
            }
            for group, variance in moments.variance[name].items()
        }
        for name in names
    }


def _mean_of(name: str, steps: np.ndarray) -> dict[str, Any]:
    mean = _mean(steps.astype(float))
    return {name: mean["mean"], f"{name}_error": mean["standard_error"]}


def ratio(name: str, over: np.ndarray, under: np.ndarray) -> dict[str, float | None]:
    """Ratio of two means of paired numbers, its error by linearization; None for 0 / 0."""
    over, under = over.astype(float), under.astype(float)
    if under.mean() == 0:
        return {name: None, f"{name}_error": None}
    value = over.mean() / under.mean()
    error = standard_error(over - value * under) / under.mean()
    return {name: float(value), f"{name}_error": float(error)}


def _signal(variance: np.ndarray, signal: np.ndarray, bias: np.ndarray) -> dict[str, float | None]:
    spread, square = float(variance.mean()), _mean(signal.astype(float))
    norm = np.sqrt(max(0.0, square["mean"]))
    floor = ROUNDING**2 * (spread + norm**2)
    squared_bias = _mean(bias.astype(float))
    error = float(np.hypot(squared_bias["standard_error"], floor))
    # Both halves of the repetitions are noisy; the spread of the second does not show the first's.
    above = squared_bias["mean"] + 1.645 * np.sqrt(2) * error
    size, most, noise = (np.sqrt(max(0.0, b)) for b in (squared_bias["mean"], above, spread))
    of_norm = np.sqrt(2) * square["standard_error"] / (2 * norm) if norm else np.nan
    return {
        "norm": float(norm),
        "signal_to_noise": float(norm / noise) if noise else None,
        "signal_to_noise_error": float(of_norm / noise) if noise and norm else None,
        "bias": float(size / norm) if norm else None,
        "bias_below": float(most / norm) if norm else None,
        "bias_z": squared_bias["mean"] / error if error else 0.0,
    }
