"""The tables of a store, statement by statement: a change here is a new schema version.

``golden_ddl.sql`` was written once by ``GOLDEN_DDL=write pytest tests/schema/test_golden_ddl.py`` and is
written again only together with a migration.
"""

from __future__ import annotations

import os
from pathlib import Path

from hybridstore.schema.migrations import MIGRATIONS, SCHEMA_VERSION, pending
from hybridstore.schema.registry import Registry
from hybridstore.schema.sqlite import ddl, declaration_sha256
from hybridstore.store import HybridStore

GOLDEN = Path(__file__).with_name("golden_ddl.sql")


def declared() -> str:
    statements = [f"{text};\n" for dataset in Registry().values() for text in ddl(dataset).values()]
    return f"-- Schema version {SCHEMA_VERSION}.\n\n" + "\n".join(statements)


def test_the_schema_is_the_recorded_one() -> None:
    if os.environ.get("GOLDEN_DDL") == "write":
        GOLDEN.write_text(declared(), encoding="utf-8", newline="\n")
    assert declared() == GOLDEN.read_text(encoding="utf-8"), (
        "the schema changed: append a Migration that leads stores of the version before to it, and record it anew"
    )


def test_a_live_store_has_exactly_this_schema(tmp_path: Path) -> None:
    with HybridStore(tmp_path / "root") as store:
        live = store.database.readers.rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    texts = {text for (text,) in live if not text.startswith("CREATE TABLE sqlite_sequence")}
    recorded = GOLDEN.read_text(encoding="utf-8").split("\n\n", 1)[1]
    assert texts == set(recorded.removesuffix(";\n").split(";\n\n"))


def test_versions_count_up_by_one() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, SCHEMA_VERSION + 1))
    assert pending(0) == MIGRATIONS
    assert pending(SCHEMA_VERSION) == ()


def test_a_declaration_is_known_by_its_fingerprint() -> None:
    prints = {name: declaration_sha256(dataset) for name, dataset in Registry().items()}
    assert len(set(prints.values())) == len(prints)
    assert {len(value) for value in prints.values()} == {64}
