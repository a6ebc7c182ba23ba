"""Balances as sources tell them: in parts, with gaps, with debts and more; whatever was told can be read back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import PARTS, BalanceUpdate, prepare_balance, told_of
from hybridstore.store import HybridStore
from tests.hot.books import START_US, rows, values

_AMOUNT = st.one_of(
    st.none(), st.just(Decimal(0)), st.decimals(-(10**6), 10**6, places=18), st.decimals(0, 10**9, places=2)
)
_EXTRAS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["total", "free", "used", "debt", "told", "staked", "interest"]),
        st.one_of(st.none(), st.booleans(), st.text("ab", max_size=3), st.integers(-9, 9)),
    ),
)
_PARTS = st.fixed_dictionaries(
    {"balance": _AMOUNT, "available": _AMOUNT, "hold_trade": _AMOUNT, "debt": _AMOUNT}
)


def row_of(update: BalanceUpdate) -> dict[str, Any]:
    """Return what is stored of an update, by column."""
    return {
        "balance": update.balance_text, "hold_trade": update.hold_text, "available": update.available_text,
        "debt": update.debt_text, "told": update.told,
    }  # fmt: skip


def as_told(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a report by the names of its parts."""
    return {name: parts[column] for name, column in PARTS.items()}


@given(parts=_PARTS, extras=_EXTRAS)
def test_what_was_told_is_reconstructed_from_the_row(
    parts: dict[str, Any], extras: dict[str, Any] | None
) -> None:
    if all(part is None for part in parts.values()):
        with pytest.raises(InvalidValue, match="nothing is told of the balance of 'BTC'"):
            prepare_balance("BTC", reported=extras, **parts)
        return
    update = prepare_balance("BTC", reported=extras, **parts)
    assert told_of(row_of(update)) == as_told(parts)
    assert (None if update.reported is None else json.loads(update.reported)) == extras
    figures: list[Any] = [update.balance, update.available, update.hold]
    total, free, used = figures
    assert (total is None) == (parts["balance"] is None and parts["available"] is None)
    told_parts = [parts[name] for name in ("balance", "available", "hold_trade")]
    if told_parts.count(None) == 1:
        assert total == free + used, "what follows adds up"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=st.lists(st.tuples(_PARTS, _EXTRAS), min_size=1, max_size=8))
def test_what_was_told_comes_back_from_the_archives(
    tmp_path_factory: pytest.TempPathFactory, reports: list[tuple[dict[str, Any], dict[str, Any] | None]]
) -> None:
    reports = [each for each in reports if any(part is not None for part in each[0].values())]
    clock = ManualClock(START_US + 1)
    with HybridStore(tmp_path_factory.mktemp("told"), clock=clock, maintenance="off") as store:
        for number, (parts, extras) in enumerate(reports):
            row = {
                "asset": f"A{number % 2}",
                "source": "x",
                "changed_at": START_US + number,
                "reported": extras,
                **parts,
            }
            assert store.batch_update_balances([row]) == 1
            assert store.batch_update_balances([row]) == 0, "told again it is the same report"
        columns = ("balance", "hold_trade", "available", "debt", "told", "reported")
        question = f"SELECT {', '.join(columns)} FROM balance_history ORDER BY changed_at"
        hot = store.sql(question).rows()
        clock.advance(30 * DAY_US)
        assert store.retention.run().rows == len(reports)
        assert store.sql(question).rows() == hot
    found = [dict(zip(columns, row, strict=True)) for row in hot]
    assert [told_of(row) for row in found] == [as_told(parts) for parts, _ in reports]
    assert [row["reported"] and json.loads(row["reported"]) for row in found] == [
        extras for _, extras in reports
    ]


def test_the_documents_call_tells_a_total_and_what_is_held(store: HybridStore) -> None:
    balance = store.record_balance_update("BTC", Decimal("0.5"), Decimal("0.1"), "websocket")
    assert values(balance.balance, balance.hold_trade, balance.available, balance.debt) == (
        Decimal("0.5"), Decimal("0.1"), Decimal("0.4"), None
    )  # fmt: skip
    assert rows(store, "SELECT told, reported FROM balance_history") == [("total used", None)]


def test_what_nobody_told_is_unknown_and_not_zero(store: HybridStore) -> None:
    told = store.record_balance_update("BTC", 5, None, "rest")
    assert values(told.balance, told.hold_trade, told.available, told.told) == (5, None, None, "total")
    assert store.get_latest_balance("BTC") == told
    assert store.get_all_balances() == [told]
    free_only = store.record_balance_update("ETH", None, None, "rest", available="2")
    assert values(free_only.balance, free_only.hold_trade, free_only.available) == (2, None, 2)
    assert free_only.told == "free", "the latest says that its total was not told"
    assert store.get_latest_balance("ETH") == free_only


