"""Named blocks of SQL: found by name, described, and never joined by a slip."""

from __future__ import annotations

import pytest

from hybridstore.named_sql import load_named_sql, parse_named_sql

TWO = """-- A header that says what the file is.

-- name: first_one
-- What it does,
-- in two lines.
SELECT 1;

-- name: second
-- Another.
SELECT 2 -- a remark
-- a comment inside
FROM t
WHERE a = :a
"""


def test_blocks_are_found_by_name() -> None:
    found = parse_named_sql(TWO)
    assert list(found) == ["first_one", "second"]
    assert len(found) == 2
    assert found["first_one"] == "SELECT 1"
    assert found["second"] == "SELECT 2 -- a remark\n-- a comment inside\nFROM t\nWHERE a = :a"
    assert found.statements["first_one"].doc == "What it does, in two lines."
    assert dict(found) == {"first_one": found["first_one"], "second": found["second"]}


def test_a_missing_block_is_named_with_its_file() -> None:
    with pytest.raises(KeyError, match=r"x\.sql has no block '-- name: third'"):
        parse_named_sql(TWO, "x.sql")["third"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1\n" + TWO, "SQL before the first"),
        (TWO + TWO, "used twice: first_one, second"),
        ("-- name: empty\n-- Nothing.\n", "'empty' has no SQL"),
        ("-- name: mute\nSELECT 1\n", "'mute' has no description"),
        ("-- name: empty\n-- Nothing.\n" + TWO, "'empty' has no SQL"),
        (
            TWO + "-- name: Wrong-Name\n-- Joined to the one before.\nDELETE FROM t\n",
            "not a block name.*Wrong-Name",
        ),
        (TWO + "-- Name: third\n-- Joined.\nDELETE FROM t\n", "not a block name"),
        (TWO + " --name : third\n-- Joined.\nDELETE FROM t\n", "not a block name"),
    ],
)
def test_a_slip_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_named_sql(text, "x.sql")
    assert "x.sql" in str(caught.value)


def test_an_empty_file_has_no_blocks() -> None:
    assert dict(parse_named_sql("-- Only words.\n")) == {}


@pytest.mark.parametrize("filename", ["queries.sql", "tiering.sql"])
def test_the_files_of_the_hot_tier(filename: str) -> None:
    found = load_named_sql("hybridstore.hot", filename)
    assert found
    assert all(statement.doc.endswith(".") for statement in found.statements.values())
    assert all(";" not in sql for sql in found.values())
