"""Where it cannot be told any more what was known, or never could, a question is refused and never answered shorter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import RetentionPolicy
from hybridstore.errors import HybridStoreError, InvalidValue, NotFound
from hybridstore.retention import erasure
from hybridstore.schema.dataset import Column, Dataset
from hybridstore.schema.history import why_not_known
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType, moment
from hybridstore.store import HybridStore
from tests.analytics.remembering import ANSWERED, REFUSED
from tests.analytics.test_as_known_at import NOTES, now_us
from tests.hot.books import START_US
from tests.tiered import OWN

POLICIES = [
    RetentionPolicy(name=name, table_name=name, frozen_retention_years=1) for name in ("trades", "ledger")
]
LEVELS = Dataset(
    name="levels",
    kind="state",
    doc="A user's own state.",
    columns=(Column("level", LogicalType.NAME, "Which."), Column("recorded_at", LogicalType.TIMESTAMP, "When.")),
    key=("level",),
)  # fmt: skip
NOTED_MAYBE = msgspec.structs.replace(
    NOTES,
    name="noted_maybe",
    columns=(
        *NOTES.columns[:-1],
        Column("recorded_at", LogicalType.TIMESTAMP, "Declared later.", nullable=True),
    ),
)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock at noon."""
    return ManualClock(START_US)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return an empty store that deletes fills and what they entered after a year."""
    own = [OWN, LEVELS, NOTED_MAYBE]
    with HybridStore(
        tmp_path / "root", clock=clock, datasets=own, policies=POLICIES, maintenance="off"
    ) as opened:
        yield opened


def fill(store: HybridStore, name: str, account: str = "default") -> int:
    """Record a fill of now, and what the exchange says of its market; return when it was committed."""
    store.record_fill("BTC/USDT", "buy", 100, 1, trade_id=name, account=account, strategy="slow")
    store.record_market_trades([("BTC/USDT", int(name), 1, 1, "buy", store.database.clock.now_us())])
    return now_us(store)


def grow_old(store: HybridStore, clock: ManualClock, months: int) -> None:
    """Let months pass; the store is maintained."""
    for _ in range(months):
        clock.advance(31 * DAY_US)
        store.retention.run()


def ask(store: HybridStore, name: str, at: int | None) -> list[Callable[[], Any]]:
    """Return every way to ask for the rows of a dataset."""
    return [
        lambda: store.sql(f"SELECT * FROM {name}", as_known_at=at).rows(),
        lambda: store.sql(f"SELECT count(*) FROM trades, {name} WHERE false", as_known_at=at).rows(),
        lambda: store.scan(name, as_known_at=at),
    ]


def refused(store: HybridStore, name: str, at: int, kind: type[HybridStoreError]) -> HybridStoreError:
    """Return the error with which each way to ask is refused."""
    errors = []
    for asked in ask(store, name, at):
        with pytest.raises(kind) as caught:
            asked()
        errors.append(caught.value)
    assert len({str(error) for error in errors}) == 1
    assert errors[0].operation == "as_known_at"
    assert errors[0].hint
    return errors[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_keeps_no_history_says_where_it_is(store: HybridStore, name: str) -> None:
    at = fill(store, "1")
    error = refused(store, name, at, InvalidValue)
    assert error.message.startswith((f"{name} holds only what is so now", f"rows of {name} are given again"))
    assert error.hint is not None
    assert any(other in error.hint for other in ANSWERED)
    assert store.sql(f"SELECT count(*) FROM {name}").rows()


@pytest.mark.parametrize("dataset", [OWN, LEVELS, NOTED_MAYBE], ids=lambda dataset: dataset.name)
def test_a_users_own_that_does_not_say_when_it_was_committed(store: HybridStore, dataset: Dataset) -> None:
    error = refused(store, dataset.name, fill(store, "1"), InvalidValue)
    if dataset is LEVELS:
        assert str(error) == (
            "as_known_at: levels holds only what is so now, not what it was (ask the events that change it)"
        )
    else:
        assert "do not say when they were committed" in error.message
        assert "recorded_at" in str(error.hint)


def test_every_dataset_is_answered_or_refused() -> None:
    public = {name: Registry()[name] for name in Registry().public}
    known = {name for name, dataset in public.items() if why_not_known(dataset) is None}
    assert known == set(ANSWERED) & set(public)
    assert known | set(REFUSED) == set(public)


def test_a_moment_that_has_not_come(store: HybridStore, clock: ManualClock) -> None:
    fill(store, "1")
    assert len(store.sql("SELECT * FROM trades", as_known_at=clock.now_us())) == 1
    for at in (clock.now_us() + 1, "2100-01-01T00:00:00Z"):
        with pytest.raises(InvalidValue, match="has not come yet"):
            store.sql("SELECT * FROM trades", as_known_at=at)
    assert store.database.readers.statistics()["active_connections"] == 0


@pytest.mark.parametrize(
    "at", [moment(START_US).replace(tzinfo=None), "2026-01-01", 1_700_000_000, "now", b"x"]
)
def test_what_is_no_moment(store: HybridStore, at: Any) -> None:
    with pytest.raises(InvalidValue, match="as_known_at="):
        store.sql("SELECT 1", as_known_at=at)


# -- rows that are gone -----------------------------------------------------------------------------------------


def test_rows_that_were_deleted_since(store: HybridStore, clock: ManualClock) -> None:
    first = fill(store, "1")
    grow_old(store, clock, 12)
    second = fill(store, "2")
    assert len(store.sql("SELECT * FROM trades", as_known_at=second)) == 2
    assert len(store.sql("SELECT * FROM trades", as_known_at=first)) == 1
    grow_old(store, clock, 2)
    deleted = [one for one in store.retention.certificates() if one.dataset == "trades"]
    assert [one.rows for one in deleted] == [1]
    for at in (START_US - 1, first, second):
        error = refused(store, "trades", at, NotFound)
        assert "trades" in error.message
        assert moment(at).isoformat() in error.message
        refused(store, "ledger", at, NotFound)
    for name in ("market_trades", "position_events"):
        found = [
            len(store.sql(f"SELECT * FROM {name}", as_known_at=at)) for at in (START_US - 1, first, second)
        ]
        assert found == [0, 1, 2]
    since = now_us(store)
    third = fill(store, "3")
    assert store.sql("SELECT trade_id FROM trades ORDER BY id", as_known_at=since).rows() == [("2",)]
    fill(store, "4")
    grow_old(store, clock, 1)  # the bytes go, and what else was kept of them
    assert len(store.sql("SELECT * FROM trades", as_known_at=third)) == 2


def test_rows_that_a_hold_brought_back(store: HybridStore, clock: ManualClock) -> None:
    """Between the deletion and the hold they could not be seen; now they count again."""
    first = fill(store, "1")
    grow_old(store, clock, 13)
    between = now_us(store)
    store.retention.hold("trades", reason="case", held_by="counsel")
    assert store.retention.run().restored_rows == 1
    for at in (first, between):
        refused(store, "trades", at, NotFound)
    now = now_us(store)
    assert store.sql("SELECT trade_id FROM trades", as_known_at=now).rows() == [("1",)]


@pytest.mark.parametrize("is_archived", [False, True])
def test_rows_that_were_erased_since(store: HybridStore, clock: ManualClock, *, is_archived: bool) -> None:
    metric = ("kraken/one", "2026", "-", "sharpe", "1", 0.5, 365, None, 9)
    store.insert("performance_metrics", [metric])
    first = fill(store, "1", "kraken/one")
    before = fill(store, "2", "kraken/two")
    if is_archived:
        grow_old(store, clock, 1)
    for column in ("account", "scope"):
        store.retention.erase(column, "kraken/one", reason="request 1", ordered_by="officer")
    after = now_us(store)
    for name in ("trades", "ledger", "position_events", "performance_metrics"):
        for at in (first, before):
            refused(store, name, at, NotFound)
    assert len(store.sql("SELECT * FROM market_trades", as_known_at=before)) == 2
    fill(store, "3", "kraken/two")
    assert store.sql("SELECT trade_id FROM trades", as_known_at=after).rows() == [("2",)]


def test_an_erasure_that_died_is_no_shorter_answer(
    store: HybridStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first step on, whichever that is, the old moments are refused."""

    class Killed(BaseException):
        """What ends it here."""

    at = fill(store, "1")
    store.record_fill("BTC/USDT", "buy", 100, 2, trade_id="1", strategy="slow")
    clock.advance(1_000_000)
    real = erasure.Eraser._steps

    def die(self: erasure.Eraser, dataset: str, statement: str, what: list[Any]) -> None:
        real(self, dataset, statement, what)
        if dataset == "trades" and what:
            raise Killed

    monkeypatch.setattr(erasure.Eraser, "_steps", die)
    assert len(store.sql("SELECT * FROM trades", as_known_at=at)) == 1
    with pytest.raises(Killed):
        store.retention.erase("strategy", "slow", reason="request 1", ordered_by="officer")
    refused(store, "trades", at, NotFound)
