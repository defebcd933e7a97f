import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vae_jax.trackers import Tracked, Tracker, needs, remembered

logger = logging.getLogger(__name__)
FOLDER = "mlruns"  # beside the user, as MLflow's own is
AT_FIRST = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


@needs("mlflow", extra="mlflow")
def mlflow(
    run: Tracked, *, tracking_uri: str = "", experiment: str = "vae-jax", name: str = ""
) -> Tracker:
    """A run of MLflow, with the config as parameters; it goes on as the run does.

    Args:
        run: the run.
        tracking_uri: of a server, a database (`sqlite:///mlflow.db`, which the whole `mlflow`
            package can) or a folder (`file:///data/mlruns`); empty: as MLFLOW_TRACKING_URI says,
            else the folder `mlruns` here.
        experiment: of MLflow; it is made where it is not there.
        name: empty: the directory's; of many seeds `<setting>/seed_<i>`.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or Path(FOLDER).absolute().as_uri()
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri=uri)
    with _impatient():
        kept = remembered(run, "mlflow", lambda: _begun(client, uri, experiment, name or run.name))
        if kept["uri"] != uri:
            client = MlflowClient(tracking_uri=kept["uri"])
        id = kept["id"]
        client.update_run(id, status="RUNNING")
        _note(client, id, run.config)
    logger.info("mlflow: run %s in %s", id, kept["uri"])

    def log(step: int, metrics: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        client.log_batch(id, [Metric(n, float(v), now, step) for n, v in metrics.items()])

    return Tracker(log, lambda: client.set_terminated(id))


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Asks a server that is out of reach for seconds, not minutes, unless the user says how long.

    That is for the beginning. Later on the run has something to lose, and MLflow's own times hold.
    """
    new = {name: value for name, value in AT_FIRST.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def _begun(client: Any, uri: str, experiment: str, name: str) -> dict[str, str]:
    """The place and the id of a new run."""
    there = client.get_experiment_by_name(experiment)
    number = there.experiment_id if there else client.create_experiment(experiment)
    return {"uri": uri, "id": client.create_run(number, run_name=name).info.run_id}


def _note(client: Any, id: str, config: Mapping[str, Any]) -> None:
    """Logs the fields of a config; one that has changed is a tag, since no parameter changes."""
    known = client.get_run(id).data.params
    for field, value in config.items():
        if field not in known:
            client.log_param(id, field, value)
        elif known[field] != str(value):
            client.set_tag(id, f"config.{field}", str(value))
