"""A store that lives for years, and an oracle that knows what it must hold at every moment.

The oracle keeps its own calendar and its own sums; it shares no code with the retention.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME, DatabaseConfig, RetentionPolicy
from hybridstore.retention.failures import Failures
from hybridstore.retention.offload import Offloader
from hybridstore.retention.progress import MoveReport
from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.evolution import renamed, widened
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.types import LogicalType
from tests.tiered import insert

BEGIN = date(2018, 3, 9)
YEARS_KEPT = 7
_EPOCH = date(1970, 1, 1)
_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BTC/USDT:USDT")
NOTES = Dataset(
    name="notes",
    kind="event",
    doc="A user's own dataset, whose rows are corrected and told late.",
    columns=(
        Column("note_id", LogicalType.NAME, "Its name."),
        Column("score", LogicalType.MONEY, "A value."),
        Column("noted_at", LogicalType.TIMESTAMP, "When."),
    ),
    key=("note_id",),
    tiering=Tiering(time="noted_at", cluster=("noted_at", "id")),
)


NOTES_WITH_MOOD = msgspec.structs.replace(
    NOTES, columns=(*NOTES.columns, Column("mood", LogicalType.TEXT, "How it felt.", nullable=True))
)
"""What it is declared as from some year on."""
EXTENDED = BEGIN + timedelta(days=1_100)
RENAMED = BEGIN + timedelta(days=1_700)
"""When ``score`` becomes ``points``, and names any text."""


def day_number(day: date) -> int:
    """Return days since 1970."""
    return (day - _EPOCH).days


def first_kept(today: date) -> date:
    """Return the first day whose rows are not older than seven years, by whole months."""
    return date(today.year - YEARS_KEPT, today.month, 1)


class Life:
    """One store, its clock, and what it must hold.

    Args:
        root: Where the store lives.
        rng: What happens.
        ticks_a_day: Market trades a day.
        step_days: How often it is maintained.
        checks_a_step: At how many moments of a step totals are compared.
        quiet_days: So many days without a row follow each day with some.
        archive_url: Where cold and frozen files go; copies of them are deleted every few steps.
    """

    def __init__(
        self,
        root: Path,
        rng: random.Random,
        *,
        ticks_a_day: int,
        step_days: int,
        checks_a_step: int,
        quiet_days: int = 0,
        archive_url: str | None = None,
    ) -> None:
        self._root = root
        self._rng = rng
        self._ticks_a_day = ticks_a_day
        self._step_days = step_days
        self._checks_a_step = checks_a_step
        self._quiet_days = quiet_days
        self.today = BEGIN
        self._clock = ManualClock(day_number(BEGIN) * DAY_US)
        self._policy = RetentionPolicy(
            name="ticks", table_name="market_trades", max_hot_records=max(ticks_a_day * 5, 1)
        )
        self._ticks: dict[int, list[int]] = {}
        """Rows and sum of amounts, in 1e-8, by day."""
        self._notes: dict[str, tuple[int, Decimal, bool]] = {}
        """Day, score, and whether it has a mood, by name."""
        self._declared = NOTES
        self._score = "score"
        self._archive_url = archive_url
        self._held: dict[str, tuple[int, int]] = {}
        self._steps = 0
        self._told = 0
        self._notes_told = 0
        self.store = self._open()
        self.checks = 0
        """How often totals were compared."""
        self.done: Counter[str] = Counter()
        """What happened."""
        self.reports: list[MoveReport] = []

    def _open(self) -> HybridStore:
        store = HybridStore(
            config=DatabaseConfig(
                database_path=str(self._root / DATABASE_NAME),
                archive_url=self._archive_url,
                archive_cache_mb=0,
            ),
            clock=self._clock,
            policies=[self._policy],
            datasets=[self._declared],
            maintenance="off",
        )
        store.open()
        return store

    def step(self) -> None:
        """Let some days pass, then maintain the store, comparing totals all the while."""
        numbers = range(0, self._step_days, 1 + self._quiet_days)
        days = [self.today + timedelta(days=number) for number in numbers]
        for day in days:
            self._live(day)
        self.today += timedelta(days=self._step_days)
        self._clock.set(day_number(self.today) * DAY_US + self._rng.randrange(DAY_US))
        self._steps += 1
        if self._steps % 10 == 0 or self._extends():
            self.store.close()
            if self._extends():
                self._declared = NOTES_WITH_MOOD
                self.done["extended"] += 1
            self.store = self._open()
            self.done["reopened"] += 1
        self.check()
        self._maintain()
        if self._steps % 5 == 0:
            self._evict()
        self.check()
        if self._score == "score" and self.today >= RENAMED:
            self._rename()

    def _evict(self) -> None:
        failures = Failures()
        self.done["evicted"] += Offloader(self.store.database, failures).evict(grace_s=-60)
        assert failures.errors == []

    def _rename(self) -> None:
        """Give a column another name, and let another hold more, with everything archived until now."""
        retention = self.store.retention
        written = retention.rename_column(
            "notes", "score", "points", progress=lambda _rows, _total: self.check()
        )
        self._score = "points"
        retention.widen_column(
            "notes", "note_id", LogicalType.TEXT, progress=lambda _rows, _total: self.check()
        )
        self._declared = widened(renamed(self._declared, "score", "points"), "note_id", LogicalType.TEXT)
        self.done["renamed"] += written.rows
        self.check()
        self.store.close()
        self.store = self._open()

    @property
    def _has_mood(self) -> bool:
        return "mood" in self._declared.column_names

    def _extends(self) -> bool:
        return self._declared is NOTES and self.today >= EXTENDED

    def hold(self, name: str, first: date, last: date) -> None:
        """Hold market trades and notes of some days."""
        span = (day_number(first), day_number(last) + 1)
        held = self.store.retention.hold(
            "*", span[0] * DAY_US, span[1] * DAY_US, reason=name, held_by="the test"
        )
        self._held[held.hold_id] = span

    def release_first(self) -> None:
        """Release the oldest hold."""
        hold_id = next(iter(self._held))
        self.store.retention.release(hold_id, released_by="the test")
        del self._held[hold_id]

    def check(self) -> None:
        """Compare what the store says with what it must say."""
        assert self._found("market_trades", "amount") == self._ticks_expected()
        assert self._found("notes", self._score) == self._notes_expected()
        if self._has_mood:
            moods = sum(has_mood for _, _, has_mood in self._notes.values())
            assert self.store.sql("SELECT count(mood) FROM notes").rows() == [(moods,)]
        self.checks += 1

    def _live(self, day: date) -> None:
        self._clock.set(day_number(day) * DAY_US + DAY_US // 2)
        self._tick(day, self._ticks_a_day)
        for _ in range(2):
            self._note(f"note-{self._notes_told}", day)
            self._notes_told += 1
        if self._rng.random() < 0.3:  # late, by up to six years
            late = day - timedelta(days=self._rng.randrange(1, 2_190))
            if late >= BEGIN:
                self._tick(late, self._rng.randrange(1, 1 + max(self._ticks_a_day // 10, 2)))
                self._note(f"note-{self._notes_told}", late)
                self._notes_told += 1
                self.done["late"] += 1
        if self._rng.random() < 0.3 and self._notes:  # another score, and sometimes another day
            name = self._rng.choice(list(self._notes))
            of = self._notes[name][0]
            if day_number(day) - of < 2_190:
                moved = _EPOCH + timedelta(days=of + self._rng.choice((0, 0, 1)))
                self._note(name, min(moved, day))
                self.done["corrected"] += 1

    def _tick(self, day: date, count: int) -> None:
        rng, start_us, first = self._rng, day_number(day) * DAY_US, self._told
        amounts = [rng.randrange(1, 10**12) for _ in range(count)]
        recorded_us = self._clock.now_us()
        insert(
            self.store.database,
            MARKET_TRADES,
            [
                (
                    _SYMBOLS[number % 4],
                    first + number,
                    6_000_000_000_000 + number,
                    amount,
                    "buy" if number % 2 else "sell",
                    start_us + rng.randrange(DAY_US),
                    recorded_us,
                )
                for number, amount in enumerate(amounts)
            ],
        )
        self._told += count
        of_day = self._ticks.setdefault(day_number(day), [0, 0])
        of_day[0] += count
        of_day[1] += sum(amounts)

    def _note(self, name: str, day: date) -> None:
        score = Decimal(self._rng.randrange(-(10**15), 10**15)).scaleb(-9)
        noted_us = day_number(day) * DAY_US + self._rng.randrange(DAY_US // 2)
        note = {"note_id": name, self._score: score, "noted_at": noted_us}
        self.store.insert("notes", [note | ({"mood": "calm"} if self._has_mood else {})])
        self._notes[name] = (day_number(day), score, self._has_mood)

    def _maintain(self) -> None:
        before_ticks, before_notes = self._ticks_expected(), self._notes_expected()
        moments = sorted(self._rng.sample(range(40), self._checks_a_step))
        passed = 0

        def during_moves(_name: str) -> None:
            nonlocal passed
            passed += 1
            if passed in moments:
                self.check()

        def during_replacements(_name: str) -> None:
            nonlocal passed
            passed += 1
            if passed in moments:
                rows = self._found("market_trades", "amount")[0]
                assert self._ticks_expected()[0] <= rows <= before_ticks[0]
                self.checks += 1

        def planned(name: str) -> None:
            if name == "claimed":
                self._delete()
            during_replacements(name)

        self.reports.append(self.store.retention.run(on_step=during_moves, on_replace_step=planned))
        self._delete()
        self.done["deleted"] += before_ticks[0] - self._ticks_expected()[0]
        self.done["deleted"] += before_notes[0] - self._notes_expected()[0]

    def _delete(self) -> None:
        """Forget what is older than seven years and not held, as the store must."""
        first = day_number(first_kept(self.today))

        def stays(day: int) -> bool:
            return day >= first or any(start <= day < end for start, end in self._held.values())

        self._ticks = {day: sums for day, sums in self._ticks.items() if stays(day)}
        self._notes = {name: note for name, note in self._notes.items() if stays(note[0])}

    def _found(self, dataset: str, column: str) -> tuple[int, Decimal]:
        key = "trade_id" if dataset == "market_trades" else "note_id"
        rows, keys, total = self.store.sql(
            f"SELECT count(*), count(DISTINCT {key}), coalesce(sum({column}), 0) FROM {dataset}"
        ).rows()[0]
        assert rows == keys, f"{rows - keys} rows of {dataset} are there twice"
        return rows, total

    def _ticks_expected(self) -> tuple[int, Decimal]:
        rows = sum(count for count, _ in self._ticks.values())
        return rows, Decimal(sum(total for _, total in self._ticks.values())).scaleb(-8)

    def _notes_expected(self) -> tuple[int, Decimal]:
        return len(self._notes), sum((score for _, score, _ in self._notes.values()), Decimal(0))


def misplaced(store: HybridStore, today: date) -> list[str]:
    """Return what is not in the tier its age says: days hot, then by day, by month, by year."""
    wrong = []
    files: list[Any] = store.database.readers.rows(
        "SELECT dataset, tier, time_min_us, time_max_us FROM archive_files WHERE replaced_seq IS NULL"
    )
    for dataset, tier, first_us, last_us in files:
        first, last = (datetime.fromtimestamp(at // 10**6, UTC).date() for at in (first_us, last_us))
        month_ends = (last.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        year_ends = date(last.year, 12, 31)
        if (today - year_ends).days > 365:
            expected = {"frozen"}
        elif (today - month_ends).days > 30:
            expected = {"cold"}
        elif (today - last).days > 7:
            expected = {"warm"}
        else:
            expected = {"hot"}
        if tier not in expected:
            wrong.append(f"{dataset} {first}..{last} is {tier}")
    for dataset, column in (("market_trades", "traded_at"), ("notes", "noted_at")):
        (oldest_us,) = store.database.readers.rows(f"SELECT min({column}) FROM {dataset}")[0]
        if oldest_us is not None and day_number(today) - oldest_us // DAY_US > 7:
            wrong.append(f"{dataset} has rows of {oldest_us} in the hot store")
    return wrong
