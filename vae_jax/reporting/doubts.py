"""The sentences at the top of a page on what to distrust: each names the numbers and the reason."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_jax.evaluation.warnings import of_the_data
from vae_jax.reporting import ages, readable
from vae_jax.reporting.entries import LITTLE, Amount, Entry

DOUBTED = (
    *("elbo*", "log_p*", "iwae_*", "bdmc_*", "*_gap", "kl*", "m*_kl", "mutual_*", "*_kl"),
    *("forward_kl*", "total_correlation"),
)


def of_numbers(workdir: Path, entries: Sequence[Entry]) -> list[str]:
    """The doubts about the numbers of a split, from the data, their age, remarks, each other.

    Args:
        workdir: as it stands in the commands that mend something.
        entries: of that split.
    """
    doubts = [doubt for entry in entries for doubt in of_the_data(entry.results)]
    doubts += [ages.of_results(workdir, entry.name, entry.results) for entry in entries]
    doubts += [text for rule in RULES for entry in entries for text in rule(entry)]
    doubts += [*_of_other_parameters(entries)]
    return [readable.sentence(text) for text in dict.fromkeys(filter(None, doubts))]


def _remarks(entry: Entry) -> Iterator[str]:
    """The doubts that estimators have about their own numbers."""
    for name in dict.fromkeys(entry.matching(DOUBTED)):
        if remark := entry.numbers[name].get("remark"):
            yield f"{name} on {entry.where}: {remark}"


def _annealing_is_above(entry: Entry) -> Iterator[str]:
    """Both are lower bounds in expectation, so that the higher one says how low the other is."""
    for low, high, words in (
        ("log_p", "log_p_ais", "importance sampling is at least {} nats low: annealing"),
        ("log_p_ais", "log_p", "annealing is at least {} nats low: importance sampling"),
    ):
        if {low, high} <= entry.numbers.keys():
            apart = entry.difference(high, low)
            if apart.is_positive and apart.mean > LITTLE:
                told = words.format(apart)
                yield f"{told}, a lower bound too, is above it on {entry.where}"


def _still_rises(entry: Entry) -> Iterator[str]:
    """Importance sampling that is the best there is, and has not come to rest."""
    bounds = {n["k"]: name for name, n in entry.numbers.items() if n.get("k")}
    if entry.best == "log_p" and bounds:
        largest = max(bounds)
        rise: Amount = entry.difference("log_p", bounds[largest])
        if rise.mean > LITTLE:
            method = entry.numbers["log_p"].get("method", "")
            samples = f" to {method.rpartition(', ')[2]}" if ", K = " in method else ""
            yield (
                f"log_p is a lower bound that still rises: by {rise} nats from k = {largest:,}"
                f"{samples} on {entry.where}"
            )


def _is_far_apart(entry: Entry) -> Iterator[str]:
    """Annealing from both sides that does not meet."""
    if "bdmc_width" in entry.numbers:
        width = entry.amount("bdmc_width")
        if width.is_positive and width.mean > LITTLE:
            yield f"annealing is up to {width} nats low, on the model's own x (bdmc_width)"


def _disagree(entry: Entry) -> Iterator[str]:
    """Estimates of log p(x) that differ by more than their errors, example by example."""
    lines = entry.results.get("agreement", ())
    return (f"on {entry.where} {line}" for line in lines if " disagree: " in line)


def _of_other_parameters(entries: Sequence[Entry]) -> Iterator[str]:
    """Entries that do not go together."""
    hashes = {e.results["fingerprint"] for e in entries if "fingerprint" in e.results}
    if len(hashes) > 1:
        names = " and ".join(entry.name for entry in entries)
        yield f"the numbers of {names} are not all of the same parameters and data"


RULES = (_annealing_is_above, _still_rises, _is_far_apart, _disagree, _remarks)
