"""Flags: one value each, overrides of fields and of arguments, words for what is mistyped."""

import json
import re

import pytest
from absl.flags import MultiFlag

from tests.cli.test_cli import DIGITS, ROOT, call
from vae_jax.cli.flags import Flags
from vae_jax.cli.main import STOPPED, command_names, find_command
from vae_jax.config import default_config

TRAIN = ["train", f"--config={DIGITS}", "--workdir={tmp}"]


def flags_of(command):
    flags = Flags(["vae-jax"])
    find_command(command).flags(flags)
    return flags


def written(flag):
    """Two ways to give a flag."""
    if flag.boolean:
        return f"--{flag.name}", f"--no{flag.name}"
    return f"--{flag.name}=1", f"--{flag.name}=2"


SINGLE = [
    (command, *written(flags.values[name]))
    for command in command_names()
    for flags in [flags_of(command)]
    for name in flags.values
    if name == flags.values[name].name and name not in ("help", "debug")
    if not isinstance(flags.values[name], MultiFlag)
]


@pytest.mark.parametrize(("command", "one", "other"), SINGLE)
def test_a_flag_is_given_once(capsys, command, one, other):
    status, out, err = call(capsys, command, one, other)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"is given twice, {one} and {other}: it takes one value" in err
    assert "is given twice" in call(capsys, command, one, one)[2]


@pytest.mark.parametrize(
    "more",
    [
        ["--config.latent_dim=2", "--config.latent_dim=3"],
        ["--config.prior.components=2", "--config.prior.components=3"],
        ["--workdir", "a"],
        ["-workdir=a"],
        ["--config", DIGITS],
    ],
    ids=" ".join,
)
def test_however_it_is_written(capsys, more):
    assert "is given twice" in call(capsys, *TRAIN, *more)[2]


def test_what_follows_a_flag_is_its_value_not_a_flag(tmp_path):
    argv = ["train", "--workdir", str(tmp_path), "--config", DIGITS, "--config.prior", "mixture"]
    flags = Flags(argv)
    find_command("train").flags(flags)
    assert flags.read().config.prior == "mixture"


def config_of(*more):
    flags = Flags(["train", f"--config={DIGITS}", "--workdir=x", *more])
    find_command("train").flags(flags)
    return flags.read().config


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        (["--config.prior=mixture", "--config.prior.components=5"], "prior", "mixture(components=5)"),
        (["--config.prior.components=5", "--config.prior=mixture"], "prior", "mixture(components=5)"),
        (["--config.data.binarize='none'"], "data", "digits(binarize='none')"),
        (["--config.decoder.hidden=(3, 4)"], "decoder", "mlp(hidden=(3, 4), activation='tanh')"),
        (
            ["--config.optimizer=adam", "--config.optimizer.learning_rate=0.1"],
            "optimizer",
            "adam(learning_rate=0.1)",
        ),
        (
            ["--config.optimizer.learning_rate.init_value=0.5"],
            "optimizer",
            "adam(learning_rate=cosine_decay_schedule(init_value=0.5, decay_steps=num_steps))",
        ),
        (["--config.latent_dim=7"], "latent_dim", 7),
        (["--config.clip_norm=1"], "clip_norm", 1.0),
        (["--config.device=cpu"], "device", "cpu"),
    ],
)  # fmt: skip
def test_fields_and_arguments_are_overridden(more, field, value):
    assert config_of(*more)[field] == value


@pytest.mark.slow
def test_an_argument_is_trained_with_and_stored(capsys, tmp_path):
    flags = ["--config.prior=mixture", "--config.prior.components=3", "--config.num_epochs=1"]
    arguments = [f"--config={DIGITS}:quick", f"--workdir={tmp_path}", *flags]
    assert call(capsys, "train", *arguments)[0] == 0
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["prior"] == "mixture(components=3)"


@pytest.mark.slow
def test_commands_for_others_keep_the_arguments_that_were_given(capsys, tmp_path):
    given = ["--config.prior=mixture", "--config.prior.components=3", "--config.latent_dim=4"]
    asked = [f"--config={DIGITS}:quick", f"--workdir={tmp_path}", *given, "--print_commands"]
    _, out, _ = call(capsys, "sweep", *asked, "--grid=posterior=diag_normal|laplace")
    for line in out.splitlines():
        for flag in given:
            assert flag in line
    _, out, _ = call(capsys, "sweep", *asked, "--grid=prior=vamp|uniform")
    assert "prior.components" not in out


