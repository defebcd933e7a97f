"""The sections of a run's page: each declares its figures, its numbers, and what gives them."""

import shlex
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from vae_jax.config import components
from vae_jax.estimators._best import BEST
from vae_jax.evaluation.warnings import unit
from vae_jax.kl_comparison.models import figures as kl_figures
from vae_jax.reporting.doubts import DOUBTED
from vae_jax.reporting.entries import SPLITS, Entry
from vae_jax.reporting.places import Picture, Place, Section, has_few_layers, has_many_layers
from vae_jax.runs.age import checkpoint_flags
from vae_jax.runs.results import Name

USUAL = "importance"  # estimators that an evaluation computes unless others are asked for
FEW = 100  # examples, of which estimators that take long are computed


WAY = Section(
    "From the ELBO to log p(x)",
    "How far is the bound from log p(x), and where do the nats go?",
    (
        Picture(
            "decomposition",
            "The ELBO, what lies between it and log p(x), and its two terms, as bars",
            "A long amortization gap asks for a better encoder or more training of it, a long "
            "approximation gap for a richer posterior; a KL near zero says that z is not used.",
        ),
    ),
    (
        Place("the ELBO and log p(x)", ("elbo", *BEST, "log_p_minus_elbo"), "importance",
              suits=has_few_layers),
        Place("the ELBO", ("elbo",), "bound(kl='one_layer')", suits=has_many_layers),
        Place("the ELBO's terms", ("log_likelihood", "kl", "kl_term"), "importance",
              suits=has_few_layers),
        Place("whose the gap is, the family's or the encoder's",
              ("amortization_gap", "approximation_gap", "elbo_optimal", "elbo_full_normal",
               "elbo_flow", "gaps_converged"),
              "importance|gaps", for_few=True, suits=has_few_layers),
    ),
)  # fmt: skip
TRAINING = Section(
    "Training",
    "Had it come to rest, and does it overfit?",
    (
        Picture("curves", "The bound and its two terms against epochs",
                "Curves that still climb ask for more epochs; a validation curve that falls while "
                "that of training climbs is overfitting."),
    ),
)  # fmt: skip
SAMPLES = Section(
    "Samples",
    "What the model makes, and what it keeps of x.",
    (
        Picture("samples", "Data beside samples of the model",
                "Draws should be taken for data; means that are sharp where draws are noisy are "
                "the likelihood's, not the prior's."),
        Picture("columns", "The distribution of each element of x, of data and of draws",
                "Bars that the line leaves out are values that the model does not make."),
        Picture("classes", "Draws under one condition after another",
                "A row should hold its condition, and a column what it shares with others."),
        Picture("steps", "Layers of z on the way from noise to data",
                "Structure should come early and detail late."),
        Picture("reconstructions", "Test examples beside their reconstructions",
                "What a reconstruction leaves out, z does not hold."),
        Picture("imputations", "Test examples, their upper half, and what the model fills in",
                "The mean is grey, and draws differ, where what is seen leaves the rest open."),
        Picture("interpolations", "Reconstructions along straight lines in z",
                "Steps should be small, and each picture one that could be data."),
        Picture("manifold", "Means over the plane of z",
                "Pictures that are no data lie where q(z) has little mass."),
    ),
    command="sample",
)  # fmt: skip
ESTIMATES = Section(
    "Is log p(x) right?",
    "Estimates of log p(x) from below, from above, and by other means.",
    (
        Picture("bounds", "Bounds on log p(x) against the number of samples",
                "A curve that still climbs at the largest k is not at log p(x) yet; a line above "
                "all of it says by how much."),
    ),
    (
        Place("importance sampling and its weights",
              ("log_p", "iwae_*", "effective_sample_size", "pareto_k"), "importance",
              suits=has_few_layers),
        Place("log p(x) by another way than importance sampling",
              ("log_p_exact", "log_p_quadrature", "log_p_ais", "ais_acceptance"),
              "importance|ais", for_few=True, suits=has_few_layers),
        Place("how far annealing is from log p(x), from both sides",
              ("bdmc_lower", "bdmc_upper", "bdmc_width"),
              "importance|bdmc", for_few=True, suits=has_few_layers),
    ),
)  # fmt: skip
PRIOR = Section(
    "The prior",
    "Does q(z), of all the data together, match p(z)?",
    (
        Picture("aggregated_posterior", "Draws of q(z) over the density of the prior",
                "Holes in the points are where the prior draws z that decode to no data; points "
                "outside the contours are where it seldom draws what is data."),
    ),
    (
        Place("how q(z) differs from p(z)",
              ("mean_kl", "mutual_information", "marginal_kl", "total_correlation",
               "dimension_kl", "mmd_prior*"), "surgery", suits=has_few_layers),
    ),
)  # fmt: skip
LATENTS = Section(
    "The latents",
    "Which dimensions of z are used, and what do they know?",
    (
        Picture("units", "The KL and the variance of the mean of each dimension of z, sorted",
                "Dimensions at zero nats, or below the line, are not used: z needs no more than "
                "the others."),
        Picture("dimensions", "The KL of each dimension of z, sorted",
                "Dimensions at zero nats are not used.", "units"),
        Picture("projection", "The means of q(z|x) in a plane",
                "Clusters of one colour are what z tells apart without having seen labels."),
        Picture("traversals", "Means of p(x|z) as one latent after another moves",
                "A row that does not change is a latent that the decoder does not use."),
    ),
    (
        Place("units that are used",
              ("active_units", "collapsed_units", "mean_scale", "active_layer_*", "kl_layer_*"),
              "latents", suits=has_few_layers),
        Place("what z knows of the labels", ("probe_accuracy", "neighbour_accuracy"), "latents",
              suits=has_few_layers),
    ),
)  # fmt: skip
LEARNED = Section(
    "Has it learned p(x)?",
    "Draws of the model against data that it has not seen.",
    (
        Picture("densities", "The data's own density beside the model's, on one scale",
                "Mass between the modes of p(x) is mass that the modes lack."),
    ),
    (
        Place("whether draws can be told from data", ("two_sample_*",), "two_sample"),
        Place("whether draws are copies of training examples",
              ("nearer_than_test*", "exact_copies*", "sample_to_train", "test_to_train"),
              "memorization"),
        Place("how far p_theta is from the p that made the data", ("forward_kl*",), "forward_kl",
              given="log_p_data"),
        Place("the data's own density", ("log_p_data",), given="log_p_data"),
        Place("how well values that are hidden on purpose are filled in", ("imputation_*",),
              "imputation", for_few=True, suits=has_few_layers),
    ),
)  # fmt: skip
COMPARED = Section(
    "KL(q(z|x) || p(z)), in closed form and sampled",
    "",
    tuple(Picture(name, "Estimates of the KL") for name in kl_figures.NAMES),
    shows_comparison=True,
)
SECTIONS = (WAY, TRAINING, SAMPLES, ESTIMATES, PRIOR, LATENTS, LEARNED, COMPARED)


