"""Legal erasure: what is to go is nowhere any more, not even in the bytes, and nothing else changed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.errors import Conflict, InvalidValue
from hybridstore.retention import erasure
from hybridstore.retention.verification import examine
from tests.test_cli import run  # noqa: F401  a fixture

NOW_US = 20_600 * DAY_US + DAY_US // 3
YEAR_US = 365 * DAY_US
WHO, OTHER = "alice-7c1e", "bob"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """A store of two accounts, warm, cold and hot, with corrections of archived and of hot rows."""
    clock = ManualClock(NOW_US)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for account in (WHO, OTHER):
            _trade(store, account, "old", NOW_US)
        clock.advance(20 * DAY_US)
        store.retention.run()
        for account in (WHO, OTHER):
            _trade(store, account, "warm", clock.now_us())
        clock.advance(20 * DAY_US)
        store.retention.run()
        clock.advance(50 * DAY_US)
        store.retention.run()
        for account in (WHO, OTHER):
            _trade(store, account, "hot", clock.now_us())
            for name, at in (("old", NOW_US), ("hot", clock.now_us())):
                store.record_fill(
                    "BTC/USDT",
                    "buy",
                    "101",
                    "2",
                    trade_id=f"{account}-{name}",
                    account=account,
                    executed_at=at,
                )
        yield store


def _trade(store: HybridStore, account: str, name: str, at_us: int) -> None:
    store.record_balance_update("BTC", Decimal(7), account=account, changed_at=at_us)
    store.record_fill(
        "BTC/USDT", "buy", "100", "2", trade_id=f"{account}-{name}", account=account, executed_at=at_us
    )
    store.record_fill(
        "ETH/USDT:USDT", "buy", "100", "2", trade_id=f"{account}-{name}-p", account=account, executed_at=at_us
    )


def _answers(store: HybridStore, account: str) -> dict[str, Any]:
    """Return every row of an account."""
    return {
        name: store.sql(f"SELECT * FROM {name} WHERE account = $account ORDER BY ALL", account=account).rows()
        for name, dataset in store.database.registry.items()
        if dataset.kind != "internal" and "account" in dataset.column_names
    }


def _erase(store: HybridStore, **options: Any) -> erasure.Erasure:
    return store.retention.erase("account", WHO, reason="request 12", ordered_by="officer", **options)


def test_nothing_of_it_is_left_and_nothing_else_changed(store: HybridStore) -> None:
    mine, others = _answers(store, WHO), _answers(store, OTHER)
    assert all(mine[name] for name in ("trades", "ledger", "balances", "positions", "portfolio_daily"))
    would = _erase(store, dry_run=True)
    assert _answers(store, WHO) == mine
    done = _erase(store)
    assert (done.erased, would.dry_run, done.dry_run) == (would.erased, True, False)
    by_name = {one.dataset: one for one in done.erased}
    assert by_name["trades"].archived_rows >= 4
    assert by_name["trades"].hot_rows >= 2
    assert by_name["trades"].versions > 0
    assert all(not rows for rows in _answers(store, WHO).values())
    assert _answers(store, OTHER) == others
    assert store.books.prove(OTHER).holds
    assert store.books.prove(WHO).assets == ()
    assert _erase(store).erased == ()
    assert examine(store.database, "scrub").problems == ()


def test_not_even_the_bytes_are_left(store: HybridStore) -> None:
    _erase(store)
    clock: Any = store.database.clock
    clock.advance(2 * DAY_US)
    assert store.retention.run().collected > 0
    store.close()
    holders = [
        path.relative_to(store.root).as_posix()
        for path in store.root.rglob("*")
        if path.is_file() and WHO.encode() in path.read_bytes()
    ]
    assert holders == []


def test_a_version_that_was_corrected_away_goes_too(store: HybridStore) -> None:
    """No row has the value any more; what the rows were before they were corrected does."""
    entry = {"account": OTHER, "entry_id": "e", "type": "deposit", "amount": 1, "occurred_at": NOW_US}
    metric = ("all", "2026", "-", "sharpe")
    for reference, value in (("secret-9", 0.5), ("plain", 0.25)):
        store.record_ledger_entries([{**entry, "asset": "BTC", "reference": reference}])
        store.insert("performance_metrics", [(*metric, "1", value, 365, None, 9)])

    def left() -> list[tuple[Any, ...]]:
        asked = "SELECT count(*) FROM corrections WHERE old_row LIKE '%secret-9%'"
        return store.database.readers.rows(asked)

    who: dict[str, Any] = {"reason": "request 13", "ordered_by": "officer"}
    assert left() == [(1,)]
    hold = store.retention.hold("ledger", NOW_US, NOW_US + 1, reason="case", held_by="counsel")
    with pytest.raises(Conflict, match="under a legal hold"):
        store.retention.erase("reference", "secret-9", **who)
    store.retention.release(hold.hold_id, released_by="counsel")
    (erased,) = store.retention.erase("reference", "secret-9", **who).erased
    assert (erased.dataset, erased.hot_rows, erased.archived_rows, erased.versions) == ("ledger", 0, 0, 1)
    assert left() == [(0,)]
    (erased,) = store.retention.erase("scope", "all", **who).erased
    assert (erased.dataset, erased.hot_rows, erased.versions) == ("performance_metrics", 1, 1)
    assert store.database.readers.rows(
        "SELECT count(*) FROM corrections WHERE dataset = 'performance_metrics'"
    ) == [(0,)]
    assert examine(store.database, "scrub").problems == ()


def test_what_is_erased_may_come_again(store: HybridStore) -> None:
    _erase(store)
    store.record_fill("BTC/USDT", "buy", "100", "2", trade_id=f"{WHO}-old", account=WHO, executed_at=NOW_US)
    assert store.sql(
        "SELECT amount FROM ledger_balances WHERE account = $who AND asset = 'BTC'", who=WHO
    ).rows() == [(Decimal(2),)]


def test_a_hold_stops_it_before_anything_is_changed(store: HybridStore) -> None:
    mine = _answers(store, WHO)
    hold = store.retention.hold("trades", NOW_US - 1, NOW_US + 1, reason="case", held_by="counsel")
    with pytest.raises(Conflict, match="under a legal hold; nothing was erased"):
        _erase(store)
    assert _answers(store, WHO) == mine
    store.retention.release(hold.hold_id, released_by="counsel")
    store.retention.hold(
        "trades", NOW_US + DAY_US, NOW_US + 2 * DAY_US, reason="other days", held_by="counsel"
    )
    assert _erase(store).erased, "it holds nothing of what is erased"


def test_a_hold_that_comes_meanwhile_stops_it(store: HybridStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = erasure.Eraser._forget

    def hold_late(self: erasure.Eraser, *what: Any) -> None:
        real(self, *what)
        if not store.retention.holds():
            store.retention.hold("*", reason="case", held_by="counsel")

    monkeypatch.setattr(erasure.Eraser, "_forget", hold_late)
    before = store.sql("SELECT count(*) FROM trades").rows()
    with pytest.raises(Conflict, match="placed a moment ago"):
        _erase(store, datasets=["trades"])
    assert store.sql("SELECT count(*) FROM trades").rows() == before


def test_it_is_done_again_after_a_crash(
    store: HybridStore, monkeypatch: pytest.MonkeyPatch, rng: random.Random
) -> None:
    class Killed(BaseException):
        """What ends it here."""

    others, calls = _answers(store, OTHER), 0
    real = erasure.Eraser._steps
    dies_at = rng.randrange(1, 8)

    def die(self: erasure.Eraser, *what: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise Killed
        real(self, *what)

    monkeypatch.setattr(erasure.Eraser, "_steps", die)
    with pytest.raises(Killed):
        _erase(store)
    monkeypatch.undo()
    _erase(store)
    assert all(not rows for rows in _answers(store, WHO).values())
    assert _answers(store, OTHER) == others
    assert examine(store.database, "scrub").problems == ()


def test_the_log_tells_of_it_without_the_value(store: HybridStore) -> None:
    _erase(store)
    entry = store.retention.history(1)[0]
    assert entry.action == "erasure"
    detail = json.loads(entry.detail)
    assert (detail["column"], detail["reason"], detail["ordered_by"]) == ("account", "request 12", "officer")
    assert not any(WHO in one.detail for one in store.retention.history())


def test_a_hold_does_not_bring_erased_rows_back(store: HybridStore) -> None:
    """Rows that their policy has deleted are there for another day, and only a hold can make them count."""
    trades = len(_answers(store, OTHER)["trades"])
    _delete_all(store)
    _erase(store)
    store.record_fill(
        "BTC/USDT", "buy", "1", "2", trade_id="again", account=WHO, executed_at=NOW_US + 8 * YEAR_US
    )
    since = _answers(store, WHO)
    store.retention.hold("*", 0, NOW_US + YEAR_US, reason="case", held_by="counsel")
    assert store.retention.run().restored_rows > trades
    assert len(_answers(store, OTHER)["trades"]) == trades
    assert _answers(store, WHO) == since
    assert examine(store.database, "scrub").problems == ()


def test_deleted_rows_that_are_held_are_not_erased(store: HybridStore) -> None:
    mine = _answers(store, WHO)["trades"]
    _delete_all(store)
    store.retention.hold("trades", 0, NOW_US + YEAR_US, reason="case", held_by="counsel")
    with pytest.raises(Conflict, match="under a legal hold"):
        _erase(store)
    assert _answers(store, WHO)["trades"] == mine


def _delete_all(store: HybridStore) -> None:
    clock: Any = store.database.clock
    clock.advance(8 * YEAR_US)
    store.retention.run()
    store.retention.confirm_clock("officer")
    assert store.retention.run().deleted_rows > 0
    assert _answers(store, OTHER)["trades"] == []


@pytest.mark.parametrize(
    ("column", "value", "options", "message"),
    [
        ("nothing", "x", {}, "no dataset has such a text column"),
        ("amount", "x", {}, "no dataset has such a text column"),
        ("account", " ", {}, "value"),
        ("account", "x", {"reason": ""}, "reason"),
        ("account", "x", {"datasets": ["market_trades"]}, "no column 'account'"),
    ],
)
def test_what_cannot_be_erased(
    store: HybridStore, column: str, value: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        store.retention.erase(column, value, **{"reason": "x", "ordered_by": "y", **options})


def test_only_some_datasets(store: HybridStore) -> None:
    assert [one.dataset for one in _erase(store, datasets=["balance_history"]).erased] == ["balance_history"]
    assert store.sql("SELECT count(*) FROM trades WHERE account = $who", who=WHO).rows()[0][0] > 0


def test_the_command_counts_first(store: HybridStore, run: Any) -> None:  # noqa: F811  the fixture
    store.close()
    arguments = ("retention", "erase", WHO, "--reason", "request 12", "--root", str(store.root))
    code, out, _ = run(*arguments)
    assert (code, "give --yes to do it" in out) == (0, True)
    code, out, _ = run(*arguments, "--json", "--yes")
    assert (code, json.loads(out)["dry_run"]) == (0, False)
    code, out, _ = run(*arguments)
    assert "0 rows would be erased" in out
