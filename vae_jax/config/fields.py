"""An experiment's configuration, one flat ConfigDict: defaults, validation, JSON."""

import ast
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, FieldReference

from vae_jax.config import components, optimizers, ranges
from vae_jax.config.calls import alternatives
from vae_jax.config.meshes import mesh_sizes
from vae_jax.errors import UserError, unknown
from vae_jax.places import look_for_data_in, look_in, moved

FAMILY_OF = {
    "data": "datasets",
    "encoder": "networks",
    "decoder": "networks",
    "posterior": "posteriors",
    "prior": "priors",
    "likelihood": "likelihoods",
    "objective": "objectives",
}
ENVIRONMENT = "environment.json"  # beside the config of a run
SEVERAL_OF = {"trackers": "trackers"}  # fields that name parts of a family, joined by |
WORDS = {int: "a whole number", float: "a number", str: "a text"}
# May differ when a run goes on elsewhere, or beside other seeds.
NOT_IDENTITY = (
    *("device", "max_device_bytes", "num_seeds", "seeds_at_once", "mesh"),
    *("log_every_steps", "trackers"),
)


# Each field's default, and what it is.
SEVERAL = ("latent_dim",)  # whole numbers, or tuples of such
FIELDS: Mapping[str, tuple[Any, str]] = {
    "data": ("digits", "the data set"),
    "given": ("", "the condition: labels, or a named array; labels(embedding=8) learns columns"),
    "encoder": ("mlp", "the network from x to the parameters of q(z|x)"),
    "decoder": ("mlp", "the network from z to the parameters of p(x|z)"),
    "latent_dim": (10, "the number of dimensions of z; of several layers (TOP, ..., LAST)"),
    "posterior": ("diag_normal", "q(z|x)"),
    "prior": ("standard_normal", "p(z)"),
    "likelihood": ("bernoulli", "p(x|z)"),
    "objective": ("elbo", "the bound that training maximizes"),
    "precision": ("float32", "of the networks' products; bfloat16 keeps float32 parameters"),
    "optimizer": ("adam(learning_rate=1e-3)", "one of optax's; num_steps is the run's length"),
    "clip_norm": (0.0, "the global norm that the gradient is clipped to; 0: not clipped"),
    "ema_decay": (0.0, "of the average of parameters that is evaluated; 0: no average"),
    "batch_size": (100, "examples of an update"),
    "num_epochs": (100, "passes over the training split"),
    "eval_every_epochs": (1.0, "epochs from one validation and checkpoint to the next"),
    "log_every_steps": (1000, "updates in one call of the device, at most"),
    "patience": (0, "validations without a better bound that end a run; 0: none does"),
    "init_from": ("", "RUN or RUN:STEP, whose parameters are taken where they fit"),
    "trackers": ("tensorboard", "where metrics go besides metrics.jsonl, joined by |"),
    "seed": (0, "of all that is random"),
    "num_seeds": (1, "runs, of seed, seed + 1, ..., each in a directory of its own"),
    "seeds_at_once": (0, "seeds trained along one axis; 0: the program chooses"),
    "device": ("auto", "auto, cpu, gpu or tpu"),
    "mesh": ("", "data=D, model=M: devices that split a batch, and large arrays; '': data alone"),
    "max_device_bytes": (4 * 2**30, "larger training sets are streamed"),
}


def default_config() -> ConfigDict:
    """The fields there are, with their defaults; an experiment file changes what it needs."""
    fields = {name: default for name, (default, _) in FIELDS.items()}
    either = {name: FieldReference(fields[name], field_type=object) for name in SEVERAL}
    return ConfigDict(fields | either)


def described() -> dict[str, str]:
    """Each field as help has it: `prior=standard_normal` -> `p(z), one of priors`."""
    lines = {}
    for name, (default, about) in FIELDS.items():
        family = f", one of {FAMILY_OF[name]}" if name in FAMILY_OF else ""
        family = f", of {SEVERAL_OF[name]}" if name in SEVERAL_OF else family
        lines[f"{name}={default}"] = about + family
    return lines


def is_quick(arg: str) -> bool:
    """Whether an experiment file was given the argument `quick`, as in `FILE.py:quick`.

    Raises:
        UserError: for any other argument.
    """
    if arg not in ("", "quick"):
        raise UserError(f"argument {arg!r} of the experiment file: there is 'quick'")
    return arg == "quick"


def resolve(config: ConfigDict) -> ConfigDict:
    """The config with every default filled in, also those of its components, and validated.

    Raises:
        UserError: for an unknown field, a wrong type or range, an unknown component or argument.
    """
    full = default_config()
    for name, value in config.items():
        if name not in full:
            raise unknown("config field", name, full)
        full[name] = _coerce(name, value, full[name])
    for name, family in FAMILY_OF.items():
        full[name] = in_field(name, components.resolve, family, full[name])
    for name, family in SEVERAL_OF.items():
        parts = [
            in_field(name, components.resolve, family, text)
            for text in in_field(name, listed, full[name])
        ]
        full[name] = "|".join(parts)
    full.optimizer = in_field("optimizer", optimizers.resolve, full.optimizer)
    _check_ranges(full)
    mesh_sizes(full)
    return full


def listed(text: str) -> list[str]:
    """`"tensorboard|wandb(project='x')"` -> its parts, none of an empty text."""
    return alternatives(text) if text.strip() else []


def in_field(name: str, function: Any, *args: Any) -> Any:
    """Calls the function, naming the config field in what it raises."""
    try:
        return function(*args)
    except UserError as error:
        raise UserError(f"config.{name}: {error}") from error


