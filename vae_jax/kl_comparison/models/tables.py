"""A run's comparison as text for a terminal."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from vae_jax.kl_comparison.models import layers
from vae_jax.runs.age import Age

Number = float | None


def table(results: Mapping[str, Any]) -> str:
    """The results of `compare_run` in a few small tables."""
    parts = [_head(results), _values(results), _scores(results), _worst(results), _draws(results)]
    several = layers.table(results.get("layers", []))
    return "\n\n".join([*parts, *_dimensions(results), *several, _gradients(results["gradients"])])


def _head(results: Mapping[str, Any]) -> str:
    r = results
    return (
        f"{r['pair']} of {r['num_examples']} {r['split']} examples, {r['checkpoint']} checkpoint "
        f"({_age(r)}); reference: {r['reference']}; K = {r['num_samples']}"
    )


def _age(results: Mapping[str, Any]) -> str:
    age = Age.read(results)
    return age.doubtful if age else ""


def _number(value: Number, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _with_error(value: Number, error: Number, digits: int = 2) -> str:
    """Rounded to `digits` figures of the error."""
    if value is None or not error:
        return _number(value)
    places = max(0, digits - 1 - int(f"{error:e}".partition("e")[2]))
    plain = places <= 7
    return f"{value:.{places}f} ± {error:.{places}f}" if plain else f"{value:.1e} ± {error:.0e}"


def _mean(of: Mapping[str, Number]) -> str:
    return _with_error(of["mean"], of["standard_error"])


def _values(results: Mapping[str, Any]) -> str:
    difference = results["difference"]
    z = f"z = {difference['z']:+.2f}" if "z" in difference else ""
    rows = [
        [f"KL, {results['reference']}", _mean(results["kl"]), ""],
        ["KL, sampled", _mean(results["sampled"]), ""],
        ["difference, example by example", _mean(difference), z],
    ]
    return tabulate(rows, ["nats per example", "mean ± std. error", ""], disable_numparse=True)


def _scores(results: Mapping[str, Any]) -> str:
    z, convergence = results["z_scores"], results["convergence"]
    lines = [
        f"z-scores of the examples: mean {_with_error(z['mean'], z['mean_standard_error'])} "
        f"({z['mean_expected']:.3f}), "
        f"std {_with_error(z['std'], z['std_standard_error'])} (1), "
        f"largest {z['largest']:.2f} ({z['largest_expected']:.2f}; p = {z['largest_p_value']:.2g})"
    ]
    if "slope" in convergence:
        slope = _with_error(convergence["slope"], convergence["slope_standard_error"])
        lines.append(f"RMS error of an example's KL goes as K^s, s = {slope} (-1/2)")
    return "\n".join(lines)


def _worst(results: Mapping[str, Any]) -> str:
    rows = [
        [w["example"], _number(w["kl"]), _with_error(w["sampled"], w["sampled_error"]),
         f"{w['z']:+.2f}"]
        for w in results["worst"]
    ]  # fmt: skip
    names = ["largest |z|: example", "KL", "sampled ± std. error", "z"]
    return tabulate(rows, names, disable_numparse=True)


def _draws(results: Mapping[str, Any]) -> str:
    elbo, convergence = results["elbo"], results["convergence"]
    rows = [
        [row["num_samples"], _number(rms, 3), _number(row["kl"], 3),
         _number(row["closed_form"], 3), _number(row["sampled"], 3), f"{row['ratio']:.4f}"]
        for row, rms in zip(elbo["draws"], convergence["rms_error"], strict=True)
    ]  # fmt: skip
    names = [
        "K", "RMS error, one KL", "std. error, mean KL", "of ELBO, closed", "of ELBO, sampled",
        "ratio in all",
    ]  # fmt: skip
    kind = f" ({results['probability']})" if "probability" in results else ""
    text = (
        f"The choice of examples gives the mean ELBO, {elbo['mean']:.3f}{kind}, a standard error "
        f"of {elbo['examples']:.3g} nats. Beside it, from K draws per example:"
    )
    return f"{text}\n{tabulate(rows, names, disable_numparse=True)}"


def _dimensions(results: Mapping[str, Any]) -> list[str]:
    """A line over all, and the dimensions with the largest |z|."""
    if not (numbers := results["dimensions"]):
        return []
    order = sorted(range(len(numbers)), key=lambda j: -abs(numbers[j]["difference"].get("z", 0)))
    rows = [
        [j, _mean(numbers[j]["kl"]), _mean(numbers[j]["difference"]),
         f"{numbers[j]['difference'].get('z', 0):+.2f}"]
        for j in order[:5]
    ]  # fmt: skip
    names = ["latent dimension", "KL", "sampled - closed form", "z"]
    more = f"\nthe largest |z| of {len(numbers)} dimensions" if len(numbers) > 5 else ""
    return [tabulate(rows, names, disable_numparse=True) + more]


def _gradients(study: Mapping[str, Any]) -> str:
    rows = [
        [stage["stage"] if first else "", part if first else "", name,
         _with_error(g["variance"], g["variance_error"]), _with_error(g["ratio"], g["ratio_error"]),
         _with_error(g["signal_to_noise"], g["signal_to_noise_error"]),
         _with_error(g["share"], g["share_error"]), _number(g["bias_below"], 2),
         f"{g['bias_z']:+.1f}"]
        for stage in study["stages"]
        for part in parts(stage["estimators"])
        for first, (name, of) in zip(
            [True] + [False] * 9, stage["estimators"].items(), strict=False
        )
        for g in [of[part]]
    ]  # fmt: skip
    names = [
        "stage", "part", "KL", "variance over z", "ratio", "signal to noise", "share of z",
        "bias <", "bias z",
    ]  # fmt: skip
    text = (
        f"Gradient of the ELBO, a batch of {study['batch_size']}, {study['repetitions']} "
        "repetitions. Share: what draws of z make of the variance over batches and draws. Bias: "
        "against the first, in parts of the gradient's norm, below that with 95%."
    )
    lines = [text, tabulate(rows, names, disable_numparse=True)]
    return "\n".join([*lines, *filter(None, [study["note"]])])


def parts(estimators: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The groups that are parts of the model: encoder, decoder, prior, ..."""
    groups = next(iter(estimators.values()))
    return [name for name in groups if "/" not in name and name != "all"]
