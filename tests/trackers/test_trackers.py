"""Metrics reach each tracker by step, a run that goes on goes on there, and a failure costs a warning."""

import json
import os
import struct
import subprocess
import sys
import time

import pytest

from tests.quick_runs import quick_config
from vae_jax import UserError, config, fit
from vae_jax.config import components
from vae_jax.progress import said_when_late
from vae_jax.runs.directory import read_metrics
from vae_jax.trackers import Tracked, Tracker, needs
from vae_jax.trackers.mlflow import _impatient
from vae_jax.training import logs
from vae_jax.training.logs import Log

METRICS = [
    (12, {"bound": -3.5, "kl": 0.25}),
    (12, {"validation_bound": -4.0}),
    (24, {"bound": -3.0}),
]


def track(workdir, text, metrics=METRICS, step=0, **changes):
    """Opens trackers, tells them metrics and closes them, as a training does."""
    workdir.mkdir(parents=True, exist_ok=True)
    cfg = config.resolve(quick_config(trackers=text, **changes))
    with Log(workdir, cfg, step) as log:
        for at, values in metrics:
            log.write(at, at / 12, values)
    return workdir


def test_metrics_jsonl_is_always_there(tmp_path):
    track(tmp_path, "")
    assert [record["step"] for record in read_metrics(tmp_path)] == [12, 12, 24]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_tensorboard_reads_its_events(tmp_path):
    """By the records that TensorBoard defines, a later run's in place of those it goes on from."""
    track(tmp_path, "tensorboard")
    track(tmp_path, "tensorboard", [(24, {"bound": -2.0})], step=12)
    from tensorboardX.proto.event_pb2 import Event

    scalars = []
    for file in sorted((tmp_path / "events").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        content, at = file.read_bytes(), 0
        while at < len(content):  # length, its checksum, the event, its checksum
            [size] = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + size])
            scalars += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            at += 12 + size + 4
    assert sorted(scalars) == sorted(
        [
            *((name, step, value) for step, values in METRICS for name, value in values.items()),
            ("bound", 24, -2.0),
        ]
    )


def test_tensorboard_does_not_import_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise RuntimeError('imported')")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from vae_jax.trackers import Tracked
from vae_jax.trackers.tensorboard import tensorboard
tensorboard(Tracked(Path({str(tmp_path)!r}), {{}}, 0)).close()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def mlflow_runs(folder):
    """The runs of an MLflow store by name, as its own client reads them."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=folder.as_uri())
    experiment = client.get_experiment_by_name("vae-jax")
    return client, {
        run.info.run_name: run for run in client.search_runs([experiment.experiment_id])
    }


def test_mlflow_has_a_run_for_each_with_its_config_and_goes_on_in_it(tmp_path):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    text = f"mlflow(tracking_uri={(tmp_path / 'store').as_uri()!r})"
    for seed in (0, 1):
        track(tmp_path / "prior" / f"seed_{seed}", text, seed=seed)
    more = [(36, {"bound": -2.5})]
    track(tmp_path / "prior" / "seed_0", text, more, step=24, num_epochs=9)
    client, runs = mlflow_runs(tmp_path / "store")
    assert runs.keys() == {"prior/seed_0", "prior/seed_1"}
    run = runs["prior/seed_0"]
    points = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "bound")]
    assert points == [(12, -3.5), (24, -3.0), (36, -2.5)]
    assert run.data.metrics["kl"] == 0.25
    assert run.data.metrics["validation_bound"] == -4.0
    assert run.info.status == "FINISHED"
    assert run.data.params["latent_dim"] == "2"
    assert (run.data.params["num_epochs"], run.data.tags["config.num_epochs"]) == ("4", "9")
    assert runs["prior/seed_1"].data.params["seed"] == "1"


def test_mlflow_is_where_its_variable_says_or_here(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    track(tmp_path / "one", "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "theirs").as_uri())
    track(tmp_path / "two", "mlflow")
    for store, name in (("mlruns", "one"), ("theirs", "two")):
        assert mlflow_runs(tmp_path / store)[1].keys() == {name}


def wandb_records(workdir, sessions):
    """The records of offline files of Weights & Biases, once its own process has written them."""
    for _ in range(100):
        records = wandb_records_now(workdir)
        kinds = [record.WhichOneof("record_type") for record in records]
        if kinds.count("exit") == sessions and kinds[-1] in ("exit", "final"):
            return records
        time.sleep(0.1)
    raise AssertionError(kinds)


def wandb_records_now(workdir):
    """In their order: LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    records = []
    files = workdir.glob("wandb/offline-run-*/run-*.wandb")
    for file in sorted(files, key=lambda path: path.stat().st_mtime_ns):
        content, at = file.read_bytes(), 7  # after the header
        while at + 7 < len(content):
            [size] = struct.unpack_from("<H", content, at + 4)  # after a checksum
            if at + 7 + size <= len(content):
                records.append(Record.FromString(content[at + 7 : at + 7 + size]))
            at += 7 + size
    return records


def wandb_history(records):
    """`{step: {name: value}}`."""
    history = {}
    for record in records:
        if record.WhichOneof("record_type") == "history":
            items = {item.key or item.nested_key[0]: item for item in record.history.item}
            values = {n: json.loads(i.value_json) for n, i in items.items() if n[0] != "_"}
            history.setdefault(record.history.step.num, {}).update(values)
    return history


