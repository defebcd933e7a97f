"""Parts as arguments of parts: read, checked, written in one way, and built."""

import sys
from typing import Annotated

import pytest
from numpyro.distributions import constraints

from vae_jax.config import components
from vae_jax.config.components import Family, Part, checked
from vae_jax.errors import UserError

LAYERED = """
from typing import Annotated
from numpyro.distributions import constraints
from vae_jax.config.components import Family, Part

def layered(
    spec,
    *,
    scale: Annotated[float, constraints.positive] = 1.0,
    top: Annotated[Part, Family("priors")] = "lab.leaf(size=3)",
    kl: Annotated[Part, Family("kl_estimators", "auto", "sampled")] = "auto",
    below: tuple[Annotated[Part, Family("priors")], ...] = (),
    other: Annotated[Part | None, Family("networks")] = None,
):
    return spec, scale, top, kl, below, other
"""
LEAF = """
from typing import Annotated
from numpyro.distributions import constraints

def leaf(spec, *, size: Annotated[int, constraints.positive_integer] = 1, by: float = 0.0):
    return f"leaf of {spec}, {size}, {by}"
"""
BELOW = ", below=(), other=None)"


@pytest.fixture(autouse=True)
def _lab(tmp_path, monkeypatch):
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "layered.py").write_text(LAYERED)
    (folder / "leaf.py").write_text(LEAF)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("lab", "lab.layered", "lab.leaf"):
        sys.modules.pop(name, None)


def resolved(arguments):
    return components.resolve("priors", f"lab.layered({arguments})")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "scale=1.0, top=lab.leaf(size=3, by=0.0), kl='auto'"),
        ("top=lab.leaf, scale=2", "scale=2.0, top=lab.leaf(size=1, by=0.0), kl='auto'"),
        ("top='lab.leaf(by=1)'", "scale=1.0, top=lab.leaf(size=1, by=1.0), kl='auto'"),
        ("top=standard_normal, kl=sampled", "scale=1.0, top=standard_normal, kl='sampled'"),
        (
            "kl=stratified",
            "scale=1.0, top=lab.leaf(size=3, by=0.0), kl=stratified(least_replicates=8)",
        ),
        (
            "top=lab.layered(top=lab.leaf, kl='stratified(least_replicates=4)', scale=3)",
            "scale=1.0, top=lab.layered(scale=3.0, top=lab.leaf(size=1, by=0.0), "
            f"kl=stratified(least_replicates=4){BELOW}, kl='auto'",
        ),
    ],
)
def test_two_ways_of_writing_a_part_are_one(arguments, expected):
    assert resolved(arguments) == f"lab.layered({expected}{BELOW}"
    assert components.resolve("priors", resolved(arguments)) == resolved(arguments)


def test_parts_in_a_tuple_and_one_that_may_be_missing():
    text = resolved("below=(lab.leaf, 'standard_normal'), other=mlp(hidden=(3,))")
    below = "(lab.leaf(size=1, by=0.0), standard_normal)"
    assert f"below={below}, other=mlp(hidden=(3,), activation='tanh', gated=False)" in text
    assert components.resolve("priors", text) == text
    one = resolved("below=[lab.leaf]")
    assert "below=(lab.leaf(size=1, by=0.0),)" in one
    assert components.resolve("priors", one) == one


def test_a_part_reaches_the_function_with_its_arguments_bound():
    text = (
        "lab.layered(top=lab.layered(scale=5.0, kl=stratified(least_replicates=3)),"
        " below=('lab.leaf(size=7)',), other=None)"
    )
    spec, scale, top, kl, below, other = components.build("priors", text)("x")
    assert (spec, scale, kl, other) == ("x", 1.0, "auto", None)
    assert [part("z") for part in below] == ["leaf of z, 7, 0.0"]
    spec, scale, top, kl, below, other = top("y")
    assert (spec, scale, below) == ("y", 5.0, ())
    assert top("z") == "leaf of z, 3, 0.0"  # the default, a text in the signature
    assert callable(kl)
    assert kl.__name__ == "stratified"


def test_an_argument_of_a_part_of_a_part_is_replaced():
    text = resolved("kl=stratified, top=lab.layered(top=lab.leaf)")
    text = components.replace(text, "kl.least_replicates", "4")
    text = components.replace(text, "top.top.size", "9")
    assert "kl=stratified(least_replicates=4)" in text
    assert "top=lab.leaf(size=9, by=0.0)" in text
    assert components.replace("f(kl='g')", "kl.a", "1") == "f(kl=g(a=1))"
    assert components.replace("f(kl='g(a=2, b=3)')", "kl.a", "1") == "f(kl=g(a=1, b=3))"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("top=lab.lef", "no module 'lab.lef'"),
        ("top=standart_normal", "unknown prior 'standart_normal': did you mean 'standard_normal'"),
        ("kl=stratifed", "unknown kl_estimator 'stratifed': did you mean 'stratified'"),
        ("kl='atuo'", "unknown kl_estimator 'atuo': did you mean 'auto'"),
        ("kl=stratified(least=4)", "unknown argument of stratified 'least'"),
        ("kl='plain(a=4)'", "unknown argument of plain 'a': there is no argument"),
        ("top=lab.leaf(size=0)", "lab.leaf: size=0: a positive integer is needed"),
        ("top=lab.layered(top=lab.leaf(size=1.5))", "lab.leaf: size=1.5 is not of type int"),
        ("below=(lab.leaf, lab.leaf(size=-2))", "lab.leaf: size=-2: a positive integer is needed"),
        ("top=3", "lab.layered: top=3 is not one of priors"),
        ("kl=None", "lab.layered: kl=None is not one of kl_estimators"),
        ("top=f(1)", "cannot read"),
        ("scale=lab.leaf", "lab.layered: scale=lab.leaf is not of type float"),
    ],
)
def test_a_mistake_in_a_part_of_a_part_is_named(arguments, expected):
    for use in (components.resolve, components.build):
        with pytest.raises(UserError) as caught:
            use("priors", f"lab.layered({arguments})")
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_mistake_that_a_part_finds_itself_names_the_part(tmp_path):
    (tmp_path / "lab" / "picky.py").write_text(
        "from vae_jax.errors import UserError\n"
        "def picky(spec, *, low: float = 1.0, high: float = 0.0):\n"
        "    raise UserError('the box is empty')\n"
    )
    _, _, top, *_ = components.build("priors", "lab.layered(top=lab.picky(low=2.0))")("x")
    with pytest.raises(UserError, match=r"^lab.picky: the box is empty$"):
        top("y")


def test_a_checked_function_takes_parts_as_a_config_does():
    @checked
    def bound(
        key,
        *,
        kl: Annotated[Part, Family("kl_estimators", "auto")] = "stratified",
        beta: Annotated[float, constraints.nonnegative] = 1.0,
    ):
        return key, kl, beta

    assert bound(1)[1].__name__ == "stratified"
    assert bound(1, kl="auto")[1:] == ("auto", 1.0)
    assert bound(1, kl=print, beta=2)[1:] == (print, 2.0)
    with pytest.raises(UserError, match="unknown kl_estimator 'pline': did you mean 'plain'"):
        bound(1, kl="pline")