def test_a_report_of_parts_leaves_what_it_does_not_name(store: HybridStore) -> None:
    store.record_balance_update("BTC", 5, 1, "rest", debt="0.5")
    held = store.record_balance_update("BTC", None, 2, "stream")
    assert values(held.balance, held.hold_trade, held.available, held.debt) == (5, 2, 3, Decimal("0.5"))
    owed = store.record_balance_update("BTC", None, None, "stream", debt=3)
    assert values(owed.balance, owed.hold_trade, owed.available, owed.debt) == (5, 2, 3, 3)
    assert store.get_latest_balance("BTC") == owed
    assert (held.told, owed.told) == ("used", "debt")
    whole = store.record_balance_update("BTC", 6, 0, "rest")
    assert values(whole.balance, whole.hold_trade, whole.debt) == (6, 0, None)
    assert rows(store, "SELECT balance, hold_trade, debt, change FROM balance_history ORDER BY id") == [
        ("5", "1", "0.5", None), (None, "2", None, None), (None, None, "3", None), ("6", "0", None, "1"),
    ]  # fmt: skip


def test_parts_of_which_no_whole_was_ever_told(store: HybridStore) -> None:
    held = store.record_balance_update("BTC", None, 2, "stream")
    assert values(held.balance, held.hold_trade, held.available) == (2, 2, 0), "so much there is at least"
    store.record_balance_update("ETH", None, None, "stream", debt=3)
    assert store.get_portfolio_summary(base_currency="ETH").equity == -3
    assert rows(store, "SELECT asset, balance, told FROM balance_history ORDER BY id") == [
        ("BTC", None, "used"), ("ETH", None, "debt"),
    ]  # fmt: skip


def test_parts_told_late_or_in_one_batch(store: HybridStore) -> None:
    def report(at: int, **parts: Any) -> dict[str, Any]:
        return {
            "asset": "BTC", "balance": None, "hold_trade": None, "source": "x", "changed_at": START_US + at, **parts
        }  # fmt: skip

    batch = [report(1, balance=5, hold_trade=0), report(2, hold_trade=1), report(0, debt=9)]
    assert store.batch_update_balances(batch) == 3
    assert store.batch_update_balances(batch) == 0
    latest = store.get_latest_balance("BTC")
    assert latest is not None
    assert values(latest.balance, latest.hold_trade, latest.available, latest.debt) == (5, 1, 4, None)
    assert store.batch_update_balances([report(1, balance=None, hold_trade=3)]) == 1, "a correction"
    assert rows(
        store, "SELECT balance, hold_trade FROM balance_history WHERE changed_at = ?", (START_US + 1,)
    ) == [(None, "3")]


def test_reconciling_leaves_out_what_says_nothing_of_the_whole(store: HybridStore) -> None:
    entry = {"entry_id": "1", "account": "default", "type": "deposit", "asset": "BTC", "amount": 5}
    store.record_ledger_entries([{**entry, "occurred_at": START_US}])
    told: list[dict[str, Any]] = [{"balance": 5}, {"balance": None, "hold_trade": 1}, {"balance": 5}]
    for at, parts in enumerate(told, 1):
        report = {"asset": "BTC", "hold_trade": None, "source": "x", "changed_at": START_US + at, **parts}
        store.batch_update_balances([report])
    (found,) = store.books.reconcile().assets
    assert (found.state, found.reports) == ("agreed", 2)
    held = store.books.portfolio(base_currency="BTC", source="reported", at=START_US + 2)
    assert held.equity == 5


def test_what_is_available_may_be_less_than_what_is_not_held(store: HybridStore) -> None:
    told = store.record_balance_update("BTC", 5, 1, "rest", available=3, debt=2, reported={"staked": "1"})
    assert values(told.balance, told.hold_trade, told.available, told.debt) == (5, 1, 3, 2)
    assert store.get_portfolio_summary(base_currency="BTC").equity == 3, "what is owed is no one's own"
    query = "SELECT debt, reported FROM balance_history"
    assert rows(store, query) == [("2", '{"staked":"1"}')]


def test_a_debt_that_changes_is_another_content(store: HybridStore) -> None:
    def report(debt: int) -> int:
        row = {"asset": "BTC", "balance": 5, "debt": debt, "source": "rest", "changed_at": START_US}
        return store.batch_update_balances([row])

    assert [report(1), report(1), report(2), report(1)] == [1, 0, 1, 0]
    assert rows(store, "SELECT debt FROM balance_history") == [("2",)]


def test_what_cannot_be_kept_is_named(store: HybridStore) -> None:
    with pytest.raises(InvalidValue, match="nothing is told of the balance of 'BTC'"):
        store.record_balance_update("BTC", None, None)
    with pytest.raises(InvalidValue, match=r"available=1\.5: a float is not exact"):
        store.record_balance_update("BTC", 1, available=1.5)
