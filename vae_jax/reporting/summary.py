"""The sentences at the top of a page: how far the bound is from log p(x), and where nats go."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vae_jax.estimators._best import BEST
from vae_jax.evaluation.warnings import of_what, probability
from vae_jax.reporting import readable
from vae_jax.reporting.entries import Amount, Entry, richest
from vae_jax.runs.stopping import early_end

Records = Sequence[Mapping[str, Any]]
KL = ("kl", "mean_kl", "kl_sampled", "kl_term")  # the first is told
SURGERY = ("mutual_information", "marginal_kl")
WITHIN = ("total_correlation", "dimension_kl")
BELOW = ("log_likelihood", *KL, *SURGERY, *WITHIN)  # of the ELBO's terms
UNKNOWN = "How far it lies below {0} is not known: no estimate of {0} is there"
FINDINGS = {
    "two_sample_accuracy": "a classifier tells samples from data with accuracy {}; 0.5 is a coin's",
    "nearer_than_test": "{} of the samples are nearer to the training set than test data is",
}
HOW = {
    "log_p_exact": "in closed form",
    "log_p_quadrature": "by quadrature",
    "log_p_ais": "by annealing",
    "log_p": "by importance sampling",
}


class Story(NamedTuple):
    """All that sentences are made of."""

    entries: Sequence[Entry]  # of the split that is told, that of most examples first
    cfg: ConfigDict
    records: Records = ()  # of metrics.jsonl


def sentences(story: Story) -> list[str]:
    """The sentences that the numbers allow, in an order to be read in."""
    return [readable.sentence(text) for tell in TELLERS if (text := tell(story))]


def best_kl(entry: Entry) -> str | None:
    """The name of the KL that is told of an entry."""
    return next((name for name in KL if name in entry.numbers), None)


def way(story: Story) -> Entry | None:
    """The entry that tells the way from the ELBO to log p(x).

    It is one whose gap is taken apart, of those the one with the best log p(x), and of those that
    of most examples.
    """

    def rank(entry: Entry) -> tuple[bool, int, int]:
        best = -BEST.index(entry.best) if entry.best else -len(BEST)
        return entry.shares is not None, best, entry.size

    return max((e for e in story.entries if "elbo" in e.numbers), key=rank, default=None)


def terms(story: Story) -> Entry | None:
    """The entry that tells the ELBO's terms."""
    return richest(story.entries, BELOW, "log_likelihood")


def _headline(story: Story) -> Entry | None:
    return next((e for e in story.entries if "elbo" in e.numbers), None)


def _bound(story: Story) -> str:
    """The ELBO of the most examples."""
    entry = _headline(story)
    if entry is None:
        return ""
    what = probability(entry.numbers["elbo"], entry.results)
    of = f" (log of a {what})" if what else ""
    return (
        f"The ELBO, a lower bound on {entry.log_p}, is {entry.amount('elbo')} nats per example{of} "
        f"on {entry.where}."
    )


def _of_what(story: Story) -> str:
    """Sentences on what log p is of, where it is not of x alone and whole."""
    entry = _headline(story)
    return " ".join(readable.sentence(text) for text in of_what(entry.results)) if entry else ""


def _gap(story: Story) -> str:
    """log p(x), how far the ELBO of the same examples lies below it, and what the gap is made of.

    Of the most examples, and of those that tell most where these are others.
    """
    headline = _headline(story)
    told = dict.fromkeys(_above(story, e) for e in (headline, way(story)) if e and e.gap)
    return " ".join(told) or (UNKNOWN.format(headline.log_p) if headline else "")


def _above(story: Story, entry: Entry) -> str:
    best, up = entry.best or "", entry.gap
    whose = "it" if not _where(story, entry) else f"their ELBO of {entry.amount('elbo')}"
    text = f"{entry.log_p} {HOW[best]} is {entry.amount(best)}, {up} nats above {whose}"
    return f"{_where(story, entry)}{text}{_shares(entry)}."


def _shares(entry: Entry) -> str:
    if entry.shares is None:
        return ""
    amortization, approximation = entry.shares
    return (
        f": {approximation} are the family's, which does not hold p(z|x) (approximation), and "
        f"{amortization} the encoder's, which does not find the family's best (amortization)"
    )


