"""What may be asked: one SELECT over datasets. What reads or writes elsewhere is refused, and did nothing."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from hybridstore.analytics.gate import admit
from hybridstore.errors import QueryFailed, QueryRefused, UnknownDataset
from hybridstore.schema.registry import Registry
from hybridstore.store import HybridStore

ANSWERED = {
    "SELECT 1": (),
    "SELECT 1;": (),
    "select * from TRADES": ("trades",),
    'SELECT * FROM "trades" AS t(a, b)': ("trades",),
    "FROM trades SELECT symbol": ("trades",),
    "TABLE trades": ("trades",),
    "VALUES (1), (2)": (),
    "EXPLAIN SELECT * FROM trades": ("trades",),
    "/* why */ EXPLAIN -- so\n ANALYZE SELECT * FROM trades": ("trades",),
    "DESCRIBE trades": ("trades",),
    "SUMMARIZE trades": ("trades",),
    "WITH trades AS (SELECT * FROM trades) SELECT * FROM trades": ("trades",),
    "WITH a AS (SELECT * FROM trades), b AS (SELECT * FROM a) SELECT * FROM b, a": ("trades",),
    "WITH m AS MATERIALIZED (SELECT 1) SELECT * FROM m": (),
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT * FROM r": (),
    "SELECT * FROM trades t ASOF JOIN marks m ON t.symbol = m.symbol AND t.executed_at >= m.marked_at": (
        "marks",
        "trades",
    ),
    "SELECT (SELECT max(mark) FROM marks) FROM trades WHERE symbol IN (SELECT symbol FROM candles)": (
        "candles",
        "marks",
        "trades",
    ),
    "SELECT * FROM trades, LATERAL (SELECT trades.amount * 2) l": ("trades",),
    "SELECT symbol, count(*) FROM trades GROUP BY CUBE (symbol, side) HAVING count(*) > 1 ORDER BY ALL LIMIT 10%": (
        "trades",
    ),
    "SELECT sum(amount) FILTER (WHERE side = 'buy') OVER w FROM trades WINDOW w AS (PARTITION BY symbol)": (
        "trades",
    ),
    "SELECT * FROM trades QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY id) = 1": ("trades",),
    "PIVOT trades ON side IN ('buy', 'sell') USING sum(amount)": ("trades",),
    "UNPIVOT balances ON balance, available INTO NAME kind VALUE amount": ("balances",),
    "SELECT 1 UNION SELECT 2 EXCEPT SELECT 3": (),
    "SELECT DISTINCT ON (symbol) * EXCLUDE (id) REPLACE (1 AS fee) FROM trades USING SAMPLE 10%": ("trades",),
    "SELECT list_transform([1, 2], lambda x: x + 1), {'a': 1}.a, CASE WHEN true THEN 1 END, x FROM range(3) r(x)": (),
    "SELECT dmul(price, amount), date_trunc('day', executed_at), $wanted FROM trades": ("trades",),
}

REFUSED = [
    "COPY trades TO 'out.parquet'",
    "COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "ATTACH 'other.db'",
    "ATTACH 'trading_bot.db' AS hot (TYPE sqlite)",
    "INSTALL httpfs",
    "LOAD sqlite",
    "PRAGMA database_list",
    "PRAGMA import_database('x')",
    "CALL pragma_version()",
    "SET threads = 1",
    "RESET memory_limit",
    "SET VARIABLE x = 1",
    "CREATE TABLE t (i INT)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "CREATE SECRET (TYPE s3)",
    "INSERT INTO trades VALUES (1)",
    "UPDATE trades SET amount = 1",
    "DELETE FROM trades",
    "DROP VIEW trades",
    "TRUNCATE trades",
    "ALTER TABLE trades ADD COLUMN x INT",
    "WITH a AS (INSERT INTO trades VALUES (1) RETURNING *) SELECT * FROM a",
    "WITH a AS (DELETE FROM trades RETURNING *) SELECT * FROM a",
    "WITH a AS (UPDATE trades SET fee = 1 RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE WITH a AS (DELETE FROM trades RETURNING *) SELECT * FROM a",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO 'x'",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "BEGIN",
    "CHECKPOINT",
    "EXPORT DATABASE 'x'",
    "USE memory",
    "VACUUM",
    "SHOW TABLES",
    "PIVOT trades ON side USING sum(amount)",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'archives/warm/trades.parquet'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('trading_bot.db')",
    "SELECT * FROM read_parquet('archives/*/*/*.parquet')",
    "SELECT * FROM parquet_scan('x')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM read_json('x')",
    "SELECT * FROM sniff_csv('x')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM main.read_csv('x')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''x''')",
    "SELECT * FROM query_table('trades')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM sqlite_scan('trading_bot.db', 'trades')",
    "SELECT * FROM histogram(trades, amount)",
    "SELECT (SELECT count(*) FROM glob('/*'))",
    "SELECT * FROM trades WHERE symbol IN (SELECT file FROM glob('/*'))",
    "WITH a AS (SELECT * FROM read_text('x')) SELECT 1",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM memory.main.trades",
    "SELECT write_log('x')",
    "SELECT main.write_log('x')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
]


@pytest.fixture(scope="module")
def cursor() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.mark.parametrize(("query", "datasets"), ANSWERED.items())
def test_a_question_names_its_datasets(
    cursor: duckdb.DuckDBPyConnection, query: str, datasets: tuple[str, ...]
) -> None:
    assert admit(cursor, query, Registry()).datasets == datasets


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_no_question_is_refused(cursor: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(QueryRefused) as caught:
        admit(cursor, query, Registry())
    assert caught.value.message


def files(folder: Path) -> list[Path]:
    """Everything but the hot store and the logs, which the store goes on writing beside the questions."""
    found = (path for path in folder.rglob("*") if "trading_bot" not in path.name)
    return sorted(path for path in found if "logs" not in path.relative_to(folder).parts)


def test_refused_statements_leave_no_trace(tiered: HybridStore, tmp_path: Path) -> None:
    """Through the store, with the archives in reach: no file appears and no row changes."""
    count = "SELECT count(*) FROM market_trades"
    expected = tiered.sql(count).rows()
    before = files(tmp_path)
    for query in REFUSED:
        with pytest.raises(QueryRefused):
            tiered.sql(query)
    assert files(tmp_path) == before
    assert tiered.sql(count).rows() == expected


def test_the_engine_itself_reaches_only_the_archives(tiered: HybridStore, tmp_path: Path) -> None:
    """Were the gate to miss something, the engine still opens no other file, extension, setting or variable."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    trades = tiered.sql("SELECT 1 AS one").arrow()
    hostile = [
        f"SELECT * FROM read_csv('{secret.as_posix()}')",
        f"COPY (SELECT 1) TO '{(tmp_path / 'out.csv').as_posix()}'",
        f"ATTACH '{(tmp_path / 'other.db').as_posix()}'",
        f"ATTACH '{tiered.database.path.as_posix()}' AS hot (TYPE sqlite)",
        "INSTALL httpfs",
        "LOAD sqlite",
        "SET memory_limit = '10GB'",
        "SET enable_external_access = true",
        "SELECT * FROM trades",
    ]
    with tiered.analytics._engine.cursor() as cursor:
        for query in hostile:
            with pytest.raises(duckdb.Error):
                cursor.execute(query)
    assert trades.num_rows == 1
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "other.db").exists()


