"""Actors of a Ray cluster, on whatever machines it has, each with a process that trains."""

import contextlib
import logging
import socket
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from numpyro.distributions import constraints

from vae_jax.config.extras import needs
from vae_jax.errors import UserError, counted
from vae_jax.sweeps import serving, shared_disk
from vae_jax.sweeps.pool import Done, Heard, Lost, work_through
from vae_jax.sweeps.serving import GRACE_SECONDS
from vae_jax.sweeps.shared_disk import Surroundings
from vae_jax.sweeps.units import OnMessage, Stopped, Unit, Work, split

logger = logging.getLogger(__name__)
WAIT_SECONDS = 0.3
LOCAL = "local"
CALL_SECONDS = 10.0
NO_CLUSTER = "`ray start --head` starts one, and ray(address='local') one for this sweep"


class Unseen(str):
    """The message that a path is not there where an actor is, as a line."""


@needs("ray", extra="ray")
def ray(
    units: Sequence[Unit],
    work: Work,
    on_message: OnMessage,
    stopped: Stopped,
    *,
    address: str = "auto",
    num_workers: Annotated[int, constraints.positive_integer] = 2,
    num_cpus: Annotated[float, constraints.nonnegative] = 1.0,
    num_gpus: Annotated[float, constraints.nonnegative] = 0.0,
) -> None:
    """Actors of a Ray cluster, which may die with their machines without taking the sweep along.

    One that dies is replaced, elsewhere if need be, and its unit tried once more, from its last
    checkpoints. All paths must be on a disk that the machines share.

    Args:
        units: the work, like what follows as `units.Backend` has it.
        work: likewise.
        on_message: likewise.
        stopped: likewise.
        address: of the cluster; auto: the one that runs here; local: one for this sweep alone.
        num_workers: actors; those that the cluster has no room for wait for it.
        num_cpus: that each asks Ray for.
        num_gpus: likewise; of less than one, several actors share a GPU.

    Raises:
        UserError: if there is no cluster, or a machine of it does not see the paths.
        Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
    """
    if not units:
        _require_cluster(address)
        return
    shared = shared_disk.absolute(split(units, num_workers))
    with _connected(address), shared_disk.token_in(shared) as token:
        resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        _look_for_room(resources, address)
        number = counted(min(num_workers, len(shared)), "actor")
        logger.info("%s asked for, to compile first", number)
        actors = _Actors(work, resources, shared_disk.surroundings(token))
        work_through(shared, actors, num_workers, on_message, stopped)


def _require_cluster(address: str) -> None:
    """Raises UserError if there is no cluster; a local one is started when there is work."""
    if address != LOCAL:
        with _connected(address):
            pass


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", "os.fork", RuntimeWarning
    )  # Ray executes at once what it forks
    try:
        _look_for_listener(address)
        ray.init(address, configure_logging=False, log_to_driver=False)
    except OSError as error:
        raise UserError(f"address={address!r}: no Ray cluster is there; {NO_CLUSTER}") from error
    except ValueError as error:
        raise UserError(f"address={address!r}: {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _look_for_listener(address: str) -> None:
    """Raises OSError if nobody answers at `HOST:PORT`, for which Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CALL_SECONDS).close()


def _look_for_room(resources: dict[str, float], address: str) -> None:
    """Says that no machine has what each actor asks for, which may be added; a local one may not.

    Raises:
        UserError: if the cluster is this machine alone.
    """
    import ray

    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for argument, name in names.items():
        most = max((machine.get(name, 0) for machine in machines), default=0)
        if resources[argument] > most:
            asked = f"{argument}={resources[argument]:g}"
            what = f"{asked}: no machine of the cluster has more than {most:g}"
            if address == LOCAL:
                raise UserError(what)
            logger.warning("%s; waiting for one that has", what)


class _Relay:
    """An actor: it hands a unit on to a process of its machine, and back what that tells.

    Signals and the death of a run are the process's, as they are with `processes`.
    """

    def __init__(self, work: Work, around: Surroundings):
        self._work, self._around = work, around
        self._process: serving.Process | None = None

    def messages(self, unit: Unit) -> Iterator[Heard | Unseen]:
        """The messages of the work on a unit, as they come, up to its end."""
        if self._process is None:
            if missing := self._around.entered():
                yield Unseen(shared_disk.refusal(missing, socket.gethostname(), "ray"))
                return
            self._process = serving.Process(self._work)
        self._process.give(unit)
        while True:
            yield (message := self._process.hear())
            if isinstance(message, Done | Lost):
                return

    def stop(self) -> None:
        """Has the process save its state and end."""
        if self._process is not None:
            serving.stop([self._process])


class _Actor:
    """An actor as the sweep sees it, with the messages of its unit."""

    def __init__(self, handle: Any):
        self.handle = handle
        self.messages: Any = None
        self.has_told = False


class _Actors:
    """`pool.Workers`."""

    def __init__(self, work: Work, resources: dict[str, float], around: Surroundings):
        import ray

        of_class = ray.remote(_Relay).options(max_concurrency=2, **resources)  # `stop` beside work
        self._ray, self._make = ray, lambda: of_class.remote(work, around)

    def start(self, place: int) -> _Actor:
        return _Actor(self._make())

    def give(self, worker: _Actor, unit: Unit) -> None:
        streaming = worker.handle.messages.options(num_returns="streaming")
        worker.messages = streaming.remote(unit)

    def hear(self, busy: Sequence[_Actor]) -> Iterator[tuple[_Actor, Heard]]:
        by_messages = {actor.messages: actor for actor in busy}
        some, others = self._ray.wait(list(by_messages), num_returns=1, timeout=WAIT_SECONDS)
        more = self._ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
        for messages in (*some, *more):
            actor = by_messages[messages]
            message = self._next(actor)
            actor.has_told = True
            if isinstance(message, Lost):  # its place is needed for the next one
                self._ray.kill(actor.handle)
            yield actor, message

    def _next(self, actor: _Actor) -> Heard:
        try:
            message = self._ray.get(next(actor.messages))
        except (self._ray.exceptions.RayError, StopIteration) as error:
            reason = f"its actor or its machine is gone ({type(error).__name__})"
            return Lost(reason, actor.has_told)
        if isinstance(message, Unseen):
            raise UserError(str(message))
        return message

    def stop(self, workers: Sequence[_Actor]) -> None:
        ends = [worker.handle.stop.remote() for worker in workers]
        if ends:
            self._ray.wait(ends, num_returns=len(ends), timeout=GRACE_SECONDS + WAIT_SECONDS)
        for worker in workers:
            self._ray.kill(worker.handle)
