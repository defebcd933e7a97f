"""The pages of the documentation, and what of them can be run: files, programs, commands."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
}
FILE = re.compile(r"# (\S+\.py)\n")  # the first line of a block that is to be saved as a file


def blocks(text, language):
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def files(text):
    """Path -> content of the blocks that say where to save them."""
    return {FILE.match(b).group(1): b for b in blocks(text, "python") if FILE.match(b)}


def programs(text):
    """The other Python blocks, which make one program of a page."""
    return [b for b in blocks(text, "python") if not FILE.match(b)]


def commands(text):
    """The command lines of a page, each as a list of words; they may span lines."""
    words, unfinished = [], ""
    for line in "\n".join(blocks(text, "sh")).replace("\\\n", "").splitlines():
        unfinished = f"{unfinished}{line}\n"
        if is_closed(unfinished):
            words.append(shlex.split(unfinished, comments=True))
            unfinished = ""
    assert not unfinished, unfinished
    return [command for command in words if command]


def is_closed(text):
    """Whether every quotation mark has its other."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def sections(text):
    """Heading -> text of the sections of a page, headings of the second level."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
