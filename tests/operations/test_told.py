"""What the documents tell of findings, errors and figures is all there is, in the words of the package."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from hybridstore import errors
from hybridstore.operations.figures import CATALOGUE
from hybridstore.operations.findings import KINDS
from tests.operations.seeding import REPOSITORY

DOCS = REPOSITORY / "docs"


def rows(document: str, section: str) -> list[list[str]]:
    """Return the cells of the table in a section of a document."""
    text = (DOCS / document).read_text(encoding="utf-8")
    body = re.split(r"^## ", text.partition(f"\n## {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_every_finding_is_explained_in_its_own_words() -> None:
    told = {row[0].strip("`"): row[1:] for row in rows("troubleshooting.md", "What the doctor finds")}
    assert told.keys() == KINDS.keys()
    for code, (severity, means, remedy) in told.items():
        assert (severity, means) == (KINDS[code].severity, KINDS[code].means), code
        assert len(remedy) > 10 or remedy == "the same", code


def test_every_code_that_a_check_gives_is_a_kind_and_the_other_way_round() -> None:
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in [
            *(REPOSITORY / "hybridstore" / "operations" / "checks").glob("*.py"),
            REPOSITORY / "hybridstore" / "operations" / "doctor.py",
        ]
    )
    named = {code for code in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', text) if not code.startswith("utf-")}
    assert named == KINDS.keys()


def test_every_error_is_explained() -> None:
    told = [row[0].strip("`") for row in rows("troubleshooting.md", "By error")]
    there = [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    ]
    assert sorted(told) == sorted(there)


@pytest.mark.parametrize("row", rows("troubleshooting.md", "By message"), ids=lambda row: row[0])
def test_every_message_that_is_told_of_is_one_of_the_package(row: list[str]) -> None:
    said = row[0].strip("\u201c\u201d")
    package = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "hybridstore").rglob("*.py")]
    assert any(said in text for text in package), said


def test_every_figure_is_told() -> None:
    told = {
        row[0].strip("`"): (row[-1], row[1].strip("`") or None) for row in rows("monitoring.md", "Figures")
    }
    assert told == {name: (about.means, about.label) for name, about in CATALOGUE.items()}


def test_codes_are_short_plain_words() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+){1,2}", code) for code in KINDS)
    assert all(kind.means.endswith(".") for kind in KINDS.values())
    assert Path(DOCS / "troubleshooting.md").stat().st_size > 0
