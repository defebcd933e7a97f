"""Prints how a package is laid out: files and lines per folder, and what is long in it.

    python -m docs.layout [FOLDER]

Compare two versions by calling it on both, the older one from `git worktree add`.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LONG_FUNCTION, LONG_FILE = 45, 250  # lines


def length(file: Path) -> int:
    """The lines of a file."""
    return len(file.read_text().splitlines())


def folders(package: Path) -> list[str]:
    """A line for each folder: its files and their lines, without those of folders inside."""
    lines = []
    for folder in sorted({file.parent for file in package.rglob("*.py")}):
        files, name = list(folder.glob("*.py")), folder.relative_to(package.parent)
        lines.append(f"{len(files):6} files {sum(map(length, files)):8,} lines  {name}")
    return lines


def files(package: Path) -> Iterator[tuple[int, str]]:
    """Each file's lines and name."""
    for file in package.rglob("*.py"):
        yield length(file), str(file.relative_to(package.parent))


def functions(package: Path) -> Iterator[tuple[int, str]]:
    """The lines and the name of each function and method, docstring and signature included."""
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield lines, f"{file.relative_to(package.parent)}: {node.name}"


def longest(kind: str, lengths: Iterable[tuple[int, str]], limit: int) -> list[str]:
    """How many are over a limit, and a line for each of them, the longest first."""
    over = sorted((item for item in lengths if item[0] > limit), reverse=True)
    head = f"{len(over)} {kind} over {limit} lines"
    return [head, *(f"{lines:6} lines  {name}" for lines, name in over)]


def main() -> None:
    """Prints all three."""
    package = Path(sys.argv[1] if len(sys.argv) > 1 else "vae_jax").resolve()
    lengths = [lines for lines, _ in files(package)]
    print(
        f"{package.name}: {len(lengths)} files, {sum(lengths):,} lines", *folders(package), sep="\n"
    )
    print("", *longest("functions", functions(package), LONG_FUNCTION), sep="\n")
    print("", *longest("files", files(package), LONG_FILE), sep="\n")


if __name__ == "__main__":
    main()
