import json
import subprocess
import sys
from pathlib import Path

import pytest

from vae_jax.cli.main import main

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "experiments" / "digits.py")
TINY = ["--config.encoder=mlp(hidden=(8,))", "--config.decoder=mlp(hidden=(8,))"]


def call(capsys, *arguments):
    """Exit status, what went to stdout and what to stderr."""
    sys.modules.pop("config_config", None)  # the experiment file of an earlier call
    status = main(["vae-jax", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run as `train` leaves it."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["vae-jax", "train", f"--config={DIGITS}:quick", f"--workdir={path}", *TINY]) == 0
    return path


def test_a_run_from_config_to_report(capsys, workdir):
    arguments = ("--num_importance_samples=20", "--iwae_samples=1,5", "--quadrature_points=60")
    status, out, _ = call(capsys, "evaluate", f"--workdir={workdir}", *arguments)
    assert status == 0
    assert "log_p_quadrature" in out
    numbers = json.loads((workdir / "results.json").read_text())["test"]["numbers"]
    assert f"{numbers['elbo']['mean']:.4f}" in out
    status, out, _ = call(capsys, "sample", f"--workdir={workdir}", "--num_samples=9")
    names = {Path(line).name for line in out.splitlines() if line.endswith(".png")}
    assert names == {
        "samples.png", "reconstructions.png", "interpolations.png", "traversals.png",
        "aggregated_posterior.png", "manifold.png", "dimensions.png",
    }  # fmt: skip
    assert "oth dimensions of z are used" in out or "collapsed" in out
    status, out, _ = call(capsys, "report", f"--workdir={workdir}")
    page = Path(out.strip()).read_text()
    assert status == 0
    assert page.count("<img ") == 10
    assert f"{numbers['log_p']['mean']:.4f}" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "diag_normal" in page


def test_train_again_without_a_config_goes_on(capsys, workdir):
    status, out, _ = call(capsys, "train", f"--workdir={workdir}")
    assert status == 0
    assert "240 steps are done" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "linear_gaussian", "mnist"])
def test_every_experiment_has_a_quick_mode(capsys, tmp_path, name):
    import os

    folder = Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / "mnist"
    if name == "mnist" and not folder.exists():
        pytest.skip("no MNIST in TFDS_DATA_DIR")
    config = f"--config={ROOT / 'experiments' / name}.py:quick"
    assert call(capsys, "train", config, f"--workdir={tmp_path}")[0] == 0
    if name != "mnist":
        assert (
            call(capsys, "evaluate", f"--workdir={tmp_path}", "--num_importance_samples=10")[0] == 0
        )
    assert call(capsys, "sample", f"--workdir={tmp_path}")[0] == 0
    assert call(capsys, "report", f"--workdir={tmp_path}")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "prior", "objective"),
    [
        ("pinwheel", "mixture(components=3)", "iwae(num_samples=3)"),
        ("two_moons", "standard_normal", "elbo(num_samples=2, beta=0.5, warmup_steps=9)"),
        ("gaussian_mixture", "mixture(components=3)", "elbo(kl='sampled')"),
        ("digits(binarize='none')", "standard_normal", "elbo(free_bits=0.1)"),
    ],
)
def test_parts_combine(capsys, tmp_path, data, prior, objective):
    changes = {"data": data, "prior": prior, "objective": objective, "num_epochs": 1,
               "likelihood": "normal", "batch_size": 500, "ema_decay": 0.9, "clip_norm": 1.0}  # fmt: skip
    overrides = [f"--config.{k}={v}" for k, v in changes.items()]
    arguments = (f"--config={DIGITS}", f"--workdir={tmp_path}", *TINY, *overrides)
    assert call(capsys, "train", *arguments)[0] == 0
    assert call(capsys, "evaluate", f"--workdir={tmp_path}", "--num_importance_samples=5")[0] == 0
    assert call(capsys, "sample", f"--workdir={tmp_path}")[0] == 0


