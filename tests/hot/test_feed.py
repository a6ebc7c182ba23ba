"""The feed tells every committed event once and in order, from any token on, wherever its rows are by then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue, StoreError, UnknownDataset
from hybridstore.hot.feed_event import Event
from hybridstore.hot.feed_source import read_moment
from hybridstore.hot.feed_token import TokenMaker, read_token
from hybridstore.hot.session import WriteSession
from hybridstore.hot.subscription import ROWS_MAX
from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.types import LogicalType
from hybridstore.store import HybridStore
from tests.hot.books import START_US, rows, values
from tests.hot.feed_books import PERP, Told, Worker, as_told, drain, open_small_feed


@pytest.fixture
def worker(root: Path, clock: ManualClock, rng: Random) -> Iterator[Worker]:
    """Return random work on a store."""
    with HybridStore(root, clock=clock) as store:
        yield Worker(store, clock, rng)


def exact(told: list[Told]) -> list[Told]:
    """Leave out candles: of those that are given again before they are read, only the last is told."""
    return [event for event in told if event.dataset != "candles"]


def check(worker: Worker, events: list[Event]) -> None:
    """Compare what was told with what was committed."""
    told = [as_told(worker.store, event) for event in events]
    assert exact(told) == exact(worker.told)
    assert [event.ts_us for event in told] == sorted(event.ts_us for event in told)
    committed = [event for event in worker.told if event.dataset == "candles"]
    candles = [event for event in told if event.dataset == "candles"]
    assert [event for event in committed if event in candles] == candles
    last = {event.row[1:4]: event for event in committed}
    assert {event.row[1:4]: event for event in candles} == last


@pytest.mark.parametrize("attempt", range(12))
def test_whatever_is_committed_corrected_moved_and_reconnected(worker: Worker, attempt: int) -> None:
    """Two stores on one root work in turn; movers run, or begin to; the subscriber comes and goes."""
    rng = worker.rng
    events: list[Event] = []
    token: str | None = None
    with HybridStore(worker.store.root, clock=worker.clock) as other:
        for _ in range(rng.randint(20, 120)):
            step = rng.random()
            if step < 0.7:
                worker.work(rng.choice((worker.store, other)))
            elif step < 0.8:
                worker.move(rng.choice((None, 1, 2, 5, 7)))
            else:
                feed = open_small_feed(worker.store, token)
                for _ in range(rng.randint(1, 4)):
                    feed.read(rng.randint(1, 6))
                    for _ in range(rng.randint(0, 30)):
                        event = feed.take()
                        if event is None:
                            break
                        events.append(event)
                        token = event.token
                    if rng.random() < 0.3:
                        token = feed.token
                    if rng.random() < 0.5:
                        worker.work()
                    if rng.random() < 0.2:
                        worker.move(rng.choice((None, 2, 6)))
        events += drain(open_small_feed(worker.store, token), lambda: rng.randint(1, 9))
    check(worker, events)


def told_of(store: HybridStore, token: str | None, **asked: Any) -> list[Event]:
    """Return everything behind a token."""
    with store.subscribe(token=token, from_start=token is None, timeout_s=0, **asked) as events:
        return list(events)


def names_of(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.dataset, event.kind, event.row["id"]) for event in events]


def trade(number: int, amount: int = 1, moment: int = START_US) -> tuple[object, ...]:
    return ("BTC/USDT", number, "100.5", amount, "buy", moment)


def test_an_event_reads_like_the_other_records(store: HybridStore) -> None:
    store.record_fill(
        PERP, "buy", "100.50", "2", trade_id="t", fee="-0.10", fee_currency="USDT", info={"a": 1}, bot="one"
    )
    event = told_of(store, None, datasets="trades")[0]
    assert event["dataset"] == event.dataset == "trades"
    assert (event.row["price"], event.row["amount"], event.row["fee"]) == values(
        Decimal("100.5"), Decimal(2), Decimal("-0.1")
    )
    assert event.row["synthetic_id"] is False
    assert json.loads(event.row["info"]) == {"a": 1}
    assert event.row["recorded_at"] == event.committed_at == event.row["executed_at"]
    assert event.committed_at.tzinfo is UTC
    assert event.previous is None
    assert list(event.row) == list(store.database.registry["trades"].stored_names)


def test_within_a_commit_datasets_come_in_their_order_and_corrections_last(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="t", fee=1, fee_currency="USDT")
    store.record_market_trades([trade(1), trade(2), trade(1, amount=5)])
    events = told_of(store, None)
    assert names_of(events) == [
        ("position_events", "recorded", 1),
        ("trades", "recorded", 1),
        ("ledger", "recorded", 1),
        ("market_trades", "recorded", 1),
        ("market_trades", "recorded", 2),
        ("market_trades", "corrected", 1),
    ]
    assert len({event.committed_at for event in events}) == 2
    assert [event.row["amount"] for event in events[-3:]] == [1, 1, 5]
    assert events[-1].previous is not None
    assert events[-1].previous["amount"] == 1


def test_what_was_corrected_is_told_as_it_was(store: HybridStore) -> None:
    for amount in (1, 2, 3):
        store.record_market_trades([trade(7, amount)])
    events = told_of(store, None)
    assert [event.kind for event in events] == ["recorded", "corrected", "corrected"]
    assert [event.row["amount"] for event in events] == [1, 2, 3]
    assert [event.previous["amount"] for event in events if event.previous] == [1, 2]
    assert [event.committed_at for event in events] == sorted({event.committed_at for event in events})


def test_a_commit_larger_than_a_round_goes_on_in_its_middle(store: HybridStore) -> None:
    count = 2 * ROWS_MAX + 7
    store.record_market_trades([trade(number) for number in range(1, count + 1)])
    assert len({event.committed_at for event in told_of(store, None)}) == 1
    feed = open_small_feed(store, None)
    feed.read(5)
    taken = [feed.take(), feed.take(), feed.take()]
    assert taken[-1] is not None
    rest = told_of(store, taken[-1].token)
    assert [event.row["trade_id"] for event in rest] == list(range(4, count + 1))


def test_from_now_on_nothing_before_is_told(store: HybridStore) -> None:
    store.record_market_trades([trade(1)])
    with store.subscribe(timeout_s=0) as events:
        first = events.token
        store.record_market_trades([trade(2)])
        assert [event.row["trade_id"] for event in events] == [2]
        assert list(events) == []
        store.record_market_trades([trade(3)])
        assert [event.row["trade_id"] for event in events] == [3]
        assert told_of(store, events.token) == []
    assert [event.row["trade_id"] for event in told_of(store, first)] == [2, 3]


def test_a_candle_is_told_as_it_was_last_given(store: HybridStore) -> None:
    candle = ("BTC/USDT", "1m", START_US, 1, 9, 1, 2)
    store.record_candles([(*candle, 1), ("BTC/USDT", "1m", START_US + 60_000_000, 1, 9, 1, 2, 1)])
    with store.subscribe(["candles"], from_start=True, timeout_s=0) as events:
        assert [event.row["volume"] for event in events] == [1, 1]
        store.record_candles([(*candle, 2)])
        store.record_candles([(*candle, 3)])
        store.record_candles([(*candle, 3)])
        told = list(events)
    assert [(event.kind, event.row["id"], event.row["volume"]) for event in told] == [("recorded", 1, 3)]


def test_rows_read_the_same_from_an_archive(store: HybridStore, clock: ManualClock) -> None:
    store.record_fill(
        PERP, "buy", "100.50", "2", trade_id="t", info={"text": "\x1f\n\\n"}, executed_at=START_US
    )
    store.record_market_trades([trade(1), trade(2)])
    store.record_market_trades([trade(2, amount=9)])
    store.record_candles([("BTC/USDT", "1m", START_US, "0.1", 9, "0.00000001", 2, 1)])
    before = told_of(store, None)
    clock.advance(10 * DAY_US)
    assert store.retention.run().rows
    assert rows(store, "SELECT count(*) FROM market_trades") == [(0,)]
    after = told_of(store, None)
    assert after == before
    assert repr(after) == repr(before)
    for number, event in enumerate(before):
        assert told_of(store, event.token) == before[number + 1 :]
    store.record_market_trades([trade(1, amount=3)])
    assert names_of(told_of(store, before[-1].token)) == [("market_trades", "corrected", 4)]


class TestWhatIsFollowed:
    def test_filters(self, store: HybridStore) -> None:
        store.record_fill(PERP, "buy", 1, 1, trade_id="a", account="kraken/main", bot="one")
        store.record_fill("ETH/USDT:USDT", "buy", 1, 1, trade_id="b", bot="two")
        store.record_balance_update("BTC", 1, account="kraken/main")
        store.record_market_trades([trade(1)])
        told = [
            (event.dataset, event.row.get("trade_id"))
            for event in told_of(store, None, account="kraken/main")
        ]
        assert told == [("position_events", "a"), ("trades", "a"), ("balance_history", None)]
        assert [event.dataset for event in told_of(store, None, symbol="BTC")] == ["balance_history"]
        assert [event.row["trade_id"] for event in told_of(store, None, bot="two", datasets=["trades"])] == [
            "b"
        ]
        assert {event.dataset for event in told_of(store, None, datasets=["ledger", "trades"])} == {"trades"}

    def test_a_filtered_subscriber_comes_forward_too(self, store: HybridStore) -> None:
        with store.subscribe(["market_trades"], symbol="ETH/USDT", timeout_s=0) as events:
            before = events.token
            store.record_market_trades([trade(number) for number in range(3)])
            assert list(events) == []
            assert read_token(before).places["market_trades"].id == 0
            assert read_token(events.token).places["market_trades"].id == 3

    def test_what_is_wanted_may_be_far_inside_a_commit(self, store: HybridStore) -> None:
        many = [trade(number) for number in range(2 * ROWS_MAX)]
        store.record_market_trades([*many, ("ETH/USDT", 1, 1, 1, "buy", START_US), *many[:1]])
        assert names_of(told_of(store, None, symbol="ETH/USDT")) == [
            ("market_trades", "recorded", 2 * ROWS_MAX + 1)
        ]

    def test_a_correction_is_told_to_whom_either_version_concerns(self, store: HybridStore) -> None:
        store.record_fill(PERP, "buy", 1, 1, trade_id="a", bot="one", strategy="x")
        store.record_fill(PERP, "buy", 1, 1, trade_id="a", bot="two", strategy="x")
        for bot in ("one", "two"):
            assert "corrected" in [event.kind for event in told_of(store, None, bot=bot, datasets=["trades"])]
        assert told_of(store, None, bot="three") == []

    def test_a_dataset_that_is_followed_from_a_token_on(self, store: HybridStore, clock: ManualClock) -> None:
        store.record_market_trades([trade(1)])
        store.record_candles([("BTC/USDT", "1m", START_US, 1, 9, 1, 2, 1)])
        store.record_fill(PERP, "buy", 1, 1, trade_id="a", executed_at=START_US)
        token = told_of(store, None, datasets=["trades"])[-1].token
        clock.advance(1_000)
        store.record_market_trades([trade(1, amount=7), trade(2), trade(3)])
        store.record_candles([("BTC/USDT", "1m", START_US + 60_000_000, 1, 9, 1, 2, 1)])
        expected = [
            ("market_trades", "recorded", 3),
            ("market_trades", "recorded", 4),
            ("market_trades", "corrected", 1),
            ("candles", "recorded", 2),
        ]
        assert names_of(told_of(store, token)) == expected
        clock.advance(10 * DAY_US)
        store.retention.run()
        assert names_of(told_of(store, token)) == expected

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"datasets": ["tradez"]}, "no dataset is called 'tradez'"),
            ({"datasets": ["positions"]}, "follow the events that change it"),
            ({"datasets": "performance_metrics"}, "declare its tiering"),
            ({"datasets": ["corrections"]}, "internal data"),
            ({"datasets": ["market_trades"], "account": "a"}, "has no column 'account'"),
            ({"datasets": []}, "no dataset to follow"),
            ({"poll_max_ms": 0}, "poll_max_ms=0"),
        ],
    )
    def test_what_cannot_be_followed_is_refused(
        self, store: HybridStore, asked: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidValue, match=message):
            store.subscribe(**asked)
        assert store.database.writer.log.listeners == ()

    def test_own_datasets(self, root: Path, clock: ManualClock) -> None:
        columns = (
            Column("name", LogicalType.NAME, "Which."),
            Column("at", LogicalType.TIMESTAMP, "When."),
            Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it."),
        )
        tiering = Tiering(time="at", cluster=("name", "id"))
        own = Dataset(name="signals", kind="event", doc="Own.", columns=columns, tiering=tiering)
        timeless = msgspec.structs.replace(own, name="timeless", columns=columns[:2])
        again = msgspec.structs.replace(own, name="again", key=("name",), provisional=True)
        with HybridStore(root, clock=clock, datasets=[own, timeless, again]) as store:
            for name in ("signals", "timeless", "again"):
                store.insert(name, [("buy", START_US)])
            assert [event.dataset for event in told_of(store, None)] == ["signals"]
            with pytest.raises(InvalidValue, match="declare a TIMESTAMP column recorded_at"):
                store.subscribe(["timeless"])
            with pytest.raises(InvalidValue, match=r"declare Index\(\('recorded_at',\)\)"):
                store.subscribe(["again"])


class TestTokens:
    def test_with_from_start(self, store: HybridStore) -> None:
        with pytest.raises(InvalidValue, match="from_start=True with a token"):
            store.subscribe(token=store.subscribe().token, from_start=True)

    def test_damaged(self, store: HybridStore) -> None:
        with pytest.raises(InvalidValue, match="damaged or cut"):
            store.subscribe(token=store.subscribe().token[:-4])

    def test_of_another_store(self, store: HybridStore, tmp_path: Path) -> None:
        with HybridStore(tmp_path / "other") as other:
            token = other.subscribe().token
        with pytest.raises(StoreError, match="another store"):
            store.subscribe(token=token)

    def test_of_datasets_that_are_not_declared_here(self, store: HybridStore) -> None:
        now = read_moment(rows(store, store.database.statements["feed_position"]))
        names = [("trades", False), ("signals", False)]
        token = TokenMaker(now.mark, names).text(now.ts_us, [0, 5])
        with pytest.raises(UnknownDataset, match=r"'signals'.*declare it as its writer does"):
            store.subscribe(token=token)
        assert told_of(store, token, datasets=["trades"]) == []

    def test_ahead_of_a_store_that_lost_commits(self, root: Path, clock: ManualClock, tmp_path: Path) -> None:
        tokens, _ = lose_commits(root, clock, tmp_path)
        with HybridStore(root, clock=clock) as store, pytest.raises(StoreError) as caught:
            store.subscribe(token=tokens[-1])
        assert "ahead of the store by 2 rows of market_trades, 0.001 s" in str(caught.value)
        assert "from_start=True" in str(caught.value)

    @pytest.mark.parametrize("archived", [False, True])
    def test_of_a_history_that_went_another_way(
        self, root: Path, clock: ManualClock, tmp_path: Path, *, archived: bool
    ) -> None:
        """Row numbers are given anew: what a token says was told is another row now."""
        tokens, _ = lose_commits(root, clock, tmp_path)
        clock.advance(1_000_000)
        with HybridStore(root, clock=clock) as store:
            store.record_market_trades([trade(number) for number in range(50, 60)])
            if archived:
                clock.advance(10 * DAY_US)
                store.retention.run()
            with pytest.raises(StoreError, match="another history: row 3 of market_trades"):
                told_of(store, tokens[-1])
            assert [event.row["trade_id"] for event in told_of(store, tokens[0])] == list(range(50, 60))

    def test_a_correction_is_no_other_history(self, store: HybridStore, clock: ManualClock) -> None:
        store.record_market_trades([trade(1), trade(2)])
        token = told_of(store, None)[-1].token
        store.record_market_trades([trade(2, amount=5)])
        assert names_of(told_of(store, token)) == [("market_trades", "corrected", 2)]
        clock.advance(10 * DAY_US)
        store.retention.run()
        assert names_of(told_of(store, token)) == [("market_trades", "corrected", 2)]
        store.record_market_trades([trade(2, amount=6)])
        token = told_of(store, token)[-1].token
        store.record_market_trades([trade(2, amount=7)])
        assert names_of(told_of(store, token)) == [("market_trades", "corrected", 4)]

    def test_of_rows_that_were_deleted_for_good(self, store: HybridStore, clock: ManualClock) -> None:
        store.record_market_trades([trade(1)])
        behind = told_of(store, None)[-1].token
        before = store.subscribe(from_start=True).token
        store.record_market_trades([trade(2)])
        clock.advance(10 * DAY_US)
        store.retention.run()
        assert [event.row["trade_id"] for event in told_of(store, behind)] == [2]

        def delete(session: WriteSession) -> None:
            session.execute("UPDATE archive_files SET replaced_seq = ?", (session.seq,))

        store.database.writer.call(delete)
        for token in (before, behind):
            with pytest.raises(StoreError, match="rows of market_trades were deleted for good"):
                told_of(store, token)


def lose_commits(root: Path, clock: ManualClock, folder: Path) -> tuple[list[str], list[Event]]:
    """Put back an older copy of a store; return the tokens of what was committed before and after it was made."""
    with HybridStore(root, clock=clock) as store:
        store.record_market_trades([trade(1)])
    shutil.copytree(root, folder / "copy")
    with HybridStore(root, clock=clock) as store:
        clock.advance(1_000)
        store.record_market_trades([trade(2)])
        store.record_market_trades([trade(3)])
        events = told_of(store, None)
    shutil.rmtree(root)
    shutil.copytree(folder / "copy", root)
    return [event.token for event in events], events
