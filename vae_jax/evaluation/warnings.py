"""Doubts about the numbers of a split, in words, and whether they are densities or masses."""

from collections.abc import Mapping
from typing import Any

from vae_jax.batches.few_values import MASSES, NO_PROBABILITY
from vae_jax.runs.age import Age
from vae_jax.types import NATS

OUTSIDE_SUPPORT = "the data is not in the support of p(x|z): these are no log-likelihoods"


def warnings(results: Mapping[str, Any]) -> list[str]:
    """The doubts about the numbers of a split: about the data, and a run that is unfinished."""
    age = Age.read(results)
    return [*of_the_data(results), *filter(None, [age and age.unfinished])]


def of_the_data(results: Mapping[str, Any]) -> list[str]:
    """The doubts about the numbers that the data gives; of older results what they say."""
    if "in_support" not in results:
        return list(filter(None, [results.get("warning")]))
    few = results["few_values"]
    doubts = [f"{few}: {NO_PROBABILITY}; {results.get('advice', MASSES)}"] if few else []
    doubts += [f"data: {remark}" for remark in results.get("remarks", ())]
    return doubts if results["in_support"] else [OUTSIDE_SUPPORT, *doubts]


def of_what(results: Mapping[str, Any]) -> list[str]:
    """Lines on what log p is of, where it is not of x alone and whole."""
    given, lines = results.get("given"), []
    if given:
        lines.append(f"given {given}: log p and the bounds on it are of p(x|y), y being {given}")
    if results.get("missing"):
        lines.append("values are missing: log p and the bounds on it are of what was observed")
    return lines


def of_given(text: str, results: Mapping[str, Any]) -> str:
    """A text on p(x), of p(x|y) where the model is given y."""
    return text.replace("p(x)", "p(x|y)") if results.get("given") else text


def probability(number: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Whether a number is of a "density" or a "mass" of x; empty where it is no log-likelihood.

    It is none where the data is not in the support.

    Args:
        number: a record of `numbers`.
        results: of the split that it is of.
    """
    if not results.get("in_support", True):
        return ""
    is_likelihood = number.get("better") == "higher" or "label" in number
    if number.get("unit") != NATS or not is_likelihood:
        return ""
    return "mass" if number.get("of_levels") else results.get("probability", "")


def unit(number: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """The unit of a number as it is shown: `nats per example (mass)`."""
    what = probability(number, results)
    return f"{number['unit']} ({what})" if what else number["unit"]
