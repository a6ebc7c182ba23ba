"""Random work on a store, and the list of events that a subscriber must be told of it.

The list is kept by looking into the tables right after every commit: what has that commit's time is what it committed.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import msgspec

from hybridstore.archive.backlog import Backlog
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.feed import Feed
from hybridstore.hot.feed_event import Event, Wanted
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.schema.feed import commit_column, why_not_followed
from hybridstore.schema.types import check_timestamp
from hybridstore.store import HybridStore
from tests.hot.books import rows

PERP = "BTC/USDT:USDT"
ACCOUNTS = ("default", "kraken/main")
BOTS = {"default": "one", "kraken/main": None}


class Told(NamedTuple):
    """An event as the tables show it: stored forms, so that it owes nothing to the code under test."""

    dataset: str
    kind: str
    ts_us: int
    row: tuple[Any, ...]


def followed(store: HybridStore) -> list[str]:
    """Return the datasets that can be followed, in order."""
    return [dataset.name for dataset in store.database.registry.values() if why_not_followed(dataset) is None]


def committed_at(store: HybridStore, ts_us: int) -> list[Told]:
    """Return what the commit of a moment committed; asked before anything else is committed."""
    found = []
    corrections = rows(
        store, "SELECT dataset, row_id, new_row_id, old_row, corrected_at FROM corrections ORDER BY id"
    )
    inserted = {(name, new_id) for name, row_id, new_id, _, _ in corrections if row_id != new_id}
    before: dict[tuple[str, int], str] = {}
    for name, row_id, _, old_row, corrected_us in corrections:
        if corrected_us == ts_us:
            before.setdefault((name, row_id), old_row)
    for name in followed(store):
        dataset = store.database.registry[name]
        columns, time = ", ".join(dataset.stored_names), commit_column(dataset)
        for row in rows(store, f"SELECT {columns} FROM {name} WHERE {time} = ? ORDER BY id", (ts_us,)):
            if (name, row[0]) in before:
                old = msgspec.json.decode(before[name, row[0]])
                if old[time] < ts_us:
                    continue
                first = tuple([old[column] for column in dataset.stored_names])
            else:
                first = row
            if (name, row[0]) not in inserted:
                found.append(Told(name, "recorded", ts_us, first))
    for name, row_id, text in rows(
        store,
        "SELECT dataset, new_row_id, new_row FROM corrections WHERE corrected_at = ? ORDER BY id",
        (ts_us,),
    ):
        if name in followed(store):
            new = msgspec.json.decode(text)
            names = store.database.registry[name].column_names
            found.append(Told(name, "corrected", ts_us, (row_id, *[new[column] for column in names])))
    return found


def as_told(store: HybridStore, event: Event) -> Told:
    """Return an event in the stored forms of its row."""
    dataset = store.database.registry[event.dataset]
    row = [event.row["id"], *[column.check(event.row[column.name]) for column in dataset.columns]]
    return Told(event.dataset, event.kind, dataset_us(event), tuple(row))


def dataset_us(event: Event) -> int:
    """Return the commit time of an event, us UTC."""
    return check_timestamp(event.committed_at, "committed_at")


class Worker:
    """Does random work on a store, one commit at a time, and keeps the list of what was committed.

    Args:
        store: The store.
        clock: Its clock.
        rng: Decides what is done.
    """

    def __init__(self, store: HybridStore, clock: ManualClock, rng: Random) -> None:
        self.store = store
        self.clock = clock
        self.rng = rng
        self.told: list[Told] = []
        self.number = 0

    def work(self, store: HybridStore | None = None) -> None:
        """Do something and note what it committed."""
        store = store or self.store
        self.clock.advance(self.rng.choice((0, 0, 1, 1_000)))
        self.rng.choice(
            (self._balance, self._fill, self._trades, self._trades, self._candle, self._ledger, self._order)
        )(store)
        ts_us = rows(self.store, "SELECT ts FROM commit_clock")[0][0]
        if not self.told or self.told[-1].ts_us < ts_us:
            self.told += committed_at(self.store, ts_us)

    def _when(self) -> int:
        """Return a moment of today or of a day that is to be archived."""
        now_us = self.clock.now_us()
        return now_us - self.rng.choice((0, 0, 9, 10, 11)) * DAY_US - self.rng.randrange(1000)

    def _new(self) -> int:
        """Return a number, mostly a new one."""
        self.number += 1
        return self.rng.randint(1, self.number) if self.rng.random() < 0.3 else self.number

    def _balance(self, store: HybridStore) -> None:
        store.batch_update_balances(
            [
                {
                    "asset": self.rng.choice(("BTC", "ETH")),
                    "balance": self.rng.randrange(100),
                    "changed_at": self._when(),
                    "account": self.rng.choice(ACCOUNTS),
                }
                for _ in range(self.rng.randint(1, 4))
            ]
        )

    def _fill(self, store: HybridStore) -> None:
        account = self.rng.choice(ACCOUNTS)
        store.record_fill(
            PERP,
            self.rng.choice(("buy", "sell")),
            self.rng.randint(90, 110),
            self.rng.randint(1, 3),
            trade_id=f"t{self._new()}",
            fee=self.rng.randint(0, 2),
            fee_currency="USDT",
            account=account,
            executed_at=self._when(),
            bot=BOTS[account],
            info={"text": "line\nline \x1f \\n ¥"},
        )

    def _trades(self, store: HybridStore) -> None:
        store.record_market_trades(
            [
                (self.rng.choice(("BTC/USDT", "ETH/USDT")), number, 100 + number, self.rng.randint(1, 2), "buy",
                 self._moment_of(number))
                for number in (self._new() for _ in range(self.rng.choice((1, 2, 9))))
            ]
        )  # fmt: skip

    def _moment_of(self, number: int) -> int:
        return (self.clock.now_us() // DAY_US - number % 12) * DAY_US + number

    def _candle(self, store: HybridStore) -> None:
        opened_us = (self.clock.now_us() // DAY_US - self.rng.choice((0, 9))) * DAY_US
        opened_us += self.rng.randrange(3) * 60_000_000
        store.record_candles([("BTC/USDT", "1m", opened_us, 1, 9, 1, 2, self.rng.randint(1, 10**6))])

    def _ledger(self, store: HybridStore) -> None:
        number = self._new()
        store.record_ledger_entries(
            [
                {
                    "account": "default",
                    "entry_id": f"e{number}",
                    "type": "deposit",
                    "asset": "BTC",
                    "amount": self.rng.randint(1, 3),
                    "occurred_at": self._moment_of(number),
                }
            ]
        )

    def _order(self, store: HybridStore) -> None:
        store.record_order(
            symbol=PERP,
            order_id=f"o{self._new()}",
            side="buy",
            type="limit",
            status=self.rng.choice(("open", "closed")),
            amount=5,
            price=100,
            filled=self.rng.randint(0, 4),
            updated_at=self._when(),
        )

    def move(self, stop_after: int | None = None) -> None:
        """Move what is old enough, or only begin to: a mover may die at any step."""
        steps = 0

        def stop() -> bool:
            nonlocal steps
            steps += 1
            return stop_after is not None and steps > stop_after

        DataRetentionManager(self.store.database).run(stop=stop)


def open_small_feed(store: HybridStore, token: str | None, window_rows: int = 5) -> Feed:
    """Open a feed whose windows of archived rows are so small that there are many."""
    return Feed(
        store.database,
        None,
        Wanted(),
        token=token,
        from_start=token is None,
        archive=lambda: Backlog(store.root, window_rows),
    )


def drain(feed: Feed, rows_max: Callable[[], int]) -> list[Event]:
    """Take everything there is, in rounds of random size."""
    found = []
    while True:
        while (event := feed.take()) is not None:
            found.append(event)
        if not feed.read(rows_max()) and not feed.ready:
            return found
