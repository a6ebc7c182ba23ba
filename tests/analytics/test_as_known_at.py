"""What the store knew at an earlier moment: exactly the rows that could be seen then, whatever happened since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.earlier import last_correction
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.types import LogicalType, moment
from hybridstore.store import HybridStore
from tests.analytics.remembering import Remembering
from tests.hot.books import START_US, rows

SYMBOL = "BTC/USDT"
OLD_US = START_US - 20 * DAY_US
NOTES = Dataset(
    name="notes",
    kind="event",
    doc="A user's own dataset.",
    columns=(
        Column("note_id", LogicalType.NAME, "Its name."),
        Column("score", LogicalType.MONEY, "A value."),
        Column("noted_at", LogicalType.TIMESTAMP, "When."),
        Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it."),
    ),
    key=("note_id",),
    tiering=Tiering(time="noted_at", cluster=("noted_at", "id")),
)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock at noon."""
    return ManualClock(START_US)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return an empty store."""
    with HybridStore(tmp_path / "root", clock=clock, datasets=[NOTES], maintenance="off") as opened:
        yield opened


def now_us(store: HybridStore) -> int:
    """Return the time of the last commit, which every test goes on behind."""
    ts_us: int = rows(store, "SELECT ts FROM commit_clock")[0][0]
    clock: Any = store.database.clock
    clock.set(ts_us + 1_000_000)
    return ts_us


def note(store: HybridStore, name: str, score: object, noted_us: int = OLD_US) -> int:
    """Record a note and return when it was committed."""
    store.insert("notes", [(name, score, noted_us)])
    return now_us(store)


def scores(store: HybridStore, at: Any) -> dict[str, Decimal]:
    """Return the score of each note as it was known at a moment, the same by SQL and as a LazyFrame."""
    found = store.sql("SELECT note_id, score FROM notes ORDER BY id", as_known_at=at).rows()
    scanned = store.scan("notes", as_known_at=at).sort("id").select("note_id", "score").collect().rows()
    assert scanned == found
    assert len(dict(found)) == len(found)
    return dict(found)


# -- any history ------------------------------------------------------------------------------------------------


def _live(history: Remembering, moments: int, checks: int) -> None:
    """Live and remember; ask about some moments on the way, and about all of them at the end."""
    with history.store:
        history.remember()
        while len(history.moments) < moments:
            for _ in range(history.rng.randint(1, 6)):
                history.live()
            if history.rng.random() < 0.3:
                history.age(history.rng.choice((0, 1, 3, 9)))
            history.remember()
            if history.rng.random() < checks / moments:
                place = history.rng.randrange(len(history.moments))
                history.check(place, scans=history.rng.random() < 0.5)
        history.age(60)
        history.age(400)
        for place in range(moments):
            history.check(place, scans=place % 2 == 0)
    corrections = {name for name in ("_journal", "_fill", "_void") if history.done[name]}
    assert len(corrections) == 3, history.done
    assert history.done["moved"] > 0
    assert history.done["checked"] >= moments


@pytest.mark.timeout(120)
def test_every_moment_can_be_asked_about(tmp_path: Path, rng: Random) -> None:
    _live(Remembering(tmp_path / "store", rng), moments=30, checks=5)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_thousand_moments_can_be_asked_about(tmp_path: Path, rng: Random) -> None:
    history = Remembering(tmp_path / "store", rng)
    _live(history, moments=1_000, checks=100)
    print(dict(history.done))


# -- rows -------------------------------------------------------------------------------------------------------


def test_a_late_row_was_not_known_before(store: HybridStore) -> None:
    first = note(store, "first", 1, START_US)
    late = note(store, "late", 2, OLD_US)
    assert scores(store, first) == {"first": 1}
    assert scores(store, late) == scores(store, late - 1) | {"late": Decimal(2)}
    store.retention.run()
    assert scores(store, first) == {"first": 1}
    assert scores(store, late) == {"first": 1, "late": 2}


@pytest.mark.parametrize("archived_before", range(1, 4))
def test_a_chain_of_corrections_in_whatever_tiers(
    store: HybridStore, clock: ManualClock, archived_before: int
) -> None:
    """The row is archived after so many of its versions; then further ones are new rows, archived in turn."""
    moments = []
    for version in range(5):
        if version == archived_before or version == archived_before + 2:
            assert store.retention.run().rows == 1
        moments.append(note(store, "one", version))
    assert scores(store, moments[0] - 1) == {}
    for _ in range(3):
        for version, at in enumerate(moments):
            assert scores(store, at) == {"one": version}
            assert scores(store, at + 1) == {"one": version}
        clock.advance(100 * DAY_US)
        store.retention.run()


def test_versions_of_one_commit_count_once(store: HybridStore) -> None:
    before = note(store, "other", 7)
    store.insert(
        "notes", [("one", 1, OLD_US), ("one", 2, OLD_US), ("other", 8, OLD_US), ("other", 9, OLD_US)]
    )
    after = now_us(store)
    assert scores(store, before) == {"other": 7}
    assert scores(store, after) == scores(store, None) == {"other": 9, "one": 2}


def test_a_correction_may_move_a_row_to_another_day(store: HybridStore) -> None:
    before = note(store, "one", 1, OLD_US)
    store.retention.run()
    note(store, "one", 2, OLD_US + 3 * DAY_US)
    day: dict[str, Any] = {"start": OLD_US, "end": OLD_US + DAY_US}
    assert store.scan("notes", **day).collect().height == 0
    assert store.scan("notes", **day, as_known_at=before).collect()["score"].to_list() == [1]
    asked = "SELECT score FROM notes WHERE noted_at < $end"
    end = moment(OLD_US + DAY_US)
    assert store.sql(asked, end=end).rows() == []
    assert store.sql(asked, end=end, as_known_at=before).rows() == [(1,)]


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_many_corrections_of_archived_rows(store: HybridStore, count: int) -> None:
    """Few row numbers are compared one by one, many are joined."""
    noted = {f"n{number}": OLD_US + number for number in range(count)}
    store.insert("notes", [(name, 1, at) for name, at in noted.items()])
    first = now_us(store)
    store.retention.run()
    note(store, "stays", 1)
    store.insert("notes", [(name, 2, at) for name, at in noted.items()])
    second = now_us(store)
    for _ in range(2):
        assert scores(store, first) == dict.fromkeys(noted, 1)
        assert scores(store, second) == scores(store, None) == {"stays": 1} | dict.fromkeys(noted, 2)
        store.retention.run()


def test_a_public_trade_told_differently(store: HybridStore) -> None:
    tick = [SYMBOL, 1, "100.5", "2", "buy", OLD_US]
    store.record_market_trades([tick])
    before = now_us(store)
    store.retention.run()
    store.record_market_trades([[*tick[:3], "3", *tick[4:]]])
    asked = "SELECT amount, recorded_at <= $at FROM market_trades"
    assert store.sql(asked, at=moment(before)).rows() == [(3, False)]
    assert store.sql(asked, at=moment(before), as_known_at=before).rows() == [(2, True)]


@pytest.mark.parametrize("is_archived", [False, True])
def test_a_fill_that_was_told_differently_and_voided(store: HybridStore, *, is_archived: bool) -> None:
    """A corrected fill keeps the time at which it was recorded first."""

    def held(at: int | None) -> tuple[list[Any], list[Any]]:
        with store.snapshot(as_known_at=at) as known:
            return known.sql("SELECT amount FROM trades").rows(), known.sql(
                "SELECT coalesce(sum(amount), 0) FROM ledger WHERE asset = 'BTC'"
            ).rows()

    moments = []
    for amount in (1, 2):
        store.record_fill(SYMBOL, "buy", 100, amount, trade_id="1", executed_at=OLD_US)
        moments.append(now_us(store))
        if is_archived:
            store.retention.run()
    store.void_fill(SYMBOL, "1")
    moments.append(now_us(store))
    recorded = {row[0] for row in store.sql("SELECT recorded_at FROM trades").rows()}
    assert recorded == {moment(moments[0])}
    assert held(moments[0] - 1) == ([], [(0,)])
    assert [held(at) for at in moments] == [([(n,)], [(n,)]) for n in (1, 2, 0)]
    assert held(None) == held(moments[2])


def test_moves_that_only_began_change_nothing(store: HybridStore) -> None:
    for number in range(50):
        note(store, f"n{number}", number)
    half = note(store, "n0", -1)
    before = scores(store, half)
    note(store, "n1", -2)
    for steps in range(1, 8):
        left = [steps]

        def stop(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        DataRetentionManager(store.database).run(stop=stop)
        assert scores(store, half) == before
    assert rows(store, "SELECT count(*) FROM notes") == [(0,)]


def test_an_untiered_event_is_known_by_its_key(store: HybridStore) -> None:
    def told(value: float) -> int:
        store.insert("performance_metrics", [("a", "2026", "-", "sharpe", "1", value, 365, None, 9)])
        return now_us(store)

    moments = [told(value) for value in (0.1, 1 / 3, 1e300)]
    asked = "SELECT value FROM performance_metrics"
    assert [store.sql(asked, as_known_at=at).rows() for at in moments] == [[(0.1,)], [(1 / 3,)], [(1e300,)]]
    assert store.sql(asked, as_known_at=moments[0] - 1).rows() == []


def test_a_version_of_before_a_column_was_declared(tmp_path: Path, clock: ManualClock) -> None:
    wider = msgspec.structs.replace(
        NOTES, columns=(*NOTES.columns, Column("mood", LogicalType.TEXT, "How it felt.", nullable=True))
    )
    with HybridStore(tmp_path / "root", clock=clock, datasets=[NOTES], maintenance="off") as store:
        note(store, "archived", 1)
        store.retention.run()
        before = note(store, "hot", 1)
    with HybridStore(tmp_path / "root", clock=clock, datasets=[wider], maintenance="off") as store:
        for name in ("archived", "hot"):
            store.insert("notes", [(name, 2, OLD_US, "fine")])
        after = now_us(store)
        asked = "SELECT note_id, score, mood FROM notes ORDER BY note_id"
        assert store.sql(asked, as_known_at=before).rows() == [("archived", 1, None), ("hot", 1, None)]
        assert store.sql(asked, as_known_at=after).rows() == [("archived", 2, "fine"), ("hot", 2, "fine")]


# -- asking -----------------------------------------------------------------------------------------------------


def test_every_form_of_a_moment(store: HybridStore) -> None:
    at = note(store, "one", 1)
    note(store, "one", 2)
    then = moment(at)
    for form in (at, then, then.astimezone(), then.isoformat(), then + timedelta(microseconds=5)):
        assert scores(store, form) == {"one": 1}
    assert scores(store, datetime(1999, 1, 1, tzinfo=UTC)) == {}
    assert store.sql("SELECT 1", as_known_at=at).rows() == [(1,)]


def test_answers_of_different_moments_are_not_mixed_up(store: HybridStore, rng: Random) -> None:
    moments = [note(store, "one", version) for version in range(4)]
    store.retention.run()
    moments += [note(store, "one", version) for version in range(4, 8)]
    asked: list[int | None] = [*range(8), None] * 3
    rng.shuffle(asked)
    for version in asked:
        expected = 7 if version is None else version
        assert scores(store, None if version is None else moments[version]) == {"one": expected}


def test_a_snapshot_holds_it_over_several_questions(store: HybridStore) -> None:
    store.record_fill(SYMBOL, "buy", 100, 1, trade_id="1")
    note(store, "one", 1)
    at = now_us(store)
    note(store, "one", 2)
    with store.snapshot(as_known_at=at) as known, store.snapshot() as present:
        store.record_fill(SYMBOL, "buy", 100, 1, trade_id="2")
        note(store, "one", 3)
        joined = "SELECT t.trade_id, n.score FROM trades t, notes n"
        assert known.sql(joined).rows() == [("1", 1)]
        assert present.sql(joined).rows() == [("1", 2)]
        assert known.scan("notes", columns=["score"]).collect().rows() == [(1,)]
        assert known.seq == present.seq
        assert known.sql("EXPLAIN SELECT * FROM notes").rows()


def test_bounds_and_columns_of_a_scan(store: HybridStore) -> None:
    for symbol in ("BTC/USDT", "ETH/USDT"):
        store.record_fill(symbol, "buy", 100, 1, trade_id="1", executed_at=OLD_US)
    at = now_us(store)
    store.retention.run()
    for symbol in ("BTC/USDT", "ETH/USDT"):
        store.record_fill(symbol, "buy", 100, 2, trade_id="1", executed_at=OLD_US)
    bounds: dict[str, Any] = {"symbol": "ETH/USDT", "start": OLD_US, "end": OLD_US + 1}
    found = store.scan("trades", **bounds, as_known_at=at).select("symbol", "amount")
    lazy = store.analytics.scan("trades", columns=["amount"], **bounds, as_known_at=at)
    store.retention.run()
    assert found.collect().rows() == [("ETH/USDT", 1)]
    assert lazy.collect().rows() == [(1,)]
    assert store.scan("trades", **bounds).collect()["amount"].to_list() == [2]


def test_a_parameter_of_the_same_name(store: HybridStore) -> None:
    asked = store.analytics.sql("SELECT $as_known_at", params={"as_known_at": 7})
    assert asked.rows() == [(7,)]


def test_the_asynchronous_door_and_a_bots_own(tmp_path: Path, clock: ManualClock) -> None:
    async def ask() -> None:
        async with TradingBotStorageSystem(tmp_path / "bot", clock=clock) as storage:
            first = await storage.record_fill(SYMBOL, "buy", 100, 1, trade_id="1", bot="one")
            at = first.trade.recorded_at
            clock.advance(1_000_000)
            await storage.record_fill(SYMBOL, "buy", 100, 2, trade_id="1", bot="one")
            asked = "SELECT amount FROM trades WHERE symbol = $symbol"
            assert (await storage.sql(asked, symbol=SYMBOL, as_known_at=at)).rows() == [(1,)]
            assert (await storage.sql(asked, symbol=SYMBOL)).rows() == [(2,)]
            for door in (storage, storage.for_bot("one")):
                lazy = await door.scan("trades", as_known_at=at)
                assert lazy.collect()["amount"].to_list() == [1]

    asyncio.run(ask())


def test_many_versions_are_found_by_searching(tmp_path: Path, rng: Random) -> None:
    """Corrections that were forgotten leave gaps in their numbers; the search finds the moment all the same."""
    history = Remembering(tmp_path / "store", rng)
    with closing(history.store):
        history.store.open()
        while len(rows(history.store, "SELECT id FROM corrections")) < 40:
            history.live()
        numbers = [number for (number,) in rows(history.store, "SELECT id FROM corrections")]
        gone = [(number,) for number in rng.sample(numbers, 15)]
        statement = history.store.database.statements["forget_correction"]
        history.store.database.writer.call(lambda session: session.executemany(statement, gone))
        left = rows(history.store, "SELECT id, corrected_at FROM corrections ORDER BY id")
        with history.store.database.readers.transaction() as transaction:
            for at in {corrected_us + step for _, corrected_us in left for step in (-1, 0, 1)}:
                found = last_correction(transaction, history.store.database.statements, at)
                behind = [number for number, corrected_us in left if corrected_us > at]
                assert [number for number, _ in left if number > found] == behind
