"""Jobs of a Slurm cluster, submitted by submitit, which are sent their units over the network."""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Client, Connection, wait
from pathlib import Path
from typing import Annotated, Any, cast

from numpyro.distributions import constraints

from vae_jax.config.extras import needs
from vae_jax.errors import UserError, counted
from vae_jax.sweeps import serving, shared_disk
from vae_jax.sweeps.pool import Heard, Lost, work_through
from vae_jax.sweeps.serving import GRACE_SECONDS, Calls
from vae_jax.sweeps.shared_disk import Surroundings
from vae_jax.sweeps.units import OnMessage, Stopped, Unit, Work, split

logger = logging.getLogger(__name__)
WAIT_SECONDS = 0.3
SLURM, PROGRAMS = "slurm", ("srun", "sbatch")
FOLDER = ".slurm"  # in the sweep's directory: what submitit writes
Address = tuple[str, int]


@needs("submitit", extra="slurm")
def slurm(
    units: Sequence[Unit],
    work: Work,
    on_message: OnMessage,
    stopped: Stopped,
    *,
    num_workers: Annotated[int, constraints.positive_integer] = 2,
    cpus: Annotated[int, constraints.positive_integer] = 1,
    gpus: Annotated[int, constraints.nonnegative_integer] = 0,
    minutes: Annotated[int, constraints.positive_integer] = 1440,
    partition: str = "",
    cluster: str = SLURM,
) -> None:
    """Jobs of a Slurm cluster, which work on one unit after another, as long as this program lives.

    A job that ends, at its time limit for example, is submitted again, and its unit tried once
    more, from its last checkpoints. All paths must be on a disk that the machines share.

    Args:
        units: the work, like what follows as `units.Backend` has it.
        work: likewise.
        on_message: likewise.
        stopped: likewise.
        num_workers: jobs.
        cpus: of each.
        gpus: likewise.
        minutes: the time limit of each.
        partition: of the cluster; empty: its default.
        cluster: slurm; local tries the same with processes of this machine.

    Raises:
        UserError: if there is no Slurm here, or a machine of it does not see the paths.
        Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
    """
    asked: dict[str, Any] = {"cpus_per_task": cpus, "gpus_per_node": gpus, "timeout_min": minutes}
    asked |= {"slurm_partition": partition} if partition else {}
    if not units:
        _executor(cluster, Path(FOLDER), asked)
        return
    shared = shared_disk.absolute(split(units, num_workers))
    with shared_disk.token_in(shared) as token:
        folder = Path(token.name).parent / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)  # the key of the connections is kept there
        executor = _executor(cluster, folder, asked)
        with Calls() as calls:
            jobs = _Jobs(executor, calls, work, shared_disk.surroundings(token))
            logger.info("%s submitted", counted(min(num_workers, len(shared)), "job"))
            work_through(shared, jobs, num_workers, on_message, stopped)


def _executor(cluster: str, folder: Path, asked: dict[str, Any]) -> Any:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # it would close others' log streams
    import submitit

    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if cluster == SLURM and missing:
        advice = "a login node of a cluster has it, or cluster='local' tries it with processes"
        raise UserError(f"cluster={cluster!r}: {missing[0]} is not here; {advice}")
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"cluster={cluster!r}: {' '.join(str(error).split())}") from error
    executor.update_parameters(name="vae-jax", **asked)
    return executor


class _Job:
    """A job, the unit that it works on, and its connection once it runs."""

    def __init__(self, name: str, job: Any):
        self.name, self.job = name, job
        self.unit: Unit | None = None
        self.connection: Connection | None = None


class _Jobs:
    """`pool.Workers`: jobs call back as they begin, and say who they are."""

    def __init__(self, executor: Any, calls: Calls, work: Work, around: Surroundings):
        self._executor, self._calls = executor, calls
        self._work, self._around = work, around

    def start(self, place: int) -> _Job:
        name = f"{place}-{secrets.token_hex(4)}"
        call = (self._calls.address, self._calls.key, name, self._work, self._around)
        return _Job(name, self._executor.submit(_serve, *call))

    def give(self, worker: _Job, unit: Unit) -> None:
        worker.unit = unit
        if worker.connection is not None:
            with contextlib.suppress(OSError):  # dead already: `hear` will say so
                worker.connection.send(unit)

    def hear(self, busy: Sequence[_Job]) -> Iterator[tuple[_Job, Heard]]:
        self._connect({job.name: job for job in busy})
        by_connection: dict[Any, _Job] = {j.connection: j for j in busy if j.connection}
        ready = wait(list(by_connection), WAIT_SECONDS) if by_connection else []
        for connection in ready:
            yield by_connection[connection], _heard(by_connection[connection])
        if not by_connection:
            time.sleep(WAIT_SECONDS)
        for job in busy:
            if job.connection is None and job.job.done():
                yield job, Lost(f"its job ended before it began: {job.job.paths.stderr}", False)
            elif job.connection and job.connection not in ready and job.job.done():
                yield job, _lost(job)  # its machine is gone, and could not say so

    def _connect(self, jobs: Mapping[str, _Job]) -> None:
        """Sends their units to the jobs that have begun since the last time."""
        for connection, (name, refused) in self._calls.new():
            if refused:
                raise UserError(refused)
            if name not in jobs:  # one that was lost, and that Slurm has begun again
                connection.close()
                continue
            jobs[name].connection = connection
            self.give(jobs[name], cast(Unit, jobs[name].unit))

    def stop(self, workers: Sequence[_Job]) -> None:
        for job in workers:
            if job.connection is None:
                job.job.cancel(check=False)
            else:
                job.connection.close()  # whereupon the job saves its state and ends
        deadline = time.monotonic() + GRACE_SECONDS + 2  # that it may save, and end
        while time.monotonic() < deadline and not all(job.job.done() for job in workers):
            time.sleep(WAIT_SECONDS)
        for job in workers:
            job.job.cancel(check=False)


def _heard(job: _Job) -> Heard:
    try:
        return job.connection.recv()  # type: ignore[union-attr]
    except (EOFError, OSError):
        return _lost(job)


def _lost(job: _Job) -> Lost:
    """The message about a job that is no more, of which Slurm begins no other."""
    job.job.cancel(check=False)
    return Lost(f"its job {job.job.job_id} is gone")


def _serve(address: Address, key: bytes, name: str, work: Work, around: Surroundings) -> None:
    """Calls back from a job, and works on the units that come."""
    missing, here = around.entered(), socket.gethostname()
    connection = Client(address, authkey=key)
    connection.send((name, missing and shared_disk.refusal(missing, here, "slurm")))
    if not missing:  # submitit would end the work ahead of the time limit, by an exception
        signal.signal(signal.SIGUSR2, lambda *_: os._exit(128 + signal.SIGUSR2))
        serving.serve(work, connection)
