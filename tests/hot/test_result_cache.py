"""Results are used again only while they are what a new query would give, whoever writes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.config import DatabaseConfig
from hybridstore.errors import InvalidValue, QueryTimeout
from hybridstore.hot.commits import CommitLog
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.hot.gate import Gate

ASSETS = 100


def hits(store: HybridStore) -> float:
    return store.database.cache.statistics()["hits"]


@pytest.fixture
def other(store: HybridStore) -> HybridStore:
    """The same store as another process sees it: with a writer and a cache of its own."""
    return HybridStore(config=DatabaseConfig(database_path=str(store.database.path)))


def test_a_repeated_question_is_answered_from_memory(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    first = store.get_all_balances()
    before = hits(store)
    assert store.get_all_balances() == first
    assert hits(store) == before + 1


def test_the_callers_list_is_the_callers_own(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    store.get_all_balances().clear()
    assert [balance.asset for balance in store.get_all_balances()] == ["BTC"]


def test_an_unchanged_row_gives_the_same_record(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    first = store.get_latest_balance("BTC")
    assert store.get_latest_balance("BTC") is first
    store.record_balance_update("BTC", 2)
    second = store.get_latest_balance("BTC")
    assert second is not None
    assert second.balance == 2


def test_what_touches_another_dataset_invalidates_nothing(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    first = store.get_all_balances()
    store.record_mark("BTC/USDT", mark=50_000)
    before = hits(store)
    assert store.get_all_balances() == first
    assert hits(store) == before + 1


def test_an_operation_that_says_nothing_invalidates_everything(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    store.get_all_balances()

    def write_past_the_books(session: WriteSession) -> None:
        session.execute("UPDATE balances SET source = 'elsewhere'")

    store.database.writer.call(write_past_the_books)
    assert [balance.source for balance in store.get_all_balances()] == ["elsewhere"]


def test_another_process_is_seen(store: HybridStore, other: HybridStore) -> None:
    with other:
        for number in range(1, 50):
            writer = store if number % 3 else other
            writer.record_balance_update("BTC", number)
            for reader in (store, other):
                assert [balance.balance for balance in reader.get_all_balances()] == [number]
                assert reader.get_portfolio_summary("default", "BTC").equity == number


def test_random_writers_and_readers_agree_with_a_store_without_cache(
    store: HybridStore, other: HybridStore, rng: random.Random
) -> None:
    config = DatabaseConfig(database_path=str(store.database.path), enable_query_cache=False)
    with other, HybridStore(config=config) as plain:
        for number in range(400):
            writer = rng.choice((store, other))
            if rng.random() < 0.5:
                writer.record_balance_update(f"A{rng.randrange(3)}", number)
            else:
                writer.record_mark(f"A{rng.randrange(3)}/USDT", mark=Decimal(number + 1))
            reader = rng.choice((store, other))
            assert reader.get_all_balances() == plain.get_all_balances()
            assert reader.get_portfolio_summary() == plain.get_portfolio_summary()
        assert hits(store) + hits(other) > 0
        assert plain.database.cache.statistics()["entries"] == 0


def test_an_old_result_is_read_anew(opened: Callable[..., HybridStore]) -> None:
    store = opened(cache_timeout_seconds=0)
    store.get_all_balances()
    before = hits(store)
    time.sleep(0.001)
    store.get_all_balances()
    assert hits(store) == before


def test_a_commit_that_is_not_noted_yet_counts_as_foreign() -> None:
    log = CommitLog()
    assert not log.is_unchanged(("balances",), since_seq=1, now_seq=2)


def test_a_query_that_takes_too_long_is_cancelled(opened: Callable[..., HybridStore]) -> None:
    store = opened(balance_query_timeout=1)
    store.batch_update_balances([{"asset": f"A{number}", "balance": number} for number in range(60_000)])
    with pytest.raises(QueryTimeout, match="took longer than 1 ms") as caught:
        store.get_all_balances()
    assert caught.value.retryable
    assert "balance_query_timeout" in (caught.value.hint or "")
    assert store.get_latest_balance("A7") is not None, "the connection works on"
    store.config.balance_query_timeout = 60_000
    assert len(store.get_all_balances()) == 60_000


def test_positions_and_the_portfolio_have_their_deadline(opened: Callable[..., HybridStore]) -> None:
    store = opened(position_query_timeout=1, max_connections=1)
    with store.database.readers.transaction() as held:
        assert held.rows("SELECT 1") == [(1,)]
        for question in (
            lambda: store.get_position("p"),
            store.get_open_positions,
            store.get_portfolio_summary,
        ):
            store.config.enable_query_cache = False
            with pytest.raises(QueryTimeout):
                question()
    store.config.position_query_timeout = 60_000
    assert store.get_open_positions() == []


def test_waiting_for_a_connection_counts(opened: Callable[..., HybridStore]) -> None:
    store = opened(max_connections=1, balance_query_timeout=20)
    with store.database.readers.transaction() as held:
        assert held.rows("SELECT 1") == [(1,)]
        with pytest.raises(QueryTimeout, match="all 1 reader connections"):
            store.get_latest_balance("BTC")


def test_a_write_that_fails_leaves_no_result_behind(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)

    def half(session: WriteSession) -> None:
        session.execute("UPDATE balances SET balance = '2'")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        store.database.writer.call(half)
    assert [balance.balance for balance in store.get_all_balances()] == [1]


def test_a_waiting_reader_is_not_served_a_commit_early(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    gate = Gate(store)
    waiting = store.database.writer.submit(None, lambda session: session.seq)
    assert [balance.balance for balance in store.get_all_balances()] == [1]
    gate.release()
    waiting.result(10)


@pytest.mark.parametrize("account", [["default"], {"a": 1}, 1.5])
def test_asking_for_what_is_no_account(store: HybridStore, account: object) -> None:
    ask: Any = store.get_all_balances
    if isinstance(account, float):
        assert ask(account) == []
    else:
        with pytest.raises(InvalidValue, match="cannot be looked up"):
            ask(account)
