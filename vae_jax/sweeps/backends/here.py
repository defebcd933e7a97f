"""Everything in this process, one setting after another."""

import logging
from collections.abc import Sequence
from functools import partial

from vae_jax.sweeps.units import OnMessage, Stopped, Unit, Work

logger = logging.getLogger(__name__)


def here(units: Sequence[Unit], work: Work, on_message: OnMessage, stopped: Stopped) -> None:
    """One setting after another in this process, each with a progress bar."""
    for number, unit in enumerate(units, 1):
        if stopped():
            return
        seeds = ", ".join(map(str, unit.folders))
        logger.info("setting %s of %s: %s, seeds %s", number, len(units), unit.name, seeds)
        work(unit, partial(on_message, unit))