MISTYPED = [
    ([*TRAIN, "--num_epochs=5"], "unknown flag --num_epochs: did you mean --config.num_epochs?"),
    ([*TRAIN, "--latent_dims=5"], "did you mean --config.latent_dim?"),
    ([*TRAIN, "--work_dir=5"], "did you mean --workdir?"),
    (["evaluate", "--workdir=x", "--num_samples=3"], "did you mean --num_importance_samples?"),
    (["evaluate", "--workdir=x", "--zzz"], "unknown flag --zzz: there is --workdir, "),
    ([*TRAIN, "--config.latent_dim=five"], "config.latent_dim='five' is not of type int: a whole number"),
    ([*TRAIN, "--config.latent_dim=5.0"], "config.latent_dim='5.0' is not of type int"),
    ([*TRAIN, "--config.latent_dim="], "config.latent_dim='' is not of type int"),
    ([*TRAIN, "--config.clip_norm=much"], "config.clip_norm='much' is not of type float: a number"),
    ([*TRAIN, "--config.latent_dim"], "--config.latent_dim needs a value"),
    ([*TRAIN, "--config.prior.component=5"], "unknown argument of standard_normal 'component'"),
    ([*TRAIN, "--config.latent_dim.x=5"], "config.latent_dim has no argument 'x': it is no part"),
    ([*TRAIN, "--config.prior=mixture(components=5"], "cannot read 'mixture(components=5': '(' was never closed"),
    ([*TRAIN, "--config.prior=mixture(components=5))"], "cannot read 'mixture(components=5))': unmatched ')'"),
    ([*TRAIN, "--config.data=npz(path='a.npz)"], "unterminated string literal"),
    (["evaluate", "--workdir=x", "--estimators=importance(num_samples=5"], "'(' was never closed"),
    (["evaluate", "--workdir=x", "--estimators="], "cannot read ''"),
    (["sweep", f"--config={DIGITS}", "--workdir={tmp}", "--grid=prior=vamp(components=5|uniform"], "was never closed"),
    (["train", "--workdir={tmp}", f"--config={ROOT}/experiments/digit.py"], "experiments/digits.py?"),
    (["train", "--workdir={tmp}", f"--config={ROOT}/experiments/digits"], "experiments/digits.py?"),
    (["train", "--workdir={tmp}", f"--config={ROOT}/experiments"], "it is a directory; in it are"),
    (["train", "--workdir={tmp}", f"--config={ROOT}/pyproject.toml"], "is a Python file, FILE.py"),
    (["train", "--workdir={tmp}", "--config="], "--config= names no file"),
    (["train", "--workdir=", f"--config={DIGITS}"], "--workdir=DIR is needed"),
    (["evaluate", str(ROOT)], f"did you mean --workdir={ROOT}?"),
    (["evaluate", "runs/x"], "did you mean --workdir=runs/x?"),
    (["list", "mafs"], "did you mean 'maf'?"),
    (["data", "prepare", "mnits"], "did you mean 'mnist'?"),
    (["help", "trian"], "did you mean 'train'?"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), MISTYPED)
def test_what_is_mistyped_costs_one_helpful_line(capsys, tmp_path, arguments, expected):
    filled = [a.replace("{tmp}", str(tmp_path)) for a in arguments]
    status, out, err = call(capsys, *filled)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert expected in err
    assert not list(tmp_path.iterdir())


EXPERIMENTS = [
    ("import nowhere", r"line 1: ModuleNotFoundError: No module named 'nowhere'"),
    ("def get_config(:", r"line 1: SyntaxError"),
    ("\n\ndef get_config(arg=''):\n    return {}['x']\n", r"line 4: KeyError: 'x'"),
    ("x = 1", r"defines no function get_config"),
    ("def get_config():\n    return {'latent_dim': 2}\n", r"returns a dict, where a ConfigDict"),
    ("get_config = 3", r"defines no function get_config"),
]


@pytest.mark.parametrize(("text", "expected"), EXPERIMENTS)
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_an_experiment_file_that_fails_is_named_with_its_line(
    capsys, tmp_path, command, text, expected
):
    path = tmp_path / "mine.py"
    path.write_text(text)
    status, _, err = call(capsys, command, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert (status, err.count("\n")) == (2, 1)
    assert str(path) in err
    assert re.search(expected, err)


def test_an_argument_for_a_config_without_one_is_one_line(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from vae_jax import default_config as get_config\n")
    status, _, err = call(capsys, "train", f"--config={path}:x", f"--workdir={tmp_path / 'run'}")
    assert (status, err.count("\n")) == (2, 1)


def test_help_explains_each_field_and_flag_in_their_order(capsys):
    for command in command_names():
        status, out, _ = call(capsys, command, "--help")
        assert status == 0
        assert out == call(capsys, "help", command)[1]
        names = re.findall(r"^  --([a-z_]+)", out, re.MULTILINE)
        assert names[-2:] == ["debug", "help"] if "config" not in names else True
        assert "Example" in out
        assert max(map(len, out.splitlines())) <= 110
    _, out, _ = call(capsys, "train", "--help")
    for field in default_config():
        assert f"--config.{field}=" in out
    assert out.index("\n  --workdir") < out.index("\n  --config=") < out.index("\n  --debug")


def test_the_version(capsys):
    import vae_jax

    assert call(capsys, "--version") == (0, f"vae-jax {vae_jax.__version__}\n", "")


def test_list_shows_a_component(capsys):
    status, out, _ = call(capsys, "list", "maf", "laplace")
    assert status == 0
    assert "priors: maf(layers=4, hidden=(128,))" in out
    assert {"priors", "posteriors", "likelihoods"} <= set(re.findall(r"^(\w+): laplace", out, re.M))


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_jax.runs.parts.make_dataset", interrupted)
    status, _, err = call(capsys, "train", f"--config={DIGITS}", f"--workdir={tmp_path}")
    assert status == 130
    assert err == f"vae-jax: {STOPPED}\n"
