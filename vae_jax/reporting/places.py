"""The declarations of which the sections of a page are made: figures, numbers, runs they suit."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vae_jax.config import components
from vae_jax.divergences.layers import MOST_LAYERS


class Picture(NamedTuple):
    """A figure of `figures/`, and the words that a page adds to its caption."""

    name: str
    alt: str  # in place of the picture
    see: str = ""  # what to look for
    unless: str = ""  # a figure that shows the same, where it is there


class Place(NamedTuple):
    """Numbers that a section tells, and the command that gives them where none is there."""

    tells: str
    names: tuple[str, ...]  # patterns; any one fills the place
    estimators: str = ""  # joined by |; empty: they are computed unasked
    for_few: bool = False  # they take long
    given: str = ""  # a number without which there is no such place
    suits: Callable[[ConfigDict], bool] = lambda cfg: True


class Section(NamedTuple):
    """A part of a page."""

    title: str
    about: str
    pictures: tuple[Picture, ...] = ()
    places: tuple[Place, ...] = ()
    command: str = ""  # that draws the pictures, where none is there
    shows_comparison: bool = False  # of KLs, with its table


def has_few_layers(cfg: ConfigDict) -> bool:
    """Whether z has no more layers than importance weights can be drawn of."""
    steps = components.parse(cfg.posterior).arguments.get("steps", 0)
    return max(int(steps or 0), np.size(cfg.latent_dim)) <= MOST_LAYERS


def has_many_layers(cfg: ConfigDict) -> bool:
    """Whether z has more."""
    return not has_few_layers(cfg)