def _coerce(name: str, value: Any, default: Any) -> Any:
    if name in SEVERAL:
        return _one_or_several(name, value)
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise UserError(
            f"config.{name}={value!r} is not of type {wanted.__name__}: {WORDS[wanted]}"
        )
    return value


def _one_or_several(name: str, value: Any) -> Any:
    """A whole number, also of a tuple that has one alone, or a tuple of them."""
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not several or any(type(number) is not int for number in several):
        message = f"is not of type int: {WORDS[int]}, or (TOP, ..., LAST) of several layers"
        raise UserError(f"config.{name}={value!r} {message}")
    return several if len(several) > 1 else several[0]


def _check_ranges(config: ConfigDict) -> None:
    """Refuses a field of the config out of its range."""
    for name, constraints in _ranges().items():
        for constraint in constraints:
            ranges.require(f"config.{name}={config[name]}", config[name], constraint)


def _ranges() -> dict[str, tuple[Any, ...]]:
    """The ranges of the fields that are numbers."""
    from numpyro.distributions import constraints

    counts = ("latent_dim", "batch_size", "num_epochs", "log_every_steps", "num_seeds")
    sizes = ("max_device_bytes", "seed", "seeds_at_once", "patience")
    return {
        **dict.fromkeys(counts, (constraints.positive_integer,)),
        **dict.fromkeys(sizes, (constraints.nonnegative_integer,)),
        "eval_every_epochs": (constraints.positive,),
        "clip_norm": (constraints.nonnegative,),
        "ema_decay": (constraints.nonnegative, constraints.less_than(1.0)),
    }


def override(config: ConfigDict, field: str, value: Any) -> None:
    """Sets a field, or an argument of the part that a field names.

    Args:
        config: what is changed.
        field: `latent_dim`, `prior`, or dotted: `prior.components`.
        value: text as on a command line, or a value of the field's type.

    Raises:
        UserError: for a field that is not there, or a value that it cannot have.
    """
    name, _, argument = field.removeprefix("config.").partition(".")
    if name not in config:
        raise unknown("config field", name, config)
    if argument and name not in (*FAMILY_OF, "optimizer"):
        raise UserError(f"config.{name} has no argument {argument!r}: it is no part")
    text = value if isinstance(value, str) else repr(value)
    if argument:
        value = in_field(name, components.replace, config[name], argument, text)
    with config.ignore_type():
        config[name] = _coerce(name, _literal(value, config[name]), config[name])


def override_all(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
    """`override` for many fields, parts before their arguments."""
    for field in sorted(overrides, key=lambda field: field.count(".")):
        override(config, field, overrides[field])


def _literal(value: Any, default: Any) -> Any:
    """Text as a value of the default's type, or as a tuple, where it is one."""
    if not isinstance(value, str):
        return value
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(value) if value.startswith("(") else type(default)(value)
    return value


def sizes(config: ConfigDict) -> tuple[int, ...]:
    """The sizes of the layers of z, the top one first; one where there is one layer."""
    several = config.latent_dim
    return tuple(several) if isinstance(several, list | tuple) else (several,)


def seeds(config: ConfigDict) -> range:
    """The seeds of the runs that a config asks for."""
    return range(config.seed, config.seed + config.num_seeds)


def of_seed(config: ConfigDict, seed: int) -> ConfigDict:
    """The config of one run among those of many seeds."""
    return ConfigDict({**config.to_dict(), "seed": seed, "num_seeds": 1})


def identity(config: ConfigDict) -> str:
    """A text that the runs of one setting share, whatever their seed and device."""
    fields = {k: v for k, v in config.items() if k not in (*NOT_IDENTITY, "seed")}
    return json.dumps(fields, sort_keys=True)


def differences(one: ConfigDict, other: ConfigDict) -> dict[str, str]:
    """`field: value -> value` by field, for each in which two runs differ as runs."""
    fields = [name for name in one if name not in NOT_IDENTITY and one[name] != other.get(name)]
    return {name: f"{name}: {one[name]!r} -> {other.get(name)!r}" for name in fields}


def read(path: Path) -> ConfigDict:
    """Reads the config of a run directory, validated.

    Raises:
        UserError: if there is none, or it is not one.
    """
    cfg = ConfigDict(_stored(path))
    with contextlib.suppress(UserError):  # where the user's own parts were when it was trained
        _look_where_it_was_trained(path.resolve().parent, _stored(path.with_name(ENVIRONMENT)))
    try:
        return resolve(cfg)
    except UserError as error:
        if "Python path" not in str(error):
            raise
        raise UserError(f"{error}; PYTHONPATH=DIR says where the module is") from error


def _look_where_it_was_trained(workdir: Path, environment: Mapping[str, Any]) -> None:
    """Lets modules and data be found where a run had them, or beside it as they lay then."""
    before = environment.get("workdir")

    def places(name: str) -> list[str]:
        folders = environment.get(name, ())
        return [*folders, *(moved(folder, before, workdir) for folder in folders)]

    look_in(places("python_path"))
    look_for_data_in([*places("directories"), str(workdir)], before, workdir)


def stored(path: Path) -> ConfigDict:
    """The config of a run directory as it was written, resolved: its parts need not be importable.

    Raises:
        UserError: if there is none, or it is not one.
    """
    defaults = {name: default for name, (default, _) in FIELDS.items()}
    return ConfigDict({**defaults, **_stored(path)})


def _stored(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if path.is_symlink():
            gone = f"{path.parent} shows a run that is not in {path.readlink().parent} any more"
            raise UserError(f"{gone}: --output shows it anew") from error
        raise UserError(f"{path.parent} holds no run: there is no {path.name}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
