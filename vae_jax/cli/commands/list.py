import inspect
import re
import textwrap
from typing import Any

from vae_jax.cli.flags import Args, Flags
from vae_jax.cli.helping import summary
from vae_jax.config import components
from vae_jax.errors import unknown
from vae_jax.progress import begin

TAKES_WORDS, WIDTH = True, 96
REFERENCE = re.compile(r"[A-Z][a-z][\w'-]*(?:, [A-Z][\w'-]+)*(?: & [A-Z][\w'-]+| et al\.)? \d{4}")


def flags(flags: Flags) -> None:
    """Declares none."""


def more_help() -> str:
    """The families that can be listed."""
    every = textwrap.wrap(", ".join(components.FAMILIES), WIDTH)
    return "\n  ".join(["families:", *every])


def run(args: Args) -> None:
    """The components of families, or a component: names, signatures, what they do.

    Examples:
        vae-jax list priors
        vae-jax list maf
    """
    begin(f"components of {', '.join(args.words) or 'all families'}")
    places = [place for word in args.words or components.FAMILIES for place in _places(word)]
    for family, name in places:
        if name is None:
            _print_family(family)
        else:
            about = inspect.getdoc(components.find(family, name))
            print(f"{family}: {components.resolve(family, name)}\n\n{about}\n")


def _places(word: str) -> list[tuple[str, str | None]]:
    """The family of that name, or the components of that name in whatever families.

    Raises:
        UserError: if there is neither.
    """
    if word in components.FAMILIES:
        return [(word, None)]
    named = [(family, word) for family in components.FAMILIES if word in components.names(family)]
    if not named:
        every = [name for family in components.FAMILIES for name in components.names(family)]
        raise unknown("family or component", word, {*components.FAMILIES, *every})
    return list(named)


def _print_family(family: str) -> None:
    """A family's components, each with a line that says what it is, and its paper."""
    print(f"{family}:")
    for name in components.names(family):
        function = components.find(family, name)
        about, paper = summary(function), reference(function)
        more = f"\n      [{paper}]" if paper and paper not in about else ""
        print(f"  {components.resolve(family, name)}\n      {about}{more}")


def reference(function: Any) -> str:
    """The first paper in a docstring, as `Kingma & Welling 2014`; empty without one."""
    paper = REFERENCE.search(" ".join((inspect.getdoc(function) or "").split()))
    return paper.group() if paper else ""
