"""What is evaluated, by name: units, how each number is estimated, means with standard errors."""

from typing import Any

import numpy as np

NATS = "nats per example"
METHODS = {  # name: (unit, how it is estimated), in the order of the tables
    "elbo": (NATS, "log_likelihood - kl, the KL in closed form where there is one"),
    "log_likelihood": (NATS, "E_q log p(x|z), mean over {K} draws"),
    "kl": (NATS, "KL(q(z|x) || p(z)), closed form"),
    "kl_sampled": (NATS, "E_q log q(z|x) - log p(z), mean over {K} draws"),
    "kl_sampled_minus_kl": (NATS, "difference of the two, example by example"),
    "iwae": (NATS, "IWAE bound with k = {k}, mean over the groups of {used} draws"),
    "log_p": (NATS, "importance sampling from q(z|x), K = {K}"),
    "log_p_exact": (NATS, "the model's own density, exactly: it is linear-Gaussian"),
    "log_p_quadrature": (NATS, "quadrature over z"),
    "log_p_data": (NATS, "the density the data was simulated from"),
    "log_p_levels": (NATS, "log_p of stored levels; of a density, a lower bound: + D ln bin width"),
    "log_p_minus_elbo": (NATS, "the bound's gap, example by example"),
    "effective_sample_size": ("draws", "(sum w)^2 / sum w^2 of {K} importance weights"),
    "bits_per_dim": ("bits", "-log_p, or -log_p_levels, / (ln 2 x dimensions of x)"),
}
HIGHER_IS_BETTER = (
    *("elbo", "iwae", "log_p", "log_p_exact", "log_p_quadrature", "log_p_levels"),
    "log_likelihood",
)
LOWER_IS_BETTER = ("bits_per_dim",)
FEW = 10  # draws
OF_LEVELS = ("log_p_levels", "bits_per_dim")  # the same unit for masses and for densities


def numbers(values: dict[str, np.ndarray], num_samples: int) -> dict[str, dict[str, Any]]:
    """Mean, standard error, n, unit and method of each, in the order of `METHODS`."""
    order = {name: i for i, name in enumerate(METHODS)}
    known = sorted((n for n in values if family(n) in order), key=lambda n: order[family(n)])
    made = {name: _number(name, values[name], num_samples) for name in known}
    monte_carlo = np.sqrt((values["log_p_error"] ** 2).sum()) / len(values["log_p_error"])
    made["log_p"]["monte_carlo_error"] = float(monte_carlo) if num_samples > 1 else None
    return made


def family(name: str) -> str:
    """`iwae` of `iwae_50`."""
    head, _, tail = name.rpartition("_")
    return head if tail.isdigit() else name


def _number(name: str, values: np.ndarray, num_samples: int) -> dict[str, Any]:
    n, (unit, method) = len(values), METHODS[family(name)]
    return {
        "mean": float(values.mean()),
        "standard_error": float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        "n": n,
        "unit": unit,
        "method": method.format(K=num_samples, **_groups(name, num_samples)),
    }


def _groups(name: str, num_samples: int) -> dict[str, int]:
    """What `iwae_5` says of its k, and of the draws in whole groups of k."""
    k = name.rpartition("_")[2]
    return {"k": int(k), "used": num_samples // int(k) * int(k)} if k.isdigit() else {}


def table(results: dict[str, Any]) -> str:
    """The numbers of a split, a line each, for a terminal."""
    lines = [f"{'':24} {'mean':>10}  {'std. error':>10}  {'unit':18} how"]
    for name, number in results["numbers"].items():
        error = "" if number["standard_error"] is None else f"± {number['standard_error']:.4f}"
        value = f"{number['mean']:.4f}"
        lines.append(f"{name:24} {value:>10}  {error:>10}  {number['unit']:18} {number['method']}")
    return "\n".join([*lines, *filter(None, [results["warning"], _few_weights(results)])])


def _few_weights(results: dict[str, Any]) -> str | None:
    """What to say of a log p(x) that a handful of draws make."""
    size, K = results["numbers"]["effective_sample_size"]["mean"], results["num_importance_samples"]
    if K < 2 * FEW or size >= FEW:
        return None
    return f"{size:.1f} of {K} draws make log_p: it still rises with K, and its error is too small"
