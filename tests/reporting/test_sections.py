"""The sections of a page: each number has a place, and each empty place a command that fills it."""

import shlex
from pathlib import Path

import pytest

from tests.quick_runs import quick_config
from tests.reporting.made import entry, number
from vae_jax.cli.commands import evaluate, sample
from vae_jax.cli.flags import Flags
from vae_jax.config import components
from vae_jax.evaluation.asked import asked_estimators
from vae_jax.reporting import run_plots, samples, sections
from vae_jax.reporting.sections import SECTIONS, missing, table

COMMANDS = {"evaluate": evaluate, "sample": sample}
DIFFUSION = {"prior": "denoising", "posterior": "diffused(steps=1000)", "likelihood": "inverted"}


def commands(*entries, workdir="runs/a b", figures=(), **changes):
    cfg = quick_config(**changes)
    each = [missing(s, Path(workdir), cfg, entries, figures) for s in SECTIONS]
    return [command for told in each for _, command in told]


def read(command):
    """The arguments of a command, as a shell and the program read it."""
    program, name, *words = shlex.split(command)
    assert program == "vae-jax"
    flags = Flags([name, *words])
    COMMANDS[name].flags(flags)
    return name, flags.read()


def test_a_place_that_nothing_fills_shows_a_command_that_the_program_takes():
    every = commands()
    assert len(every) >= 5
    for command in every:
        name, args = read(command)
        assert args.workdir == "runs/a b"
        if name == "evaluate":
            asked_estimators(args.estimators)
    assert "vae-jax sample --workdir='runs/a b'" in every
    bdmc = '--num_examples=100 --estimators="importance|bdmc"'
    assert f"vae-jax evaluate --workdir='runs/a b' {bdmc}" in every


def test_commands_are_of_the_split_the_checkpoint_and_the_number_of_examples_told():
    last = entry("train", 50, elbo=-1.0)
    last = last._replace(results=last.results | {"checkpoint": "last"})
    told = [read(command)[1] for command in commands(last, figures=("samples",))]
    assert told
    assert {args.split for args in told} == {"train"}
    assert {args.checkpoint for args in told} == {"last"}
    assert {args.num_examples for args in told} == {None}  # it has no more than 50
    other = entry("test of npz(path='b.npz')", 500, elbo=-1.0)
    told = [read(command)[1] for command in commands(other, figures=("samples",))]
    assert {args.data for args in told} == {"npz(path='b.npz')"}
    assert {args.num_examples for args in told} == {None, 100}


@pytest.mark.parametrize("place", [p for s in SECTIONS for p in s.places], ids=lambda p: p.tells)
def test_a_number_fills_its_place(place):
    given = {place.given: number(1.0)} if place.given else {}
    names = [name.replace("*", "1") for name in place.names]
    for name in names:
        filled = entry(**{name: number(1.0)} | given)
        [section] = [s for s in SECTIONS if place in s.places]
        told = missing(section, Path("runs"), quick_config(), [filled], ())
        assert not any(place.tells in tells.split("; ") for tells, _ in told)
        assert name in [line.name for line in table(section, [filled]).lines]


def test_an_estimator_that_is_not_there_is_not_offered(monkeypatch):
    monkeypatch.setattr(components, "names", lambda family: ["importance"])
    told = [command for command in commands() if " sample " not in command]
    assert told
    assert all("--estimators" not in command for command in told)


def test_a_diffusion_is_offered_no_importance_weights():
    told = commands(**DIFFUSION)
    assert any("bound(kl='one_layer')" in command for command in told)
    assert not any(word in command for command in told for word in ("importance", "|", "surgery"))


def test_what_needs_the_data_to_be_simulated_is_offered_there_alone(monkeypatch):
    monkeypatch.setattr(components, "names", lambda family: ["importance", "forward_kl"])
    assert not any("forward_kl" in command for command in commands(entry(elbo=-1.0)))
    told = commands(entry(elbo=-1.0, log_p_data=-0.5))
    assert any("forward_kl" in command for command in told)


def test_a_table_has_a_column_for_each_set_of_examples_that_it_tells_of():
    doubted = number(-0.5, remark="too few")  # this stands at the top
    whole, part = entry(elbo=-1.0), entry("first 10 of test", 10, log_p=doubted)
    told = table(sections.WAY, [whole, part])
    assert told.heads == ["test (100 examples)", "first 10 of test"]
    cells = {line.name: (*line.cells, line.remark) for line in told.lines}
    assert cells == {"elbo": ("-1.0 ± 0.2", "", ""), "log_p": ("", "-0.5 ± 0.2", "")}
    assert table(sections.LATENTS, [whole, part]) == ([], [])
    units = entry(collapsed_units=number(3.0, remark="1-3"))
    assert [line.remark for line in table(sections.LATENTS, [units]).lines] == ["1-3"]


def test_each_figure_has_one_place_and_words_in_its_place():
    names = sections.picture_names()
    assert len(names) == len(set(names))
    assert {*run_plots.NAMES, *samples.NAMES} <= set(names)
    assert all(p.alt for s in SECTIONS for p in s.pictures)
