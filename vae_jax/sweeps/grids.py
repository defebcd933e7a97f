"""Grids: `"prior=a|b"` and ranges -> a list of overrides `{field: text}`, one a setting."""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.config.calls import alternatives
from vae_jax.errors import UserError

Overrides = dict[str, Any]  # config field, dotted for an argument of a part -> its value as text
RANGES: Mapping[str, Callable[[Any, float, float], float]] = {
    "uniform": lambda rng, low, high: rng.uniform(low, high),
    "log_uniform": lambda rng, low, high: math.exp(rng.uniform(math.log(low), math.log(high))),
    "integers": lambda rng, low, high: rng.integers(low, high, endpoint=True),
}
_RANGE = re.compile(rf"\b({'|'.join(RANGES)})\(([^(),=]+),([^(),=]+)\)")


def combine(
    grid: Sequence[str],
    zipped: Sequence[str] = (),
    listed: Sequence[Overrides] = (),
    *,
    num_random: int = 0,
    seed: int = 0,
) -> list[Overrides]:
    """The settings of a sweep.

    Args:
        grid: `"field=value|value|..."`, each multiplying with the others.
        zipped: the same, their values taken together, first with first; together they multiply
            with the others like one.
        listed: overrides that an experiment file lists; they multiply like one.
        num_random: how many settings to draw in place of all; the first of many are those of few.
        seed: of that drawing.

    Returns:
        Overrides, one setting each; a single empty one where nothing varies.

    Raises:
        UserError: for what cannot be read, a field given twice, values that do not pair, or
            ranges without `num_random`.
    """
    axes = [_options(text) for text in grid]
    if zipped:
        axes.append(_zip([_options(text) for text in zipped]))
    if listed:
        axes.append([dict(overrides) for overrides in listed])
    _require_distinct(axes)
    if num_random:
        return [_drawn(axes, np.random.default_rng([seed, i])) for i in range(num_random)]
    settings = [_merged(chosen) for chosen in itertools.product(*axes)]
    _require_no_range(settings)
    return settings


def _options(text: str) -> list[Overrides]:
    """`"latent_dim=2|10"` -> `[{"latent_dim": "2"}, {"latent_dim": "10"}]`."""
    field, equals, values = text.partition("=")
    if not (field.strip() and equals and values.strip()):
        raise UserError(f"cannot read {text!r}: write field=value|value|...")
    return [{field.strip().removeprefix("config."): value} for value in alternatives(values)]


def _zip(axes: list[list[Overrides]]) -> list[Overrides]:
    lengths = {next(iter(axis[0])): len(axis) for axis in axes}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{field} has {length}" for field, length in lengths.items())
        raise UserError(f"zipped fields need as many values each: {counts}")
    return [_merged(together) for together in zip(*axes, strict=True)]


def _merged(parts: Sequence[Overrides]) -> Overrides:
    return {field: value for part in parts for field, value in part.items()}


def _require_distinct(axes: list[list[Overrides]]) -> None:
    fields = [field for axis in axes for field in dict.fromkeys(f for o in axis for f in o)]
    if twice := sorted({field for field in fields if fields.count(field) > 1}):
        raise UserError(f"{twice[0]} is varied twice: write all its values in one place")


def _require_no_range(settings: list[Overrides]) -> None:
    for field, value in (item for setting in settings for item in setting.items()):
        if isinstance(value, str) and (span := _RANGE.search(value)):
            raise UserError(f"{field}: {span.group()} is a range: say how many with --random=N")


def _drawn(axes: list[list[Overrides]], rng: np.random.Generator) -> Overrides:
    chosen = _merged([axis[rng.integers(len(axis))] for axis in axes])

    def draw(match: re.Match) -> str:
        name, *bounds = match.groups()
        try:
            kind = int if name == "integers" else float
            low, high = map(kind, bounds)
            number = kind(RANGES[name](rng, low, max(low, high)))
        except ValueError as error:
            raise UserError(f"cannot draw from {match.group()}: {error}") from error
        if low >= high:
            raise UserError(f"cannot draw from {match.group()}: the first number is the lower one")
        rounded = number if kind is int else float(f"{number:.6g}")
        return repr(min(max(rounded, low), high))

    return {f: _RANGE.sub(draw, v) if isinstance(v, str) else v for f, v in chosen.items()}
