"""Balances as sources tell them: in parts, with gaps, with debts and more; whatever was told can be read back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue
from hybridstore.hot.balances import prepare_balance, told_of
from hybridstore.store import HybridStore
from tests.hot.books import START_US, rows, values

_AMOUNT = st.one_of(
    st.none(), st.just(Decimal(0)), st.decimals(-(10**6), 10**6, places=18), st.decimals(0, 10**9, places=2)
)


@given(total=_AMOUNT, free=_AMOUNT, used=_AMOUNT, debt=_AMOUNT)
def test_what_was_told_is_reconstructed_from_the_row(
    total: Decimal | None, free: Decimal | None, used: Decimal | None, debt: Decimal | None
) -> None:
    if total is None and free is None:
        with pytest.raises(InvalidValue, match="neither a total nor what is available"):
            prepare_balance("BTC", total, used, available=free, debt=debt)
        return
    update = prepare_balance("BTC", total, used, available=free, debt=debt)
    row = {
        "balance": update.balance_text,
        "hold_trade": update.hold_text,
        "available": update.available_text,
        "debt": update.debt_text,
        "reported": update.reported,
    }
    told = told_of(row)
    if free is None and used is not None:
        assert told.pop("free") == total - used if total is not None else None
        assert (told["total"], told["used"], told["debt"]) == (total, used, debt)
    else:
        assert told == {"total": total, "free": free, "used": used, "debt": debt}


def test_the_documents_call_tells_a_total_and_what_is_held(store: HybridStore) -> None:
    balance = store.record_balance_update("BTC", Decimal("0.5"), Decimal("0.1"), "websocket")
    assert values(balance.balance, balance.hold_trade, balance.available, balance.debt) == (
        Decimal("0.5"), Decimal("0.1"), Decimal("0.4"), None
    )  # fmt: skip
    assert rows(store, "SELECT reported FROM balance_history") == [(None,)]


def test_what_nobody_told_is_unknown_and_not_zero(store: HybridStore) -> None:
    told = store.record_balance_update("BTC", 5, None, "rest")
    assert values(told.balance, told.hold_trade, told.available) == (5, None, None)
    assert store.get_latest_balance("BTC") == told
    assert store.get_all_balances() == [told]
    free_only = store.record_balance_update("ETH", None, None, "rest", available="2")
    assert values(free_only.balance, free_only.hold_trade, free_only.available) == (2, None, 2)
    ((reported,),) = rows(store, "SELECT reported FROM balance_history WHERE asset = 'ETH'")
    assert json.loads(reported) == {"total": None, "free": "2", "used": None, "debt": None}


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


def test_parts_are_the_same_after_archiving(store: HybridStore, clock: ManualClock) -> None:
    details: dict[str, Any] = {"available": "1.5", "debt": "0.25", "reported": {"interest": "0.001"}}
    for asset, total, used in [("A", None, None), ("B", None, "0.5"), ("C", 3, None), ("D", 3, "0.5")]:
        store.record_balance_update(asset, total, used, "rest", changed_at=START_US, **details)
    question = (
        "SELECT asset, balance, hold_trade, available, debt, reported FROM balance_history ORDER BY asset"
    )
    before = store.sql(question).rows()
    clock.advance(30 * DAY_US)
    assert store.retention.run().rows == 4
    assert store.sql(question).rows() == before
    told = {row[0]: told_of(dict(zip(_COLUMNS, row[1:], strict=True))) for row in before}
    assert told == {
        "A": {"total": None, "free": Decimal("1.5"), "used": None, "debt": Decimal("0.25")},
        "B": {"total": None, "free": Decimal("1.5"), "used": Decimal("0.5"), "debt": Decimal("0.25")},
        "C": {"total": Decimal(3), "free": Decimal("1.5"), "used": None, "debt": Decimal("0.25")},
        "D": {"total": Decimal(3), "free": Decimal("1.5"), "used": Decimal("0.5"), "debt": Decimal("0.25")},
    }


_COLUMNS = ("balance", "hold_trade", "available", "debt", "reported")


def test_what_cannot_be_kept_is_named(store: HybridStore) -> None:
    with pytest.raises(InvalidValue, match="neither a total nor what is available"):
        store.record_balance_update("BTC", None, 1)
    with pytest.raises(InvalidValue, match=r"available=1\.5: a float is not exact"):
        store.record_balance_update("BTC", 1, available=1.5)
