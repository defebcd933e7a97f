"""The pages are whole: links lead somewhere, names exist, versions and figures agree."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, blocks, files
from vae_jax.config import components

LINK = re.compile(r"!?\[[^\]]*\]\(([^)#]*)(?:#([^)]*))?\)")
CODE = re.compile(r"`((?:vae_jax/)?\w+(?:/\w+)*\.py)(?:: (\w+))?`")
OF_A_MACHINE = re.compile(
    r"(?<![\w.])/(?:home|tmp|work|Users|root)/|https?://(?!keepachangelog|semver)"
)
FOLDERS = (".", "vae_jax", "experiments")
EXAMPLES = {path for text in PAGES.values() for path in files(text)}
ABLATIONS = ("priors", "posteriors", "objectives", "likelihoods")
VERSION = re.compile(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


def anchors(text):
    """The fragments that a page's headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_links_lead_somewhere(page):
    for target, fragment in LINK.findall(PAGES[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if fragment:
            assert fragment in anchors(path.read_text()), f"{page}: {target}#{fragment}"


def test_code_that_is_named_exists(page):
    for path, name in CODE.findall(PAGES[page]):
        matching = [file for folder in FOLDERS if (file := ROOT / folder / path).exists()]
        assert matching or path in EXAMPLES, f"{page}: {path}"
        if name:
            nodes = ast.walk(ast.parse(matching[0].read_text()))
            assert name in {getattr(node, "name", "") for node in nodes}, f"{page}: {path}: {name}"


def test_nothing_of_a_machine(page):
    assert not OF_A_MACHINE.search(PAGES[page])


def test_python_is_formatted_to_fit(page):
    for code in blocks(PAGES[page], "python"):
        assert max(map(len, code.splitlines())) <= 100, code


def test_the_readme_fits_and_lists_every_part():
    text = PAGES["README.md"]
    assert len(text.splitlines()) <= 150
    for family in set(components.FAMILIES) - {"datasets"}:
        for name in components.names(family):
            assert f"`{name}`" in text, f"{family}: {name}"


def test_extending_has_a_section_for_each_family():
    headings = anchors(PAGES["docs/extending.md"])
    names = {"datasets": "data-sets", "sweeps.backends": "sweep-backends"}
    for family in components.FAMILIES:
        assert names.get(family, family.replace("_", "-")) in headings, family


@pytest.mark.parametrize("name", ABLATIONS)
def test_tables_have_the_numbers_of_the_experiments(name):
    file = ROOT / "experiments" / "ablations" / f"{name}.py"
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    section = re.split(r"^### ", PAGES["docs/results.md"], flags=re.MULTILINE)
    [text] = [part for part in section if part.lower().startswith(f"{name}\n")]
    numbers = re.findall(r"[+-]\d+\.\d+|± \d+\.\d+", docstring)
    assert len(numbers) > 9
    for number in numbers:
        assert number in text, number


def test_versions_agree_and_descend():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    versions = VERSION.findall((ROOT / "CHANGELOG.md").read_text())
    dates = [date for _, date in versions[1:]]
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == version
    assert dates == sorted(dates, reverse=True)
    assert all(dates)


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == version


def test_pictures_are_used():
    used = {target for text in PAGES.values() for target, _ in LINK.findall(text)}
    for picture in ROOT.glob("docs/*.png"):
        assert picture.name in {Path(target).name for target in used}, picture
