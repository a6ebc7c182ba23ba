"""A declaration that contradicts itself is refused; what is derived from one agrees with it."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec
import pytest

from hybridstore.errors import InvalidValue, UnknownDataset
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.registry import Registry
from hybridstore.schema.sqlite import ddl, quote_text, statements
from hybridstore.schema.types import LogicalType

NAME, TIME, MONEY = LogicalType.NAME, LogicalType.TIMESTAMP, LogicalType.MONEY
INTEGER = LogicalType.INTEGER
COLUMNS = (Column("symbol", NAME, "Market."), Column("seen_at", TIME, "When."))
PLAIN: dict[str, Any] = {
    "name": "signals",
    "kind": "event",
    "doc": "What a strategy saw.",
    "columns": COLUMNS,
    "key": ("symbol", "seen_at"),
}


def tiers(*cluster: str, **options: Any) -> Tiering:
    return Tiering(time="seen_at", cluster=(*cluster, "seen_at", "id"), **options)


CONTRADICTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("upper case", {"name": "Signals"}, "'Signals' cannot be a name"),
    ("empty", {"name": ""}, "'' cannot be a name"),
    ("injection", {"name": "a; DROP TABLE trades"}, "cannot be a name"),
    ("sqlite", {"name": "sqlite_x"}, "'sqlite_x' cannot be a name"),
    ("too long", {"name": "x" * 64}, "cannot be a name"),
    ("digit", {"name": "1st"}, "'1st' cannot be a name"),
    ("row id", {"columns": (Column("id", NAME, "x"),), "key": ("id",)}, "'id' cannot be a name"),
    ("keyword", {"columns": (Column("order", NAME, "x"),), "key": ("order",)}, "'order' cannot be a name"),
    ("keyword table", {"name": "table"}, "'table' cannot be a name"),
    ("twice", {"columns": (Column("symbol", NAME, "x"),) * 2, "key": ("symbol",)}, "declared twice"),
    ("key", {"key": ("nothing",)}, "nothing is mentioned but not declared"),
    ("no key", {"key": ()}, "needs a key"),
    ("index", {"indexes": (Index(("nothing",)),)}, "nothing is mentioned"),
    ("time", {"tiering": Tiering(time="nothing", cluster=("id",))}, "nothing is mentioned"),
    ("cluster", {"tiering": Tiering(time="seen_at", cluster=("nothing",))}, "nothing is mentioned"),
    (
        "when",
        {"tiering": Tiering(time="seen_at", cluster=("id",), when=("nothing", ("x",)))},
        "nothing is mentioned",
    ),
    (
        "symbol",
        {"tiering": Tiering(time="seen_at", cluster=("id",), symbol="nothing")},
        "nothing is mentioned",
    ),
    ("time type", {"tiering": Tiering(time="symbol", cluster=("id",))}, "symbol is not a TIMESTAMP"),
    (
        "symbol type",
        {"columns": (*COLUMNS, Column("venue", INTEGER, "Where.")), "tiering": tiers(symbol="venue")},
        "the symbol venue is neither NAME nor TEXT",
    ),
    (
        "cluster nullable",
        {"columns": (*COLUMNS, Column("tag", NAME, "x", nullable=True)), "tiering": tiers("tag")},
        "rows cannot be put in order by tag",
    ),
    (
        "cluster money",
        {"columns": (*COLUMNS, Column("price", MONEY, "x")), "tiering": tiers("price")},
        "rows cannot be put in order by price",
    ),
    (
        "cluster ratio",
        {"columns": (*COLUMNS, Column("score", LogicalType.RATIO, "x")), "tiering": tiers("score")},
        "rows cannot be put in order by score",
    ),
    ("no hot days", {"tiering": tiers(hot_days=0)}, "hot_days=0"),
    ("negative hot days", {"tiering": tiers(hot_days=-1)}, "hot_days=-1"),
    (
        "key nullable",
        {"columns": (*COLUMNS, Column("tag", NAME, "x", nullable=True)), "key": ("seen_at", "tag")},
        "the key column tag is nullable",
    ),
    ("bytes", {"columns": (*COLUMNS, Column("image", LogicalType.BLOB, "x"))}, "image is a BLOB"),
]


@pytest.mark.parametrize(
    ("changes", "complaint"), [case[1:] for case in CONTRADICTIONS], ids=[case[0] for case in CONTRADICTIONS]
)
def test_a_contradiction_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        Dataset(**{**PLAIN, **changes})


def test_an_own_dataset_cannot_be_bookkeeping() -> None:
    with pytest.raises(InvalidValue, match="'signals': internal is the store's own bookkeeping"):
        Registry([Dataset(**{**PLAIN, "kind": "internal"})])


def test_every_name_that_sqlite_would_misread_is_refused() -> None:
    connection = apsw.Connection(":memory:")
    refused = []
    for word in sorted(apsw.keywords):
        try:
            connection.execute(
                f"CREATE TABLE t_{word} ({word.lower()} TEXT, PRIMARY KEY ({word.lower()})) STRICT"
            )
        except apsw.SQLError:
            refused.append(word.lower())
    assert len(refused) > 30
    for word in refused:
        with pytest.raises(InvalidValue, match=f"'{word}' cannot be a name"):
            Dataset(**{**PLAIN, "columns": (Column(word, NAME, "x"),), "key": (word,)})


def test_the_statements_of_every_dataset_are_sql_that_agrees_with_it() -> None:
    connection = apsw.Connection(":memory:")
    registry = Registry()
    for dataset in registry.values():
        for statement in ddl(dataset).values():
            connection.execute(statement)
    for dataset in registry.values():
        info = list(
            connection.execute(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{dataset.name}')")
        )
        assert tuple(row[0] for row in info) == dataset.stored_names
        for name, _, required in info:
            if name != "id":
                assert bool(required) is not dataset.column(name).nullable
        for sql in statements(dataset).values():
            connection.execute(f"EXPLAIN {sql}", (None,) * sql.count("?")).fetchall()


def test_every_column_says_what_it_is() -> None:
    for dataset in Registry().values():
        assert dataset.doc.endswith(".")
        for column in dataset.columns:
            assert column.doc.endswith("."), f"{dataset.name}.{column.name}"


def test_a_declaration_survives_being_stored() -> None:
    for dataset in Registry().values():
        assert msgspec.json.decode(msgspec.json.encode(dataset), type=Dataset) == dataset


def test_tiered_rows_are_numbered_for_ever() -> None:
    for dataset in Registry().tiered:
        assert dataset.numbered
        assert "AUTOINCREMENT" in ddl(dataset)[dataset.name]


def test_an_unknown_dataset_is_told_with_the_nearest() -> None:
    registry = Registry()
    for wrong, near in (
        ("trade", "trades"),
        ("Balance_History", "balance_history"),
        ("positon", "positions"),
    ):
        with pytest.raises(UnknownDataset, match=f"'{wrong}'.*did you mean.*{near}"):
            registry[wrong]
    with pytest.raises(UnknownDataset, match="there are balances, balance_history"):
        registry["xyzzy"]
    assert "trade" not in registry


def test_an_unknown_column_is_told_with_the_nearest() -> None:
    trades = Registry()["trades"]
    with pytest.raises(UnknownDataset, match=r"trades has no column 'prise'.*did you mean price"):
        trades.column("prise")
    with pytest.raises(UnknownDataset, match=r"no column 'xyzzy'.*it has account, symbol"):
        trades.check_row({"xyzzy": 1})


def test_a_required_column_is_missed_and_a_choice_is_named() -> None:
    trades = Registry()["trades"]
    with pytest.raises(InvalidValue, match="account=None: this column is required"):
        trades.check_row({})
    with pytest.raises(InvalidValue, match=r"side='hold': unknown.*use one of buy, sell"):
        trades.column("side").check("hold")


def test_text_is_quoted() -> None:
    assert quote_text("it's") == "'it''s'"
    assert list(apsw.Connection(":memory:").execute(f"SELECT {quote_text(chr(39) * 3)}")) == [("'''",)]
