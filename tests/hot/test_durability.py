"""Each commit is as durable as was asked, and the commit clock numbers them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance
from hybridstore.hot.session import MEMORY_MAX, WriteSession
from hybridstore.store import HybridStore
from tests.hot.books import contents, rows
from tests.hot.gate import Gate


@contextmanager
def statements_of(store: HybridStore) -> Iterator[list[str]]:
    """Record what the writer's connection executes."""
    seen: list[str] = []

    def note(_: apsw.Cursor, sql: str, __: Any) -> bool:
        seen.append(sql)
        return True

    def trace(session: WriteSession, tracer: Any) -> None:
        session.connection.exec_trace = tracer

    store.database.writer.call(trace, note)
    yield seen
    store.database.writer.call(trace, None)


def synchronous_at_commits(statements: list[str], first: str) -> list[str]:
    """Return the setting in force at each COMMIT."""
    current, found = first, []
    for statement in statements:
        if statement.startswith("PRAGMA synchronous"):
            current = statement.split("=")[1].strip().lower()
        elif statement == "COMMIT":
            found.append(current)
    return found


@pytest.mark.parametrize("default", ["full", "normal"])
def test_each_batch_is_as_durable_as_was_asked(root: Path, default: Any) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), durability=default)

    def current(session: WriteSession) -> int:
        level: int = session.connection.pragma("synchronous")
        return level

    with HybridStore(config=config) as store:
        writer = store.database.writer
        level = {"full": 2, "normal": 1}
        for asked in (None, "normal", "full", "normal", None, "full", "full", None):
            assert writer.call(current, durability=asked) == level[asked or default]
        writer.call(current, durability="normal")
        with statements_of(store) as seen:
            writer.call(current, durability="full")
            writer.call(current, durability="normal")
            writer.call(current, durability="full")
        first = default  # of the call that started the recording; its own pragma came before
        assert synchronous_at_commits(seen, first)[1:4] == ["full", "normal", "full"]


def test_one_piece_that_wants_full_makes_its_whole_batch_full(root: Path) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), durability="normal")
    with HybridStore(config=config) as store, statements_of(store) as seen:
        gate = Gate(store)
        pieces = [
            store.database.writer.submit(
                "full" if number == 7 else None, write_balance, prepare_balance("A", number)
            )
            for number in range(10)
        ]
        gate.release()
        assert [piece.result(10).balance for piece in pieces] == list(range(10))
        assert synchronous_at_commits(seen, "normal")[-1] == "full"


def test_an_unknown_durability_is_refused_and_not_taken_for_the_weaker(store: HybridStore) -> None:
    before = contents(store)
    wrong: Any = "ful"
    with pytest.raises(InvalidValue, match="durability='ful'"):
        store.record_balance_update("BTC", 1, durability=wrong)
    assert contents(store) == before


# -- commit clock -------------------------------------------------------------------------------------------------


def test_the_commit_clock_counts_without_gaps_and_never_goes_back(store: HybridStore, clock: Any) -> None:
    seen = []
    for number in range(20):
        clock.advance(-1_000_000 if number % 3 else 5_000_000)
        store.record_balance_update("BTC", number)
        seen.append(rows(store, "SELECT seq, ts FROM commit_clock")[0])
    numbers = [seq for seq, _ in seen]
    times = [ts for _, ts in seen]
    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert times == sorted(set(times))


def test_what_is_remembered_does_not_grow_for_ever(store: HybridStore) -> None:
    def fill(session: WriteSession) -> None:
        session.memory.update(dict.fromkeys(range(MEMORY_MAX + 1)))

    def size(session: WriteSession) -> int:
        return len(session.memory)

    store.database.writer.call(fill)
    assert store.database.writer.call(size) == 0