class Line(NamedTuple):
    """A row of a section's table: a number on each set of examples that has it."""

    name: str
    cells: Sequence[str]
    unit: str
    how: str
    remark: str  # a finding in words


class Table(NamedTuple):
    """The numbers that a section tells."""

    heads: Sequence[str]  # the examples, a column each
    lines: Sequence[Line]


def table(section: Section, entries: Sequence[Entry]) -> Table:
    """The table of a section, with a column for each entry that has any of its numbers."""
    patterns = [pattern for place in section.places for pattern in place.names]
    having = [entry for entry in entries if entry.matching(patterns)]
    names = dict.fromkeys(name for p in patterns for e in having for name in e.matching([p]))
    return Table([e.examples for e in having], [_line(name, having) for name in names])


def _line(name: str, entries: Sequence[Entry]) -> Line:
    cells = [str(e.amount(name)) if name in e.numbers else "" for e in entries]
    having = [e for e in entries if name in e.numbers]
    first, results = having[0].numbers[name], having[0].results
    is_doubted = any(fnmatchcase(name, pattern) for pattern in DOUBTED)  # these stand at the top
    remarks = dict.fromkeys(e.numbers[name].get("remark", "") for e in having)
    text = "" if is_doubted else "; ".join(filter(None, remarks))
    return Line(name, cells, unit(first, results), first.get("method", ""), text)


def missing(
    section: Section,
    workdir: Path,
    cfg: ConfigDict,
    entries: Sequence[Entry],
    figures: Collection[str],
) -> list[tuple[str, str]]:
    """The places that nothing has filled: what they would tell, and the command for it.

    Args:
        section: of the page.
        workdir: as it stands in the commands.
        cfg: the run's.
        entries: the numbers that are told.
        figures: the names of those that are there.
    """
    wanted: dict[str, list[str]] = {}
    for place in section.places:
        if _is_open(place, cfg, entries):
            wanted.setdefault(_command(place, workdir, entries), []).append(place.tells)
    if section.command and not any(picture.name in figures for picture in section.pictures):
        wanted[written(workdir, section.command)] = ["the pictures"]
    return [("; ".join(tells), command) for command, tells in wanted.items()]


def _is_open(place: Place, cfg: ConfigDict, entries: Sequence[Entry]) -> bool:
    """Whether an estimator would fill a place that none has filled."""
    known = components.names("estimators")
    return (
        all(components.parse(text).name in known for text in place.estimators.split("|") if text)
        and bool(place.estimators)
        and place.suits(cfg)
        and not any(entry.matching(place.names) for entry in entries)
        and (not place.given or any(place.given in entry.numbers for entry in entries))
    )


def evaluation(workdir: Path, cfg: ConfigDict) -> str:
    """The command that gives a run its first numbers."""
    estimators = () if has_few_layers(cfg) else ("--estimators=\"bound(kl='one_layer')\"",)
    return written(workdir, "evaluate", *estimators)


def _command(place: Place, workdir: Path, entries: Sequence[Entry]) -> str:
    """The command that fills a place, of the split and the checkpoint that are told."""
    whole = max(entries, key=lambda entry: entry.size, default=None)
    is_small = whole is not None and not whole.is_part and whole.size <= FEW
    few = FEW if place.for_few and not is_small else None
    name = Name.read(whole.name) if whole else Name(SPLITS[0], None, "")
    flags = name._replace(first=few).flags
    flags += checkpoint_flags(whole.results.get("checkpoint", "best")) if whole else []
    if place.estimators != USUAL:
        flags.append(f'--estimators="{place.estimators}"')
    return written(workdir, "evaluate", *flags)


def written(workdir: Path, command: str, *flags: str) -> str:
    """`vae-jax COMMAND --workdir=... FLAGS`, as a shell takes it."""
    return " ".join(["vae-jax", command, f"--workdir={shlex.quote(str(workdir))}", *flags])


def picture_names() -> list[str]:
    """The names of the figures of all sections."""
    return [picture.name for section in SECTIONS for picture in section.pictures]
