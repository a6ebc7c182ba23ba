"""Results that are kept on disk: the same rows give the kept answer, any other rows another one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import apsw
import duckdb
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.analytics.kept_results import UNSTABLE
from hybridstore.archive.results import RESULT_AGE_MAX_S, RESULTS, forget_results
from hybridstore.clock import DAY_US
from hybridstore.config import CONFIG_NAME, DATABASE_NAME

NOW_US = 20_600 * DAY_US
ASK = "SELECT symbol, sum(amount) AS amount FROM trades WHERE amount > $least GROUP BY symbol ORDER BY symbol"


@contextmanager
def open_store(
    root: Path, days: int = 0, settings: str = "result_cache_from_ms = 0"
) -> Iterator[HybridStore]:
    root.mkdir(exist_ok=True)
    (root / CONFIG_NAME).write_text(f"[analytics]\n{settings}\n", encoding="utf-8")
    with HybridStore(root, clock=ManualClock(NOW_US + days * DAY_US)) as store:
        yield store


def fill(store: HybridStore, number: int, amount: int = 1, days_ago: float = 1) -> None:
    at_us = NOW_US - int(days_ago * DAY_US) + number
    store.record_fill("BTC/USDT", "buy", 100, amount, trade_id=f"t{number}", order_id="o", executed_at=at_us)


def kept(root: Path) -> list[Path]:
    return sorted((root / RESULTS).glob("*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with open_store(folder) as store:
        for number in range(20):
            fill(store, number, days_ago=number)
    return folder


def test_the_same_rows_are_answered_from_disk_also_in_another_process(root: Path) -> None:
    with open_store(root) as store:
        first = store.sql(ASK, least=0)
        (path,) = kept(root)
        content, made = path.read_bytes(), path.stat().st_mtime_ns
    with open_store(root) as store:
        again = store.sql(ASK, least=0)
        assert again.arrow() == first.arrow()
        assert again.rows() == [("BTC/USDT", Decimal(20))]
        assert [path.read_bytes() for path in kept(root)] == [content]
        assert path.stat().st_mtime_ns == made, "it was not written again"
        assert store.sql(ASK, least=1).rows() == [], "other parameters are another question"
        assert len(kept(root)) == 2


def test_every_change_of_rows_is_another_answer(root: Path) -> None:
    with open_store(root) as store:
        told = [store.sql(ASK, least=0).rows()]
        fill(store, 20)
        told.append(store.sql(ASK, least=0).rows())
        fill(store, 20, amount=6)  # told again: corrected
        told.append(store.sql(ASK, least=0).rows())
        store.void_fill("BTC/USDT", "t20", "o")
        told.append(store.sql(ASK, least=0).rows())
        assert [rows[0][1] for rows in told] == [20, 21, 26, 20]
        assert store.retention.run().rows
        assert store.sql(ASK, least=0).rows() == told[0], "wherever rows lie"
        then = datetime.fromtimestamp(NOW_US / 1e6, UTC)
        assert (
            store.sql(ASK, least=0, as_known_at=then).rows()
            == store.sql(ASK, least=0, as_known_at=then).rows()
        )


def test_a_state_is_asked_anew_after_every_commit(root: Path) -> None:
    ask = "SELECT balance FROM balances"
    with open_store(root) as store:
        for balance in (1, 2, 3):
            store.record_balance_update("USDT", balance)
            assert store.sql(ask).rows() == [(Decimal(balance),)]
        before = kept(root)
        assert store.sql(ask).rows() == [(Decimal(3),)]
        assert kept(root) == before


def test_an_older_copy_of_the_store_is_another_store(root: Path, tmp_path: Path) -> None:
    """Restored, it goes on with other rows of the same numbers."""
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    with open_store(root) as store:
        fill(store, 20, amount=7)
        assert store.sql(ASK, least=0).rows() == [("BTC/USDT", Decimal(27))]
    shutil.copytree(root / RESULTS, copy / RESULTS)
    with open_store(copy, days=1) as store:
        fill(store, 20, amount=3)
        assert store.sql(ASK, least=0).rows() == [("BTC/USDT", Decimal(23))]


@pytest.mark.parametrize(
    "ask",
    [
        "SELECT count(*), now() FROM trades",
        "SELECT current_date, count(*) FROM trades",
        "SELECT * FROM trades USING SAMPLE 3",
        "SELECT random() FROM trades",
        "EXPLAIN SELECT * FROM trades",
        "SELECT 1",
    ],
)
def test_what_may_be_another_answer_next_time_is_not_kept(root: Path, ask: str) -> None:
    with open_store(root) as store:
        store.sql(ask)
    assert kept(root) == []


def test_every_function_of_the_engine_that_is_not_stable_is_known() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    assert {row[0] for row in rows} - UNSTABLE == set()


def test_a_damaged_result_is_computed_anew(root: Path) -> None:
    with open_store(root) as store:
        right = store.sql(ASK, least=0).rows()
        (path,) = kept(root)
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"", content[:-1] + bytes([content[-1] ^ 1])):
            path.write_bytes(damaged)
            assert store.sql(ASK, least=0).rows() == right
            assert path.read_bytes() == content


def test_limits_are_kept(root: Path) -> None:
    with open_store(root, settings="result_cache_mb = 0\nresult_cache_from_ms = 0") as store:
        store.sql(ASK, least=0)
    with open_store(root, settings="result_cache_from_ms = 60000") as store:
        store.sql(ASK, least=0)
    assert kept(root) == []
    with open_store(root, settings="result_cache_mb = 1\nresult_cache_from_ms = 0") as store:
        for number in range(16):
            store.sql(
                "SELECT md5(range::VARCHAR), $n FROM range(6000), (SELECT count(*) FROM trades)", n=number
            )
        found = kept(root)
        assert 2 <= len(found) < 16
        assert sum(path.stat().st_size for path in found) <= 1 << 20
        store.sql("SELECT md5(range::VARCHAR) FROM range(60000), (SELECT count(*) FROM trades)")
        assert kept(root) == found, "one that is too large is not kept"


def test_results_grow_old_and_an_erasure_takes_them_along(root: Path) -> None:
    with open_store(root) as store:
        store.sql(ASK, least=0)
        (path,) = kept(root)
        old_s = time.time() - RESULT_AGE_MAX_S - 1
        os.utime(path, (old_s, old_s))
        store.sql(ASK, least=0)
        assert kept(root)[0].stat().st_mtime > old_s, "it was made anew"
        assert forget_results(root, RESULT_AGE_MAX_S) == 0
        os.utime(path, (old_s, old_s))
        store.retention.run()
        assert kept(root) == []
        store.sql(ASK, least=0)
        store.retention.erase(
            "order_id", "o", reason="law", ordered_by="court", datasets=["trades"], dry_run=True
        )
        assert len(kept(root)) == 1
        store.retention.erase("order_id", "o", reason="law", ordered_by="court", datasets=["trades"])
        assert kept(root) == []


def test_a_proof_trusts_no_answer_of_before(root: Path) -> None:
    with open_store(root) as store:
        assert store.books.prove().holds
    assert not kept(root)
    connection = apsw.Connection(str(root / DATABASE_NAME))  # behind the store's back: no commit of it
    connection.execute("UPDATE ledger_balances SET amount = '999' WHERE asset = 'BTC'")
    connection.close()
    with open_store(root) as store:
        assert [fault.where for fault in store.books.prove().faults] == ["BTC"]
