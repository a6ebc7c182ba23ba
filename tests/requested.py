"""The document of the requested system: where it is, and what it says, piece by piece.

The document is not part of this repository. ``HYBRIDSTORE_REQUESTED_SYSTEM`` names it; else it is looked for beside
the working copy.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
VARIABLE = "HYBRIDSTORE_REQUESTED_SYSTEM"

DOCUMENT_ROOT = "D:/trading_data"

_FENCE = re.compile(r"^```(?P<language>\w*)$")
_HEADING = re.compile(r"^#+\s+(?P<title>.+)$")
_LIST_ITEM = re.compile(r"^(?:[-*]|\d+\.)\s+(?P<text>.+)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_OPTION = re.compile(r"^    (?P<name>\w+)=")


class Item(NamedTuple):
    """One thing the document says.

    Attributes:
        number: Section and place in it, such as "7.3".
        section: The section's heading, without decoration.
        kind: sentence, bullet, row, line (of a drawing), snippet, option or comment (of a snippet).
        text: What it says; of a snippet its code.
    """

    number: str
    section: str
    kind: str
    text: str


def read_document() -> str:
    """Return the document; the test skips, saying so, where it is absent."""
    default = REPOSITORY.parent / "shared" / "mission" / "requested-system.md"
    path = Path(os.environ.get(VARIABLE) or default)
    if not path.is_file():
        pytest.skip(f"the document of the requested system is absent: {path} is no file (set {VARIABLE})")
    return path.read_text(encoding="utf-8")


def items_of(document: str) -> list[Item]:
    """Return everything a document says, in order.

    Args:
        document: Its text.

    Returns:
        One item for each sentence, list item, table row, line of a drawing, snippet, option and comment of a snippet.
    """
    items: list[Item] = []
    section, title, place = 0, "", 0
    for kind, text in _pieces(document):
        if kind == "heading":
            section, title, place = section + 1, re.sub(r"[^\w &,-]", "", text).strip(), 0
            continue
        place += 1
        items.append(Item(f"{section}.{place}", title, kind, text))
    return items


def snippets_of(document: str) -> list[tuple[str, str]]:
    """Return the Python snippets of a document, in order.

    Args:
        document: Its text.

    Returns:
        The section and the code of each.
    """
    return [(item.section, item.text) for item in items_of(document) if item.kind == "snippet"]


def snippet(document: str, section: str) -> str:
    """Return the Python snippet of a section."""
    (code,) = (code for title, code in snippets_of(document) if title == section)
    return code


def run(
    text: str,
    names: dict[str, Any],
    root: Path | None = None,
    then: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """Run a snippet with top-level ``await`` and what follows on the same loop; return the names it leaves."""
    ours = re.sub(r"\bsrc\.storage(\.integration_example)?\b", "hybridstore", text)
    if root is not None:
        ours = ours.replace(DOCUMENT_ROOT, root.as_posix())
    code = compile(ours, "<requested system>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)

    async def execute() -> None:
        result = FunctionType(code, names)()
        if inspect.isawaitable(result):
            await result
        if then is not None:
            await then()

    asyncio.run(execute())
    return names


def fill_in(text: str, arguments: str) -> str:
    """Put arguments where a snippet leaves them out."""
    assert text.count("...") == 1
    return text.replace("...", arguments)


def options_of(document: str, section: str) -> set[str]:
    """Return the names of the options a section sets."""
    found = [item for item in items_of(document) if item.kind == "option" and item.section == section]
    return {item.text.partition("=")[0] for item in found}


def _pieces(document: str) -> Iterator[tuple[str, str]]:
    lines = iter(document.splitlines())
    for line in lines:
        if fence := _FENCE.match(line):
            code = list(itertools.takewhile(lambda inner: not _FENCE.match(inner), lines))
            yield from _code_pieces(fence["language"], code)
        elif line.startswith("|"):
            header = next(lines)  # the rule below the head of the table
            assert set(header) <= set("|-: "), header
            yield from (("row", row) for row in itertools.takewhile(lambda row: row.startswith("|"), lines))
        else:
            yield from _prose_pieces(line.strip())


def _prose_pieces(line: str) -> Iterator[tuple[str, str]]:
    if heading := _HEADING.match(line):
        yield "heading", heading["title"]
    elif item := _LIST_ITEM.match(line):
        yield "bullet", item["text"]
    elif line:
        yield from (("sentence", sentence) for sentence in _SENTENCE_END.split(line))


def _code_pieces(language: str, code: list[str]) -> Iterator[tuple[str, str]]:
    if language != "python":
        yield from (("line", line) for line in code if line.strip())
        return
    yield "snippet", "\n".join(code) + "\n"
    constructs = any(re.match(r"\w+ = \w+\($", line) for line in code)
    for line in code:
        if constructs and _OPTION.match(line):
            yield "option", line.strip()
        elif line.strip().startswith("#"):
            yield "comment", line.strip()