@pytest.mark.slow
def test_wandb_has_a_run_for_each_with_its_config_and_goes_on_in_it(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    text = "wandb(project='vae', mode='offline')"
    for seed in (0, 1):
        track(tmp_path / "prior" / f"seed_{seed}", text, seed=seed)
    time.sleep(1.1)  # its folders are named by the second
    more = [(36, {"bound": -2.5})]
    track(tmp_path / "prior" / "seed_0", text, more, step=24, num_epochs=9)
    sessions = {0: 2, 1: 1}
    records = {s: wandb_records(tmp_path / "prior" / f"seed_{s}", n) for s, n in sessions.items()}
    first = {12: {**METRICS[0][1], **METRICS[1][1]}, 24: METRICS[2][1]}
    assert wandb_history(records[0]) == {**first, 36: {"bound": -2.5}}
    assert wandb_history(records[1]) == first
    runs = {
        s: [r.run for r in rs if r.WhichOneof("record_type") == "run"] for s, rs in records.items()
    }
    ids = {seed: {run.run_id for run in of_seed} for seed, of_seed in runs.items()}
    assert [len(ids[0]), len(ids[1]), len(ids[0] | ids[1])] == [1, 1, 2]
    run = runs[0][0]
    assert (run.project, run.display_name, run.run_group) == ("vae", "prior/seed_0", "prior")
    updates = [r for r in records[0] if r.WhichOneof("record_type") in ("config", "run")]
    noted = {}
    for record in updates:
        kind = record.config if record.WhichOneof("record_type") == "config" else record.run.config
        noted |= {u.key: json.loads(u.value_json) for u in kind.update if u.key}
    assert (noted["latent_dim"], noted["num_epochs"]) == (2, 9)


@pytest.fixture
def failing(monkeypatch):
    """A tracker whose network breaks at step 24; what it was told."""
    told = []

    def factory(run: Tracked) -> Tracker:
        def log(step, metrics):
            if step == 24:
                raise ConnectionError("no route")
            told.append(step)

        return Tracker(log, lambda: told.append("closed"))

    build = components.build
    monkeypatch.setattr(
        logs.components, "build", lambda f, t: factory if t == "wandb" else build(f, t)
    )
    monkeypatch.setattr(logs.config, "listed", lambda text: ["wandb", "tensorboard"])
    return told


def test_a_tracker_that_fails_costs_a_warning_and_the_rest(tmp_path, failing, caplog):
    metrics = [*METRICS, (36, {"bound": -2.0})]
    track(tmp_path, "", metrics)
    assert failing == [12, 12]
    [record] = [r for r in caplog.records if r.levelname == "WARNING"]
    message = "wandb gets no more of this run, which goes on; metrics.jsonl has all"
    assert record.getMessage() == f"{message} (ConnectionError: no route)"
    assert [r["step"] for r in read_metrics(tmp_path)] == [12, 12, 24, 36]
    assert list((tmp_path / "events").iterdir())


def test_one_that_cannot_begin_is_refused_and_one_that_cannot_go_on_is_not(
    tmp_path, monkeypatch, caplog
):
    def factory(run: Tracked) -> Tracker:
        raise RuntimeError("no login\nat all")

    monkeypatch.setattr(logs.components, "build", lambda family, text: factory)
    with pytest.raises(
        UserError, match=r"config.trackers=mlflow.*: RuntimeError: no login at all; "
    ):
        track(tmp_path, "mlflow")
    track(tmp_path, "mlflow", step=12)
    assert "mlflow gets no more of this run, which goes on" in caplog.text
    assert len(read_metrics(tmp_path)) == len(METRICS)


def test_one_that_is_not_installed_is_refused_before_the_data_is_read(tmp_path, monkeypatch):
    @needs("no_such_module", extra="wandb")
    def factory(run: Tracked) -> Tracker:
        raise AssertionError

    monkeypatch.setattr(logs.components, "build", lambda family, text: factory)
    message = (
        r"config.trackers: no_such_module is not installed here.*pip install 'vae-jax\[wandb\]'"
    )
    with pytest.raises(UserError, match=message):
        fit(
            quick_config(trackers="wandb", data="npz(path='gone.npz')"),
            tmp_path / "new",
            quiet=True,
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tensorbord", "did you mean 'tensorboard'"),
        ("wandb(mode='fast')", "wandb: mode='fast'"),
        ("tensorboard, wandb", "separated by |"),
    ],
)
def test_what_is_none_is_refused(text, message):
    with pytest.raises(UserError, match=f"config.trackers: .*{message}"):
        config.resolve(quick_config(trackers=text))


def test_they_are_no_part_of_what_a_run_is():
    one, other = (config.resolve(quick_config(trackers=t)) for t in ("", "tensorboard|mlflow"))
    assert config.identity(one) == config.identity(other)
    assert other.trackers.startswith("tensorboard|mlflow(tracking_uri='', ")


def test_what_takes_long_is_said(caplog):
    with caplog.at_level("INFO", logger="vae_jax"):
        with said_when_late("100% slow", 0.02):
            time.sleep(0.2)
        with said_when_late("at once", 5.0):
            pass
    assert caplog.messages == ["100% slow"]


def test_mlflow_is_asked_for_seconds_unless_the_user_says_how_long(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with _impatient():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