def _where(story: Story, entry: Entry) -> str:
    """`On the first 100 of test `, where that is another set of examples than the headline's."""
    if entry.name == getattr(_headline(story), "name", entry.name):
        return ""
    return f"On {entry.where} "


def _terms(story: Story) -> str:
    """The ELBO's two terms, and what the KL is made of."""
    entry = terms(story)
    kl = entry and best_kl(entry)
    if entry is None or kl is None:
        return ""
    what = f"E_q log p(x|z) is {entry.amount('log_likelihood')}, and the KL {entry.amount(kl)} nats"
    if not all(name in entry.numbers for name in SURGERY):
        return f"{_where(story, entry)}{what}."
    tells, apart = (entry.amount(name) for name in SURGERY)
    inner = ""
    if all(name in entry.numbers for name in WITHIN):
        between, each = (entry.amount(name) for name in WITHIN)
        inner = f" ({between} between its dimensions, {each} within them)"
    return (
        f"{_where(story, entry)}{what}: {tells} tell which example it is (mutual information), "
        f"{apart} are q(z)'s distance from the prior{inner}."
    )


def _units(story: Story) -> str:
    """How many dimensions of z are used, in all or layer by layer."""
    entry = richest(story.entries, ("active_units",))
    size = int(np.sum(story.cfg.latent_dim))
    if entry:
        active = f"{entry.numbers['active_units']['mean']:g} of {size} units are active"
        remark = entry.numbers.get("collapsed_units", {}).get("remark", "")
        return f"{_where(story, entry)}{active}{f'; {remark}' if remark else ''}."
    names = sorted({n for e in story.entries for n in e.matching(["active_layer_*"])}, key=_layer)
    entry = richest(story.entries, names)
    if entry is None:
        return ""
    each = [f"{entry.numbers[n]['mean']:g} in layer {_layer(n)}" for n in names]
    return f"{_where(story, entry)}of {size} units these are active: {', '.join(each)}."


def _layer(name: str) -> int:
    return int(name.rpartition("_")[2])


def _labels(story: Story) -> str:
    """How well z tells labels."""
    names = {"probe_accuracy": "a linear probe", "neighbour_accuracy": "the nearest neighbours"}
    entry = richest(story.entries, tuple(names))
    if entry is None:
        return ""
    each = [f"{who} {entry.amount(n)}" for n, who in names.items() if n in entry.numbers]
    return f"{_where(story, entry)}labels are read from z with accuracy: {', '.join(each)}."


def _learned(story: Story) -> str:
    """How far the model's draws are from the data."""
    told = [_finding(story, name, text) for name, text in FINDINGS.items()]
    if entry := richest(story.entries, ("forward_kl",)):
        told.append(f"KL(p || p_theta) is {entry.amount('forward_kl')} nats")
    entry = richest(story.entries, ("log_p_data", *BEST), "log_p_data")
    if entry and entry.best:
        gap: Amount = entry.difference("log_p_data", entry.best)
        what = f"{_where(story, entry)}{entry.log_p}"
        told.append(f"{what} is {gap} nats below the data's own density")
    return " ".join(readable.sentence(text) for text in told if text)


def _finding(story: Story, name: str, text: str) -> str:
    """The remark of a number, which is its finding in words, or else the number itself."""
    entry = richest(story.entries, (name,))
    if entry is None:
        return ""
    remark = entry.numbers[name].get("remark", "")
    return _where(story, entry) + (remark.partition(": ")[2] or text.format(entry.amount(name)))


def _training(story: Story) -> str:
    """Where training ended, on examples that it has seen and on others."""
    train = [r for r in story.records if "bound" in r]
    held = [r for r in story.records if "validation_bound" in r]
    if not train:
        return ""
    last = train[-1]
    text = f"Training ended at epoch {last['epoch']:g} with a bound of {last['bound']:.1f}"
    early = early_end(story.records, story.cfg)
    end = f"; it {early}." if early else "."
    if not held:
        return f"{text} on training examples{end}"
    other = Amount(held[-1]["validation_bound"], held[-1].get("validation_error"))
    return f"{text} on training and {other} on validation examples{end}"


TELLERS = (_bound, _of_what, _gap, _terms, _units, _labels, _learned, _training)
