"""Renamed and widened declarations: pure, every mention follows, and what would change a stored value is refused."""

from __future__ import annotations

import apsw
import msgspec
import pytest

from hybridstore.errors import InvalidValue, UnknownDataset
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.evolution import evolving_statements, renamed, widened
from hybridstore.schema.sqlite import ddl
from hybridstore.schema.types import LogicalType
from tests.tiered import OWN

NOTES = Dataset(
    name="notes",
    kind="event",
    doc="What somebody noted.",
    columns=(
        Column("note", LogicalType.NAME, "Its name."),
        Column("state", LogicalType.NAME, "note or done."),
        Column("score", LogicalType.MONEY, "A value."),
        Column("is_good", LogicalType.BOOLEAN, "Whether it is."),
        Column("noted_at", LogicalType.TIMESTAMP, "When."),
        Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it."),
    ),
    key=("note",),
    indexes=(Index(("note", "noted_at"), where="state = 'note' AND note > 'it''s a note' AND noted_at > 0"),),
    tiering=Tiering(
        time="noted_at", cluster=("note", "noted_at", "id"), when=("state", ("note",)), symbol="note"
    ),
)


def test_every_mention_of_a_column_follows_its_name() -> None:
    after = renamed(NOTES, "note", "remark")
    assert after.column_names[0] == "remark"
    assert after.key == ("remark",)
    (index,) = after.indexes
    assert index.columns == ("remark", "noted_at")
    assert index.where == "state = 'note' AND remark > 'it''s a note' AND noted_at > 0"
    assert after.tiering is not None
    assert (after.tiering.cluster, after.tiering.symbol) == (("remark", "noted_at", "id"), "remark")
    other = renamed(renamed(NOTES, "noted_at", "at_us"), "state", "stage").tiering
    assert other is not None
    assert (other.time, other.when) == ("at_us", ("stage", ("note",)))
    assert renamed(after, "remark", "note") == NOTES


@pytest.mark.parametrize("dataset", [NOTES, OWN], ids=lambda dataset: dataset.name)
def test_the_table_becomes_what_the_new_declaration_says(dataset: Dataset) -> None:
    changed = [
        renamed(dataset, name, f"other_{name}") for name in dataset.column_names if name != "recorded_at"
    ]
    changed += [
        widened(dataset, column.name, nullable=True)
        for column in dataset.columns
        if column.name not in (*dataset.key, "recorded_at")
        and not (column.nullable or _is_sorted_by(dataset, column.name))
    ]
    for after in changed:
        connection = apsw.Connection(":memory:")
        connection.execute("CREATE TABLE archive_moves (dataset, state, max_id, start_us, end_us)")
        connection.execute("CREATE TABLE dataset_state (dataset, mutations)")
        for statement in (*ddl(dataset).values(), *evolving_statements(dataset, after)):
            connection.execute(statement)
        found = dict(
            connection.execute("SELECT name, sql FROM sqlite_schema WHERE tbl_name = ?", (dataset.name,))
        )
        expected = ddl(after)
        assert {name: _normal(sql) for name, sql in found.items() if sql} == {
            name: _normal(sql) for name, sql in expected.items()
        }


def _normal(statement: str) -> str:
    return "".join(statement.split())


def _is_sorted_by(dataset: Dataset, name: str) -> bool:
    return dataset.tiering is not None and name in (*dataset.tiering.cluster, dataset.tiering.time)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("score", "note", "declared twice"),
        ("score", "Score", "cannot be a name"),
        ("score", "select", "cannot be a name"),
        ("score", "id", "cannot be a name"),
        ("recorded_at", "told_at", "filled by the store"),
        ("score", "recorded_at", "filled by the store"),
    ],
)
def test_names_that_cannot_be_are_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        renamed(NOTES, old, new)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownDataset, match="did you mean score"):
        renamed(NOTES, "scor", "value")
    with pytest.raises(UnknownDataset, match="did you mean score"):
        widened(NOTES, "scor", nullable=True)


def test_only_what_holds_every_value_is_wider() -> None:
    assert widened(NOTES, "note", LogicalType.TEXT).column("note").type is LogicalType.TEXT
    assert widened(NOTES, "is_good", LogicalType.INTEGER).column("is_good").type is LogicalType.INTEGER
    assert widened(NOTES, "score", nullable=True).column("score").nullable
    allowed = {(LogicalType.NAME, LogicalType.TEXT), (LogicalType.BOOLEAN, LogicalType.INTEGER)}
    for kind in LogicalType:
        if kind is LogicalType.BLOB:
            continue
        before = msgspec.structs.replace(NOTES, columns=(*NOTES.columns, Column("more", kind, "More.")))
        for other in LogicalType:
            if (kind, other) in allowed:
                assert widened(before, "more", other).column("more").type is other
                continue
            with pytest.raises(InvalidValue, match=r"cannot become|holds .* already"):
                widened(before, "more", other)


def test_a_key_keeps_what_its_rows_are_known_by() -> None:
    with pytest.raises(InvalidValue, match="key column note is nullable"):
        widened(NOTES, "note", nullable=True)
    keyed = msgspec.structs.replace(NOTES, key=("note", "is_good"))
    with pytest.raises(InvalidValue, match="part of the key"):
        widened(keyed, "is_good", LogicalType.INTEGER)