def test_a_python_variable_is_no_table(store: HybridStore) -> None:
    positions_frame = store.sql("SELECT 1 AS one").pl()
    with pytest.raises(UnknownDataset, match="positions_frame"):
        store.sql("SELECT * FROM positions_frame")
    assert positions_frame.height == 1


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("SELECT * FROM trade", UnknownDataset, r"'trade' \(did you mean trades"),
        ("SELECT * FROM archive_files", UnknownDataset, "bookkeeping"),
        ("SELECT symbl FROM trades", QueryFailed, '"symbol"'),
        ("SELECT summ(amount) FROM trades", QueryFailed, "summ"),
        ("SELEC 1", QueryFailed, "SELEC"),
        ("", QueryFailed, "no statement"),
        ("-- nothing", QueryFailed, "no statement"),
        ("SELECT 1\x00", QueryFailed, "NUL"),
        ("SELECT $missing", QueryFailed, "missing"),
        ("COPY trades TO 'x'", QueryRefused, "COPY"),
        ("SELECT * FROM glob('x')", QueryRefused, r"glob\(\)"),
        ("SELECT * FROM 'x.parquet'", QueryRefused, "x.parquet"),
        ("SELECT 1; SELECT 2", QueryRefused, "2 statements"),
    ],
)
def test_an_error_names_what_is_wrong(
    store: HybridStore, query: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        store.sql(query)


@pytest.mark.parametrize("depth", [100, 900, 20_000])
def test_a_question_nested_deeply_is_no_crash(cursor: duckdb.DuckDBPyConnection, depth: int) -> None:
    for query in (f"SELECT {'(' * depth}1{')' * depth}", f"SELECT {'+'.join(['1'] * depth)}"):
        assert answered_or_refused(cursor, query)


def answered_or_refused(cursor: duckdb.DuckDBPyConnection, query: str) -> bool:
    try:
        return admit(cursor, query, Registry()).datasets == ()
    except (QueryFailed, QueryRefused) as error:
        return bool(error.message)
