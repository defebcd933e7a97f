"""Several processes, one a host, that do the same work together: how they meet, agree and part.

With a single process every function here returns at once.
"""

import contextlib
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from vae_jax.errors import UserError, one_line

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
AUTO = "auto"
SECONDS = 120  # in which all processes have to be there
SECONDS_TO_LEAVE = 2
MESSAGE_BYTES = 500
PORTS = 2**16
TRANSPORTS = ("Gloo", "NCCL", "coordination")  # that errors of XLA name
LOST = "another process of this work has ended: see what it said; the same commands go on from here"


def join(
    coordinator: str | None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    seconds: float = SECONDS,
) -> None:
    """Makes this process one of several; before JAX computes anything.

    Args:
        coordinator: `HOST:PORT` at which process 0 can be reached; `auto`: the variables of a
            cluster say it all (SLURM, Open MPI, Kubernetes, TPU); None: there is one process.
        num_processes: how many there are.
        process_id: this one's number, from 0.
        seconds: after which a process ends that has not met the others.

    Raises:
        UserError: for flags that do not go together.
    """
    _require_together(coordinator, num_processes, process_id)
    if coordinator is None:
        return

    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    where: dict[str, Any] = {} if coordinator == AUTO else {"coordinator_address": coordinator}
    if coordinator != AUTO:
        where |= {"num_processes": num_processes, "process_id": process_id}
        where |= {"cluster_detection_method": "deactivate"}
    if coordinator != AUTO:
        what = "process %s of %s waits for the others at %s, for %g s at most"
        logger.info(what, process_id, num_processes, coordinator, seconds)
    patience = threading.Timer(seconds, _give_up, [coordinator, seconds])
    patience.daemon = True
    patience.start()
    try:
        jax.distributed.initialize(**where, initialization_timeout=round(2 * seconds) + 60)
    except ValueError as error:
        known = "no variables of SLURM, Open MPI, Kubernetes or a TPU pod say where process 0 is"
        raise UserError(f"--coordinator={coordinator}: {known}") from error
    finally:
        patience.cancel()
    if jax.process_index() if process_id is None else process_id:
        logging.getLogger("vae_jax").setLevel(logging.ERROR)  # process 0 says it once for all


def _require_together(coordinator: str | None, num: int | None, process_id: int | None) -> None:
    """Raises UserError for flags without the others, and numbers out of range."""
    numbers = {"--num_processes": num, "--process_id": process_id}
    given = [flag for flag, value in numbers.items() if value is not None]
    if coordinator in (None, AUTO):
        if given and coordinator == AUTO:
            raise UserError(f"{given[0]}: --coordinator=auto finds it, or name HOST:PORT there")
        if given:
            needed = "--coordinator=HOST:PORT of process 0 is needed"
            raise UserError(f"{given[0]} goes with --coordinator: {needed}")
        return
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < PORTS:
        raise UserError(f"--coordinator={coordinator}: HOST:PORT of process 0 is needed, or auto")
    if len(given) < len(numbers):
        needed = "--num_processes and --process_id are needed, or --coordinator=auto on a cluster"
        raise UserError(f"--coordinator={coordinator}: {needed}")
    if num is not None and process_id is not None and process_id >= num:
        raise UserError(f"--process_id={process_id}: of {num} processes, from 0 to {num - 1}")


def _give_up(coordinator: str, seconds: float) -> None:
    """Ends this process: JAX would print a trace of its own functions, and abort."""
    message = f"--coordinator={coordinator}: not all processes met within {seconds:g} s"
    print(
        f"vae-jax: {message}; each needs the same address and number", file=sys.stderr, flush=True
    )
    os._exit(2)


@contextlib.contextmanager
def joined(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> Iterator[None]:
    """`join` for as long as the work lasts.

    Raises:
        UserError: as `join` does.
        ConnectionError: when another process is lost meanwhile.
    """
    join(coordinator, num_processes, process_id)
    if coordinator is None:
        yield
        return

    import jax

    try:
        yield
    except (ValueError, RuntimeError) as error:  # of XLA; which of them is not said anywhere
        if not any(name in str(error) for name in TRANSPORTS):
            raise
        raise ConnectionError(LOST) from error
    jax.distributed.shutdown()


def leave(status: int) -> None:
    """Ends this process at once, as a usual end waits for others that may be gone.

    The first is the last to go, since JAX aborts processes that lose it.
    """
    with contextlib.suppress(RuntimeError, AssertionError):  # of no device, as in `use_device`
        time.sleep(SECONDS_TO_LEAVE * is_first())
    os._exit(status)


def are_several() -> bool:
    """Whether there are other processes; JAX is neither imported nor started for that."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def count() -> int:
    """The number of processes."""
    return sys.modules["jax"].process_count() if are_several() else 1


def index() -> int:
    """The number of this process, from 0."""
    return sys.modules["jax"].process_index() if are_several() else 0


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return index() == 0


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Each process does this by itself; then they wait for each other, and a mistake ends all.

    Raises:
        UserError: the mistake of another process.
    """
    if count() == 1:
        yield
        return
    mistake: Exception | None = None
    try:
        yield
    except Exception as error:
        mistake = error
    texts = _all_texts("" if mistake is None else one_line(mistake))
    if mistake is not None:
        raise mistake
    for process, text in enumerate(texts):
        if text:
            raise UserError(f"process {process}: {text}")


def after_first(action: Callable[[], Result]) -> Result:
    """The result of an action that the first process does before the others, who find it done."""
    results = []
    for is_mine in (is_first(), not is_first()):
        with together():
            results += [action()] if is_mine else []
    return results[0]


def each(items: Iterator[Item]) -> Iterator[Item]:
    """The items of every process, each of them made `together`."""
    while True:
        with together():
            several = list(itertools.islice(items, 1))
        if not several:
            return
        yield several[0]


def _all_texts(text: str) -> list[str]:
    """The first bytes of a text of each process."""
    import numpy as np
    from jax.experimental import multihost_utils

    sent = np.zeros(MESSAGE_BYTES, np.uint8)
    part = np.frombuffer(text.encode()[:MESSAGE_BYTES], np.uint8)
    sent[: len(part)] = part
    rows = multihost_utils.process_allgather(sent)
    return [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows]


def largest(number: int) -> int:
    """The largest of a number of each process."""
    if count() == 1:
        return number

    import numpy as np
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.int32(number)).max())


def from_first(value: Any) -> Any:
    """A value that JSON can hold, as process 0 has it."""
    if count() == 1:
        return value

    import numpy as np
    from jax.experimental import multihost_utils

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    sent = np.zeros(size, np.uint8)
    sent[: min(size, len(text))] = text[:size]
    return json.loads(multihost_utils.broadcast_one_to_all(sent).tobytes())


def require_alike(settings: Mapping[str, Any]) -> None:
    """Refuses processes of which one was called with other settings than the first.

    Raises:
        UserError: naming them, in every process.
    """
    if count() == 1:
        return
    settings = {name: str(value) for name, value in settings.items()}
    first = from_first(settings)
    with together():
        differing = [
            f"{name}={settings.get(name)} where process 0 has {name}={first.get(name)}"
            for name in sorted(first.keys() | settings.keys())
            if settings.get(name) != first.get(name)
        ]
        if differing:
            raise UserError(f"{'; '.join(differing)}: all need the same command")


def gathered(tree: Any) -> Any:
    """Arrays that are spread over processes, or devices, whole and in this process's memory."""
    import jax
    from jax.experimental import multihost_utils

    if count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)