TRAIN = ["train", f"--config={DIGITS}", "--workdir={tmp}"]
MISTAKES = [
    (["trian"], "did you mean 'train'"),
    (["train", f"--config={DIGITS}"], "--workdir=DIR is needed"),
    (["train", "--workdir={tmp}"], "--config=FILE is needed"),
    (["train", "--workdir={tmp}", "--config.prior=mixture"], "goes with --config=FILE"),
    (["train", "--workdir={tmp}", "--config={tmp}/nowhere.py"], "No such file"),
    (["train", "--workdir={tmp}", f"--config={ROOT}/vae_jax/types.py"], "get_config"),
    (["train", "--workdir={tmp}", f"--config={DIGITS}:quik"], "there is 'quick'"),
    (
        ["train", "--workdir={tmp}", f"--cofig={DIGITS}"],
        "unknown flag --cofig: did you mean --config?",
    ),
    ([*TRAIN, "--config.piror=mixture"], "did you mean 'prior'"),
    ([*TRAIN, "--config.prior=mixtur"], "did you mean 'mixture'"),
    ([*TRAIN, "--config.prior=mixture(component=3)"], "did you mean 'components'"),
    ([*TRAIN, "--config.prior=mixture(components='three')"], "not of type int"),
    ([*TRAIN, "--config.prior=mixture(components=0)"], "mixture: components=0: a positive integer"),
    ([*TRAIN, "--config.encoder=mlp(activation='tan')"], "did you mean 'tanh'"),
    ([*TRAIN, "--config.encoder=conv(channels=())"], "channels=(): at least one"),
    ([*TRAIN, "--config.optimizer=adm"], "did you mean 'adam'"),
    ([*TRAIN, "--config.latent_dim=two"], "config.latent_dim='two' is not of type int"),
    ([*TRAIN, "--config.latent_dim=0"], "latent_dim=0: a positive integer is needed"),
    ([*TRAIN, "--config.batch_size=5000"], "larger than the 1294 examples"),
    (
        [
            *TRAIN,
            "--config.likelihood=categorical(levels=100000000)",
            "--config.data=digits(binarize='none', values='levels')",
        ],
        "GB, and here are",
    ),
    *[
        ([*TRAIN, "--config.batch_size=1", f"--config.objective={name}"], "at least 2 examples")
        for name in ("beta_tc", "dip", "info_vae")
    ],
    ([*TRAIN, "--config.prior=vae_jax.likelihoods.normal"], "where a Prior is needed"),
    ([*TRAIN, "--config.data=npz"], "npz needs a file"),
    ([*TRAIN, "--config.device=gpu"], "device='gpu' is not there; here is cpu"),
    ([*TRAIN, "--config.data=npz(path='nowhere.npz')"], "no such file"),
    ([*TRAIN, "--config.data=linear_gaussian"], "the likelihood takes a number from 0 to 1"),
    (
        [*TRAIN, "--config.data=two_moons", "--config.likelihood=normal", "--config.encoder=conv"],
        "needs images",
    ),
    (
        [*TRAIN, "--config.prior=mixture", "--config.objective=elbo(kl='closed_form')"],
        "has no closed form",
    ),
    (
        [*TRAIN, "--config.prior=mixture", "--config.objective=elbo(free_bits=0.5)"],
        "free_bits needs",
    ),
    (["train", f"--config={DIGITS}", "--workdir=/proc/nowhere/run"], "cannot be written"),
    (["train", f"--config={DIGITS}", "--workdir={run}"], "holds a run of another config"),
    (["evaluate", "--workdir={tmp}"], "holds no run"),
    (["evaluate", "--workdir={run}", "--split=tets"], "did you mean 'test'"),
    (
        ["evaluate", "--workdir={run}", "--num_importance_samples=many"],
        "'many' is not a positive integer",
    ),
    (["evaluate", "--workdir={run}", "--num_importance_samples=0"], "not a positive integer"),
    (["evaluate", "--workdir={run}", "--iwae_samples=a,b"], "whole numbers"),
    (["evaluate", "--workdir={run}", "--checkpoint=7"], "holds no checkpoint 7: there is "),
    (
        ["evaluate", "--workdir={run}", "--checkpoint=worst"],
        "best, last or a number of updates is needed",
    ),
    (["evaluate", "--workdir={run}", "--device=tpu"], "is not there"),
    (["evaluate", "--workdir={run}", "test"], "unexpected argument 'test'"),
    (["sample", "--workdir={run}", "--seed=-1"], "not a non-negative integer"),
    (["report", "--workdir={tmp}"], "holds no run"),
    (["list", "piors"], "did you mean 'priors'"),
    (["data", "prepare"], "vae-jax data prepare NAME"),
]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    MISTAKES,
    ids=lambda v: " ".join(v)[-60:] if isinstance(v, list) else "",
)
def test_a_mistake_costs_one_line(capsys, tmp_path, workdir, arguments, expected):
    filled = [a.replace("{tmp}", str(tmp_path)).replace("{run}", str(workdir)) for a in arguments]
    status, out, err = call(capsys, *filled)
    assert status == 2, err
    assert out == ""
    assert expected in err
    assert err.startswith("vae-jax: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


OWN = """
from numpyro.distributions import Normal
from vae_jax.types import Prior, no_params

def flat(spec):
    return Prior(no_params, lambda params: Normal(0.0, 1.0).expand((spec.latent_dim,)))

def number(model, params, key, x, step=None):
    return 3.0
"""


@pytest.mark.parametrize(
    ("field", "name", "expected"),
    [("prior", "flat", ".to_event(1)"), ("objective", "number", "returns a Bound, not a float")],
)
def test_a_mistake_in_a_part_of_ones_own_costs_one_line(
    capsys, tmp_path, monkeypatch, field, name, expected
):
    (tmp_path / f"own_{name}").mkdir()
    (tmp_path / f"own_{name}" / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    part = f"--config.{field}=own_{name}.{name}"
    status, _, err = call(capsys, *TRAIN[:2], f"--workdir={tmp_path / 'run'}", part)
    assert (status, err.count("\n")) == (2, 1)
    assert expected in err
    assert not (tmp_path / "run").exists()


def test_a_syntax_error_in_ones_own_part_names_file_and_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "own_broken").mkdir()
    (tmp_path / "own_broken" / "broken.py").write_text("def broken(spec:\n")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [*TRAIN[:2], f"--workdir={tmp_path / 'run'}"]
    status, _, err = call(capsys, *arguments, "--config.prior=own_broken.broken")
    assert (status, err.count("\n")) == (2, 1)
    assert "own_broken.broken, line 1" in err


@pytest.mark.slow
def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "vae_jax", "report", f"--workdir={tmp_path}", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    command.pop()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"vae-jax: {tmp_path} holds no run: there is no config.json\n"


def test_help_and_lists(capsys):
    assert "evaluate" in call(capsys)[1]
    for command in ("train", "evaluate", "sample", "report", "list", "data"):
        status, out, _ = call(capsys, command, "--help")
        assert status == 0
        assert f"vae-jax {command}: " in out
    assert "--config.latent_dim" in call(capsys, "train", "--help")[1]
    status, out, _ = call(capsys, "list", "priors")
    assert "mixture(components=10)" in out
    assert "bernoulli" not in out
    assert "linear_gaussian" in call(capsys, "list")[1]
    assert "mnist" in call(capsys, "data", "list")[1]


@pytest.mark.slow
def test_greys_under_a_bernoulli_are_called_what_they_are(capsys, tmp_path, caplog):
    changes = ["--config.data=digits(binarize='none')", "--config.num_epochs=1"]
    assert (
        call(capsys, "train", f"--config={DIGITS}", f"--workdir={tmp_path}", *TINY, *changes)[0]
        == 0
    )
    assert "no log-likelihoods" in caplog.text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("prior", "vamp(components=0)", "vamp: components=0: a positive integer is needed"),
        ("prior", "vamp(components=2000, learned=False)", "they start as 1000 examples"),
        (
            "prior",
            "realnvp(layers=0, hidden=())",
            "realnvp: layers=0: a positive integer is needed",
        ),
        ("prior", "uniform", "q(z) reaches from -inf to inf, p(z) only from -1 to 1"),
        ("prior", "normal(scale=1e-50)", "a positive number is needed (in float32)"),
        ("posterior", "iaf(context=0)", "iaf: context=0: a positive integer is needed"),
        ("likelihood", "categorical(levels=1)", "levels=1: an integer of 2 or more is needed"),
        ("likelihood", "beta", "the likelihood takes"),
        ("objective", "tvo(partitions=0)", "partitions=0"),
        ("objective", "elbo(capacity=1.0, free_bits=0.1)", "exclude each other"),
        ("encoder", "mlp(activation='tahn')", "did you mean 'tanh'"),
        ("precision", "float16", "did you mean 'bfloat16'"),
        ("data", "digits(values='levels')", "goes with binarize='none'"),
        ("data", "gene_counts(seed=-1)", "seed=-1: an integer of 0 or more is needed"),
    ],
)
def test_a_part_that_cannot_be_is_one_line(capsys, tmp_path, field, value, expected):
    flags = [f"--config={DIGITS}", f"--workdir={tmp_path}", f"--config.{field}={value}"]
    status, _, error = call(capsys, "train", *flags)
    assert status == 2
    assert expected in error
    assert error.strip().count("\n") == 0


def test_list_names_the_paper(capsys):
    status, out, _ = call(capsys, "list", "priors", "objectives")
    assert status == 0
    assert "realnvp(layers=6, hidden=(128, 128))" in out
    assert "Dinh et al. 2017" in out
    assert "[Burda et al. 2016]" in out or "Burda et al. 2016" in out
