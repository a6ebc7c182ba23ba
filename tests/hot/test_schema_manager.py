"""The live schema is what the declarations say, and every step to another version can be taken back."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue, SchemaMismatch, StoreError, UnknownDataset
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.migrations import MIGRATIONS, Migration
from hybridstore.schema.types import LogicalType
from hybridstore.store import HybridStore
from tests.hot.books import commit_seq, rows
from tests.hot.children import run

SECOND = Migration(
    version=2,
    name="remember_the_weather",
    statements=(
        "CREATE TABLE weather (day INTEGER PRIMARY KEY, rain REAL) STRICT",
        "INSERT INTO weather VALUES (1, 2.5)",
    ),
)
BROKEN = Migration(
    version=2,
    name="broken",
    statements=("CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT", "CREATE TABLE half (x)"),
)
SIGNALS = Dataset(
    name="signals",
    kind="event",
    doc="What a strategy saw.",
    columns=(
        Column("symbol", LogicalType.NAME, "Market."),
        Column("score", LogicalType.MONEY, "How sure it was."),
        Column("seen_at", LogicalType.TIMESTAMP, "When."),
    ),
    key=("symbol", "seen_at"),
    indexes=(Index(("seen_at",)),),
    tiering=Tiering(time="seen_at", cluster=("symbol", "seen_at"), symbol="symbol"),
)


@pytest.fixture
def database(root: Path, clock: ManualClock) -> Iterator[DatabaseManager]:
    """Return an open hot store with a verified schema and a balance in it."""
    with HybridStore(root, clock=clock) as store:
        store.record_balance_update("BTC", 1)
        yield store.database


def alter(database: DatabaseManager, *statements: str) -> None:
    def apply(session: WriteSession) -> None:
        for statement in statements:
            session.execute(statement)

    database.writer.call(apply)


# -- verification -------------------------------------------------------------------------------------------------


def test_a_fresh_schema_is_the_declared_one(database: DatabaseManager) -> None:
    SchemaManager(database).verify()
    assert SchemaManager(database).initialize() == MIGRATIONS[-1].version
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DROP INDEX trades_key", "trades_key is missing"),
        ("DROP INDEX positions_by_symbol", "positions_by_symbol is missing"),
        ("DROP TRIGGER candles_claimed", "candles_claimed is missing"),
        ("DROP TABLE marks", "marks is missing"),
        ("ALTER TABLE orders ADD COLUMN extra TEXT", "orders differs from its declaration"),
        ("ALTER TABLE orders RENAME COLUMN filled TO filled_amount", "orders differs from its declaration"),
    ],
)
def test_a_change_by_hand_is_named(database: DatabaseManager, statement: str, problem: str) -> None:
    alter(database, statement)
    with pytest.raises(SchemaMismatch, match=problem) as caught:
        SchemaManager(database).verify()
    assert caught.value.path == str(database.path)
    assert caught.value.hint is not None
    database.shutdown()
    with pytest.raises(SchemaMismatch, match=problem):
        HybridStore(database.root).open()


def test_every_problem_is_named_at_once(database: DatabaseManager) -> None:
    alter(database, "DROP INDEX trades_key", "DROP TABLE marks", "DROP INDEX ledger_key")
    with pytest.raises(SchemaMismatch) as caught:
        SchemaManager(database).verify()
    assert {"trades_key is missing", "marks is missing", "ledger_key is missing"} <= set(
        caught.value.message.split("; ")
    )


def test_an_index_that_looks_right_but_is_not_is_named(database: DatabaseManager) -> None:
    alter(database, "DROP INDEX ledger_key", "CREATE UNIQUE INDEX ledger_key ON ledger (entry_id, account)")
    with pytest.raises(SchemaMismatch, match="ledger_key differs from its declaration"):
        SchemaManager(database).verify()


# -- versions -----------------------------------------------------------------------------------------------------


def test_a_step_backs_up_first_and_is_remembered(database: DatabaseManager, clock: ManualClock) -> None:
    seq = commit_seq(database)
    assert SchemaManager(database, (*MIGRATIONS, SECOND)).initialize() == 2
    assert rows(database, "SELECT * FROM weather") == [(1, 2.5)]
    assert rows(database, "SELECT user_version FROM pragma_user_version") == [(2,)]
    (created, applied) = rows(
        database, "SELECT version, name, applied_at, backup FROM schema_history ORDER BY version"
    )
    assert created[:2] == (1, "created")
    assert applied[:2] == (2, "remember_the_weather")
    assert applied[2] >= clock.now_us()
    backup = Path(applied[3])
    assert backup.parent.parent.parent == database.root / "backups"
    if sys.platform != "win32":
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    copy = apsw.Connection(str(backup))
    assert copy.pragma("integrity_check") == "ok"
    assert copy.pragma("user_version") == 1
    assert list(copy.execute("SELECT seq FROM commit_clock")) == [(seq,)]
    assert list(copy.execute("SELECT balance FROM balances")) == [("1",)]
    copy.close()
    with HybridStore(backup.parent / "restored") as restored:
        pass
    restored.database.path.write_bytes(backup.read_bytes())
    with restored:
        assert restored.record_balance_update("BTC", 2).balance == 2


def test_a_step_is_taken_once(database: DatabaseManager) -> None:
    manager = SchemaManager(database, (*MIGRATIONS, SECOND))
    manager.initialize()
    seq = commit_seq(database)
    assert manager.initialize() == 2
    assert commit_seq(database) == seq
    assert len(list((database.root / "backups").rglob("*.db"))) == 1


def test_a_step_that_fails_leaves_the_store_as_it_was(database: DatabaseManager) -> None:
    before = rows(database, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    seq = commit_seq(database)
    with pytest.raises(StoreError, match="half"):
        SchemaManager(database, (*MIGRATIONS, BROKEN)).initialize()
    assert rows(database, "SELECT name, sql FROM sqlite_schema ORDER BY name") == before
    assert rows(database, "SELECT user_version FROM pragma_user_version") == [(1,)]
    assert rows(database, "SELECT version FROM schema_history") == [(1,)]
    assert commit_seq(database) == seq
    assert SchemaManager(database).initialize() == 1


def test_without_a_backup_no_step_is_taken(database: DatabaseManager) -> None:
    (database.root / "backups").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StoreError, match="backup"):
        SchemaManager(database, (*MIGRATIONS, SECOND)).initialize()
    assert rows(database, "SELECT user_version FROM pragma_user_version") == [(1,)]


def test_a_store_of_a_newer_version_is_refused(database: DatabaseManager) -> None:
    SchemaManager(database, (*MIGRATIONS, SECOND)).initialize()
    seq = commit_seq(database)
    with pytest.raises(SchemaMismatch, match="schema version 2, this hybridstore knows 1") as caught:
        HybridStore(database.root).open()
    assert "pip install -U hybridstore" in str(caught.value)
    assert commit_seq(database) == seq


def test_a_new_store_starts_at_the_newest_version(root: Path) -> None:
    database = DatabaseManager(DatabaseConfig(database_path=str(root / DATABASE_NAME)))
    database.open()
    try:
        assert SchemaManager(database, (*MIGRATIONS, SECOND)).initialize() == 2
        assert rows(database, "SELECT version, name, backup FROM schema_history") == [(2, "created", None)]
        assert not (root / "backups").exists()
    finally:
        database.shutdown()


# -- a user's own datasets ----------------------------------------------------------------------------------------

FIND = """
import sys
from hybridstore import HybridStore

