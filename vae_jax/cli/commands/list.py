import inspect
import re
from typing import Any

from vae_jax.cli.flags import Args, Flags, summary
from vae_jax.config import components
from vae_jax.errors import unknown

TAKES_WORDS = True
REFERENCE = re.compile(r"[A-Z][a-z][\w'-]*(?:, [A-Z][\w'-]+)*(?: & [A-Z][\w'-]+| et al\.)? \d{4}")


def flags(flags: Flags) -> None:
    """Declares none."""


def more_help() -> str:
    """The families that can be listed."""
    return f"vae-jax list FAMILY ..., of {', '.join(components.FAMILIES)}; all without one"


def run(args: Args) -> None:
    """The components of each family: names, signatures, what they do."""
    for family in args.words or components.FAMILIES:
        if family not in components.FAMILIES:
            raise unknown("family", family, components.FAMILIES)
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
