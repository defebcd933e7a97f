"""Processes of this machine, which may die without taking the sweep with them."""

import logging
from collections.abc import Iterator, Sequence
from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.sweeps import serving
from vae_jax.sweeps.pool import Heard, work_through
from vae_jax.sweeps.serving import Process
from vae_jax.sweeps.units import OnMessage, Stopped, Unit, Work, split

logger = logging.getLogger(__name__)


def processes(
    units: Sequence[Unit],
    work: Work,
    on_message: OnMessage,
    stopped: Stopped,
    *,
    num_workers: Annotated[int, constraints.positive_integer] = 2,
) -> None:
    """Processes of this machine, each with its share of the cores.

    A process that dies is replaced, and its unit tried once more.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
    """
    if not units:
        return
    shared = split(units, num_workers)
    logger.info("%s processes start, and compile first", min(num_workers, len(shared)))
    work_through(shared, _Processes(work, num_workers), num_workers, on_message, stopped)


class _Processes:
    """`pool.Workers`."""

    def __init__(self, work: Work, count: int):
        self._work, self._count = work, count

    def start(self, place: int) -> Process:
        return Process(self._work, (place, self._count))

    def give(self, worker: Process, unit: Unit) -> None:
        worker.give(unit)

    def hear(self, busy: Sequence[Process]) -> Iterator[tuple[Process, Heard]]:
        return serving.heard(busy)

    def stop(self, workers: Sequence[Process]) -> None:
        serving.stop(workers)
