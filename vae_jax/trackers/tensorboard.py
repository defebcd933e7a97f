import contextlib
import sys
from collections.abc import Iterator, Mapping

from vae_jax.trackers import Tracked, Tracker


def tensorboard(run: Tracked) -> Tracker:
    """TensorBoard's events, in `events/` of the run: `tensorboard --logdir=WORKDIR`."""
    with _without("torch"):
        from tensorboardX import SummaryWriter
    folder, apart = str(run.workdir / "events"), f".{run.step}"  # files are named by the second
    writer = SummaryWriter(folder, purge_step=run.step + 1, filename_suffix=apart)

    def log(step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    return Tracker(log, writer.close)


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Hides a module, which takes seconds to import: tensorboardX asks whether it is there."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
