"""What stands in README.md, CONTRIBUTING.md, docs/ and the heads of configs/: command lines, files, links, headings and tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from registry.environment import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A command line of a document, with the variables that stand before the command."""

    document: Path
    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {shlex.join(self.words)}"


def command_lines(document: Path) -> Iterator[Line]:
    """Every command of every bash block: continued lines joined, `a && b` and `x=$(a)` taken apart, comments left out.

    Of a block without a language, the lines that begin with `registry`.
    """
    for language, _, text in FENCE.findall(document.read_text()):
        for line in text.replace("\\\n", " ").splitlines():
            if language == "bash" or (not language and line.startswith("registry ")):
                yield from commands_in(line, document)


def sessions_in(document: Path) -> Iterator[tuple[list[str], str]]:
    """What a block without a language shows of a terminal: the words after `$`, and what the command says."""
    for language, _, text in FENCE.findall(document.read_text()):
        if not language and text.startswith("$ "):
            typed, _, said = text.removeprefix("$ ").partition("\n")
            yield shlex.split(typed), said


def header_lines(config: Path) -> Iterator[Line]:
    """The commands that a settings file opens with: indented comments."""
    for line in re.findall(r"^#   (.+)$", config.read_text(), re.MULTILINE):
        yield from commands_in(line, config)


def commands_in(line: str, document: Path) -> Iterator[Line]:
    if inner := re.search(r"\$\((?!id )([^()]*)\)", line):
        yield from commands_in(inner[1], document)
        line = line.replace(inner[0], "SUBSTITUTED")
    for part in re.split(r"\s&&\s", line):
        words = shlex.split(part, comments=True)
        variables = []
        while words and (found := ASSIGNMENT.fullmatch(words[0])):
            variables.append((found[1], found[2]))
            words = words[1:]
        if words:
            yield Line(document, tuple(words), tuple(variables))


def files_in(document: Path) -> dict[str, str]:
    """The files that a document writes out, by the titles of their blocks."""
    return {title: text for _, title, text in FENCE.findall(document.read_text()) if title}


def without_blocks(document: Path) -> str:
    return FENCE.sub("", document.read_text())


def spans(document: Path) -> list[str]:
    """What stands between backticks in the text; a table's cell writes a bar as `\\|`."""
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", without_blocks(document))]


def links(document: Path) -> list[str]:
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", without_blocks(document))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as a Git host and the site make them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def tables(document: Path) -> Iterator[list[list[str]]]:
    """Every table: its rows of cells, the columns' names first."""
    for block in re.findall(r"(?:^\|.*\|\n)+", without_blocks(document), re.MULTILINE):
        rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block.splitlines()]
        yield [rows[0], *rows[2:]]
