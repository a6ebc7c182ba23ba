"""A random history of a store, and copies of all that could be seen of it at some of its moments.

The copies are read from the hot tables and the Parquet files themselves: they share no code with what they judge.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DatabaseConfig
from hybridstore.hot.archived import ArchiveNeeded
from hybridstore.hot.connection import Claimed
from hybridstore.schema.dataset import Column, Dataset
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType
from hybridstore.store import HybridStore
from tests.hot.books import START_US, rows
from tests.hot.feed_books import ACCOUNTS, PERP, Worker
from tests.tiered import OWN, all_rows, decoded, make_rows

RECORDED_AT = Column("recorded_at", LogicalType.TIMESTAMP, "When the store took it, from the commit clock.")
JOURNAL = msgspec.structs.replace(OWN, name="journal", columns=(*OWN.columns, RECORDED_AT))
"""A user's own dataset with every type of column, whose rows say when they were committed."""
ANSWERED = (
    "balance_history", "position_events", "order_events", "trades", "ledger", "portfolio_snapshots",
    "performance_metrics", "market_trades", "journal",
)  # fmt: skip
"""What can be asked as it was known; every other dataset is refused."""
REFUSED = tuple(name for name in Registry().public if name not in ANSWERED)
Row = tuple[Any, ...]
Seen = dict[Row, Row]


def identity(dataset: Dataset, row: Row) -> Row:
    """Return what no two rows that can be seen at once share."""
    return (
        row[:1]
        if dataset.numbered
        else tuple([row[dataset.column_names.index(name)] for name in dataset.key])
    )


def seen(store: HybridStore, name: str) -> Seen:
    """Return the rows that can be seen of a dataset now, read without any of the store's questions."""
    dataset = store.database.registry[name]
    if not dataset.numbered:
        stored = rows(store, f"SELECT {', '.join(dataset.column_names)} FROM {name}")
        return {identity(dataset, row): tuple(map(decoded, dataset.columns, row)) for row in stored}
    gone = {
        number for (number,) in rows(store, "SELECT row_id FROM superseded_rows WHERE dataset = ?", (name,))
    }
    found = all_rows(store.database, dataset)
    return {(number,): (number, *row) for number, row in found.items() if number not in gone}


def answered(dataset: Dataset, table: Any) -> Seen:
    """Return the rows of an answer; none may be there twice."""
    assert tuple(table.column_names) == dataset.stored_names
    columns = []
    for field, name in zip(table.schema, dataset.stored_names, strict=True):
        values = table.column(name)
        columns.append(
            (values.cast("int64") if str(field.type).startswith("timestamp") else values).to_pylist()
        )
    found = list(zip(*columns, strict=True))
    by_identity = {identity(dataset, row): row for row in found}
    assert len(by_identity) == len(found), f"rows of {dataset.name} are there twice"
    return by_identity


class Remembering(Worker):
    """Does random work on a store, and remembers what could be seen at some moments.

    Args:
        root: Where the store lives.
        rng: Decides what is done.
    """

    def __init__(self, root: Path, rng: Random) -> None:
        clock = ManualClock(START_US)
        config = DatabaseConfig(database_path=str(root / "trading_bot.db"), reserve_mb=0, busy_timeout_ms=300)
        store = HybridStore(root, config=config, clock=clock, datasets=[JOURNAL], maintenance="off")
        super().__init__(store, clock, rng)
        self.moments: list[tuple[int, dict[str, Seen]]] = []
        """When, and what could be seen, by dataset; what did not change is shared."""
        self.done: Counter[str] = Counter()
        """What happened."""
        self._journaled = 0

    def live(self) -> None:
        """Do something; what would change a row that is just being moved is left."""
        kinds = (
            self._balance, self._fill, self._void, self._trades, self._ledger, self._void_entry, self._order,
            self._equity, self._metric, self._journal, self._journal,
        )  # fmt: skip
        self.clock.advance(self.rng.choice((0, 1, 1_000, DAY_US // 40)))
        what = self.rng.choice(kinds)
        try:
            what(self.store)
            self.done[what.__name__] += 1
        except (Claimed, ArchiveNeeded):  # a moment later it would do
            self.done["claimed"] += 1

    def age(self, days: int) -> None:
        """Let days pass, and move, merge, or only begin to."""
        self.clock.advance(days * DAY_US)
        if self.rng.random() < 0.4:
            self.move(self.rng.choice((1, 2, 5)))
        else:
            report = self.store.retention.run()
            self.done["moved"] += report.rows
            self.done["merged"] += report.merged

    def remember(self) -> None:
        """Copy all that can be seen."""
        before = self.moments[-1][1] if self.moments else {}
        copy: dict[str, Seen] = {}
        for name in ANSWERED:
            known = before.get(name, {})
            now = {
                key: known[key] if known.get(key) == row else row
                for key, row in seen(self.store, name).items()
            }
            copy[name] = known if known == now else now
        self.moments.append((self.now_us(), copy))

    def now_us(self) -> int:
        """Return the time of the last commit."""
        ts_us: int = rows(self.store, "SELECT ts FROM commit_clock")[0][0]
        return ts_us

    def check(self, place: int, *, scans: bool) -> None:
        """Ask as it was known at a moment that is remembered, by SQL or as LazyFrames."""
        at_us, copy = self.moments[place]
        with self.store.snapshot(as_known_at=at_us) as snapshot:
            for name in ANSWERED:
                dataset = self.store.database.registry[name]
                if scans:
                    table = snapshot.scan(name).collect().to_arrow()
                else:
                    table = snapshot.sql(f"SELECT * FROM {name}").arrow()
                found = answered(dataset, table)
                assert found == copy[name], f"{name} at moment {place} of {len(self.moments)}"
        self.done["checked"] += 1

    def _void(self, store: HybridStore) -> None:
        account = self.rng.choice(ACCOUNTS)
        found = store.sql("SELECT trade_id FROM trades WHERE account = $account ORDER BY id", account=account)
        if len(found):
            store.void_fill(PERP, self.rng.choice(found.rows())[0], account=account)

    def _void_entry(self, store: HybridStore) -> None:
        found = store.sql("SELECT entry_id FROM ledger WHERE entry_id LIKE 'e%' ORDER BY id").rows()
        if found:
            store.void_ledger_entry(self.rng.choice(found)[0])

    def _equity(self, store: HybridStore) -> None:
        hour_us = (
            self.clock.now_us() // 3_600_000_000 * 3_600_000_000
        )  # told again within the hour, it is corrected
        store.record_portfolio_snapshot(taken_at=hour_us)

    def _metric(self, store: HybridStore) -> None:
        row = (
            f"s{self.rng.randrange(4)}",
            "2026",
            "-",
            "sharpe",
            "1",
            self.rng.random(),
            365,
            None,
            self.rng.randrange(3),
        )
        store.insert("performance_metrics", [row])

    def _journal(self, store: HybridStore) -> None:
        """New rows, and known ones with another content: hot, archived, and corrected before."""
        first_day = self.clock.now_us() // DAY_US - 25
        again = self._journaled > 0 and self.rng.random() < 0.6
        number = self.rng.randrange(self._journaled) if again else self._journaled
        told = make_rows(
            JOURNAL, self.rng, self.rng.choice((1, 1, 5)), first_day=first_day, days=26, number=number
        )
        self._journaled = max(self._journaled, number + len(told))
        columns = JOURNAL.columns[:-1]
        store.insert("journal", [tuple(map(decoded, columns, row[:-1])) for row in told])