with HybridStore(sys.argv[1]) as store:
    declared = store.database.registry["signals"]
    assert declared.tiering.symbol == "symbol", declared
    counts = store.insert("signals", [("ETH/USDT", "2", 1_785_585_600_000_000)])
    print(counts.inserted, store.database.readers.rows("SELECT symbol, score FROM signals ORDER BY symbol"))
"""


def test_an_own_dataset_is_created_remembered_and_found_by_others(root: Path) -> None:
    with HybridStore(root, datasets=[SIGNALS]) as store:
        counts = store.insert(
            "signals", [{"symbol": "BTC/USDT", "score": "0.125", "seen_at": 1_785_585_600_000_000}]
        )
        assert (counts.inserted, counts.repeated) == (1, 0)
        assert run(FIND, root) == "1 [('BTC/USDT', '0.125'), ('ETH/USDT', '2')]\n"
        assert store.database.readers.plan(store.database.statements["find_signals"])[0].startswith("SEARCH")
    with HybridStore(root) as again:
        assert again.database.registry["signals"] == SIGNALS
        again.schema.verify()
        assert again.get_system_status()["datasets"]["signals"] == {"hot_rows": 2, "archived_rows": 0}
    with HybridStore(root, datasets=[SIGNALS]) as declared_again:
        assert rows(declared_again, "SELECT count(*) FROM signals") == [(2,)]


def test_a_dataset_can_be_added_to_a_store_that_is_there(store: HybridStore) -> None:
    with HybridStore(store.root, datasets=[SIGNALS]) as second:
        second.insert("signals", [("BTC/USDT", 1, 1_785_585_600_000_000)])
    with pytest.raises(UnknownDataset, match="signals"):
        store.insert("signals", [])


def changed(**changes: object) -> Dataset:
    return msgspec.structs.replace(SIGNALS, **changes)


def tiered(**changes: object) -> Dataset:
    return changed(tiering=msgspec.structs.replace(SIGNALS.tiering, **changes))  # type: ignore[type-var]


def with_column(number: int, column: Column) -> Dataset:
    return changed(columns=(*SIGNALS.columns[:number], column, *SIGNALS.columns[number + 1 :]))


@pytest.mark.parametrize(
    "other",
    [
        changed(indexes=()),
        changed(key=("symbol",)),
        with_column(1, Column("score", LogicalType.TEXT, "The same storage class, another type.")),
        changed(kind="market"),
        changed(provisional=True),
        changed(tiering=None),
        tiered(symbol=None),
        tiered(settled_time=True),
        tiered(when=("symbol", ("BTC/USDT",))),
    ],
    ids=["index", "key", "type", "kind", "provisional", "tiers", "symbol", "settled", "when"],
)
def test_another_declaration_of_the_same_name_is_refused(root: Path, other: Dataset) -> None:
    with HybridStore(root, datasets=[SIGNALS]):
        pass
    with pytest.raises(SchemaMismatch, match="dataset signals was created with another declaration"):
        HybridStore(root, datasets=[other]).open()
    with HybridStore(root) as store:
        assert store.database.registry["signals"] == SIGNALS


@pytest.mark.parametrize(
    "later",
    [
        changed(doc="Other words."),
        with_column(0, Column("symbol", LogicalType.NAME, "Other words.")),
        with_column(0, Column("symbol", LogicalType.NAME, "Market.", choices=("BTC/USDT", "ETH/USDT"))),
        tiered(hot_days=400),
        tiered(cluster=("seen_at", "id")),
    ],
    ids=["words", "column", "choices", "age", "order"],
)
def test_what_does_not_touch_stored_rows_is_applied_and_reaches_every_process(
    root: Path, later: Dataset
) -> None:
    with HybridStore(root, datasets=[SIGNALS]) as store:
        store.insert("signals", [("BTC/USDT", 1, 1_785_585_600_000_000)])
    with HybridStore(root, datasets=[later]) as store:
        assert store.database.registry["signals"] == later
        seq = commit_seq(store)
    with HybridStore(root) as store:
        assert store.database.registry["signals"] == later
        assert store.sql("SELECT count(*) FROM signals").rows() == [(1,)]
    with HybridStore(root, datasets=[later]) as store:
        assert commit_seq(store) == seq, "nothing new, nothing written"


@pytest.mark.parametrize(
    "name", ["trades_key", "marks", "sqlite_stat1", "positions_by_symbol", "ledger_claimed"]
)
def test_a_name_that_is_taken_is_refused_before_anything_is_made(root: Path, name: str) -> None:
    """Else the store could not be opened any more, with or without the dataset."""
    with HybridStore(root):
        pass
    with pytest.raises(InvalidValue, match=name):
        HybridStore(root, datasets=[Dataset(name, "event", "Taken.", SIGNALS.columns, ("symbol",))]).open()
    with HybridStore(root) as store:
        assert store.database.registry == HybridStore(root).database.registry
