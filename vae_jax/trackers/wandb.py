import logging
import secrets
from typing import Any, Literal

from vae_jax.trackers import Tracked, Tracker, needs, remembered

logger = logging.getLogger(__name__)
SECONDS_TO_BEGIN = 20.0
SECONDS_TO_FINISH = 60.0  # without a network, what is left to send stays in the run's directory


@needs("wandb", extra="wandb")
def wandb(
    run: Tracked,
    *,
    project: str = "vae-jax",
    entity: str = "",
    name: str = "",
    group: str = "",
    mode: Literal["", "online", "offline", "disabled"] = "",
) -> Tracker:
    """A run of Weights & Biases, its files in `wandb/` of the run; it goes on as the run does.

    Args:
        run: the run.
        project: of Weights & Biases.
        entity: a user or a team; empty: as the login or WANDB_ENTITY says.
        name: empty: the directory's; of many seeds `<setting>/seed_<i>`.
        group: empty: of many seeds the setting.
        mode: empty: as WANDB_MODE says, else online; what is offline is sent by `wandb sync`.
    """
    import wandb as client

    id = remembered(run, "wandb", lambda: {"id": secrets.token_hex(4)})["id"]
    settings = client.Settings(
        console="off", silent=True, init_timeout=SECONDS_TO_BEGIN, finish_timeout=SECONDS_TO_FINISH
    )
    there: Any = client.init(
        project=project, entity=entity or None, name=name or run.name,
        group=group or run.group or None, mode=mode or None, id=id, resume="allow",
        dir=str(run.workdir), reinit="create_new", settings=settings,
    )  # fmt: skip
    there.config.update(dict(run.config), allow_val_change=True)
    sent = f"`wandb sync {there.settings.sync_dir}` sends it" if there.offline else there.url
    logger.info("wandb: %s", sent)
    return Tracker(lambda step, metrics: there.log(dict(metrics), step=step), there.finish)
