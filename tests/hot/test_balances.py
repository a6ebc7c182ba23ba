"""Balances: the latest is the latest, also after late rows; changes are exact; accounts do not mix."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue
from hybridstore.hot.balances import Balance
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows

HISTORY = "SELECT balance, change, change_percentage FROM balance_history WHERE asset = ? ORDER BY id"


def latest(store: HybridStore, asset: str, account: str = "default") -> Balance:
    found = store.get_latest_balance(asset, account)
    assert found is not None
    return found


def test_what_is_recorded_is_what_is_read(store: HybridStore, clock: ManualClock) -> None:
    recorded = store.record_balance_update(
        "BTC", Decimal("1.50"), Decimal("0.25"), "websocket", reason="fill", debt=2, account="kraken/main"
    )
    clock.advance(1_000_000)
    found = latest(store, "BTC", "kraken/main")
    assert found == recorded
    assert (found.balance, found.hold_trade, found.available, found.debt) == (
        Decimal("1.5"), Decimal("0.25"), Decimal("1.25"), Decimal(2),
    )  # fmt: skip
    assert found.updated_at == found.recorded_at
    assert abs(found.updated_at - datetime.fromtimestamp(START_US / 1e6, UTC)) < timedelta(milliseconds=1)
    assert store.get_latest_balance("BTC") is None
    assert store.get_all_balances("kraken/main") == [found]


def test_every_form_of_an_amount_is_one_amount(store: HybridStore) -> None:
    for amount in (Decimal("1E+3"), 1000, "1000.000", "1e3", Decimal("1000.0")):
        store.record_balance_update("BTC", amount)
        assert latest(store, "BTC").balance == 1000
    assert {row[0] for row in rows(store, HISTORY, ("BTC",))} == {"1000"}
    assert [row[1] for row in rows(store, HISTORY, ("BTC",))] == [None, "0", "0", "0", "0"]


def test_the_largest_and_smallest_amounts(store: HybridStore) -> None:
    smallest, largest = Decimal("1E-18"), Decimal("99999999999999999999.999999999999999999")
    store.record_balance_update("S", smallest, smallest.copy_negate())
    store.record_balance_update("L", largest, largest)
    store.record_balance_update("N", largest.copy_negate())
    store.record_balance_update("Z", Decimal("-0"), Decimal("-0.00"))
    assert (latest(store, "S").balance, latest(store, "S").available) == (smallest, Decimal("2E-18"))
    assert (latest(store, "L").balance, latest(store, "L").available) == (largest, Decimal(0))
    assert latest(store, "N").balance == largest.copy_negate()
    assert rows(store, "SELECT balance, hold_trade, available FROM balances WHERE asset = 'Z'") == [
        ("0", "0", "0")
    ]


def test_a_difference_that_does_not_fit_is_refused_and_named(store: HybridStore) -> None:
    store.record_balance_update("N", Decimal(-99999999999999999999))
    before = contents(store)
    with pytest.raises(InvalidValue, match=r"^change="):
        store.record_balance_update("N", Decimal(99999999999999999999))
    with pytest.raises(InvalidValue, match=r"^available="):
        store.record_balance_update("A", Decimal(99999999999999999999), -1)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("previous", "now", "change", "percentage"),
    [
        ("0", "5", "5", None),
        ("5", "0", "-5", "-100"),
        ("3", "4", "1", "33.33333333"),
        ("-4", "-2", "2", "-50"),
        ("7", "7", "0", "0"),
        ("0.000000000000000001", "1000", "999.999999999999999999", None),
        ("0.00000000000000001", "1", "0.99999999999999999", "9999999999999999900"),
        ("1", "1000000000000000000.999999999999999999", "999999999999999999.999999999999999999", None),
        ("8", "8.000000000000000001", "0.000000000000000001", "0"),
        ("1", "1.00000000005", "0.00000000005", "0"),
        ("1", "1.00000000015", "0.00000000015", "0.00000002"),
        ("1", "1.0000000001", "0.0000000001", "0.00000001"),
        ("800000000", "800000000.4", "0.4", "0.00000005"),
        ("8000000000", "8000000000.4", "0.4", "0"),
        ("8000000000", "8000000001.2", "1.2", "0.00000002"),
    ],
)
def test_change_and_percentage(
    store: HybridStore, previous: str, now: str, change: str, percentage: str | None
) -> None:
    store.record_balance_update("BTC", previous)
    store.record_balance_update("BTC", now)
    assert rows(store, HISTORY, ("BTC",))[1] == (now, change, percentage)


def test_a_late_row_is_history_and_not_the_latest(store: HybridStore) -> None:
    store.record_balance_update("BTC", 10, changed_at=START_US)
    late = store.record_balance_update("BTC", 7, changed_at=START_US - DAY_US)
    assert late.balance == 7
    assert latest(store, "BTC").balance == 10
    store.record_balance_update("BTC", 12, changed_at=START_US + 1)
    assert rows(store, HISTORY, ("BTC",)) == [("10", None, None), ("7", None, None), ("12", "2", "20")]
    same_moment = store.record_balance_update("BTC", 13, changed_at=START_US + 1)
    assert latest(store, "BTC").balance == same_moment.balance == 13


def test_late_rows_of_one_batch(store: HybridStore) -> None:
    moments = [5, 3, 9, 1, 9, 4]
    store.batch_update_balances(
        [{"asset": "BTC", "balance": moment, "changed_at": START_US + moment} for moment in moments]
    )
    assert latest(store, "BTC").balance == 9
    assert [row[1] for row in rows(store, HISTORY, ("BTC",))] == [None, None, "4", None, None]


def test_a_late_row_after_reopening(store: HybridStore) -> None:
    store.record_balance_update("BTC", 10, changed_at=START_US)
    store.close()
    store.open()
    store.record_balance_update("BTC", 7, changed_at=START_US - 1)
    assert latest(store, "BTC").balance == 10


def test_the_first_moment_there_is(store: HybridStore) -> None:
    """Zero is a time like any other, not an absent one."""
    recorded = store.record_balance_update("OLD", 1, changed_at="1970-01-01T00:00:00Z")
    assert recorded.updated_at == latest(store, "OLD").updated_at == datetime(1970, 1, 1, tzinfo=UTC)
    store.batch_update_balances(
        [("OLDER", 1, 0, "", None, datetime(1970, 1, 1, tzinfo=UTC), None, None, None, None)]
    )
    assert rows(store, "SELECT changed_at FROM balance_history") == [(0,), (0,)]


def test_the_documents_tuple(store: HybridStore) -> None:
    given = (
        "BTC",
        Decimal(2),
        Decimal(1),
        "rest",
        "sync",
        START_US,
        "2026-08-01 12:00",
        Decimal(99),
        9.9,
        "synced",
    )
    assert (
        store.batch_update_balances([given, ("ETH", 3, 0, "rest", None, None, None, None, None, None)]) == 2
    )
    columns = "asset, balance, hold_trade, available, change, reason, source, sync_status, changed_at"
    (committed_us,) = rows(store, "SELECT ts FROM commit_clock")[0]
    assert rows(store, f"SELECT {columns} FROM balance_history ORDER BY id") == [
        ("BTC", "2", "1", "1", None, "sync", "rest", "synced", START_US),
        ("ETH", "3", "0", "3", None, None, "rest", None, committed_us),
    ]
    assert store.batch_update_balances([]) == 0


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (("BTC", 1.5, 0, "", None, None, None, None, None, None), "balance=1.5: a float is not exact"),
        (("BTC", 1), "has 10 fields, this one 2"),
        ({"asset": "BTC", "balance": 1, "prise": 2}, "'prise'"),
        ({"asset": "BTC"}, "no asset and balance"),
        ({"asset": "BTC", "balance": 1, 5: 6}, "5"),
        (5, "5 is neither"),
        ("BTC", "'BTC' is neither"),
        (("BTC", 1, 0, "", None, 1_785_585_600, None, None, None, None), "changed_at=1785585600"),
    ],
)
def test_a_bad_row_is_named_with_its_number_and_nothing_is_written(
    store: HybridStore, row: object, complaint: str
) -> None:
    before = contents(store)
    good = ("ETH", 3, 0, "rest", None, None, None, None, None, None)
    with pytest.raises(InvalidValue, match=complaint) as caught:
        store.batch_update_balances([good, good, row, good])
    assert str(caught.value).startswith("row 2 of the batch: ")
    assert caught.value.hint is not None
    assert contents(store) == before


def test_accounts_do_not_mix(store: HybridStore) -> None:
    for number, account in enumerate(("default", "kraken/main", "бинанс", "🚀 moon", "kraken/main2")):
        store.record_balance_update("BTC", number, account=account)
        store.record_balance_update("BTC", number * 10, account=account)
    for number, account in enumerate(("default", "kraken/main", "бинанс", "🚀 moon", "kraken/main2")):
        assert latest(store, "BTC", account).balance == number * 10
        assert [one.account for one in store.get_all_balances(account)] == [account]
        assert rows(
            store, "SELECT change FROM balance_history WHERE account = ? ORDER BY id", (account,)
        ) == [(None,), (str(number * 9),)]


@pytest.mark.parametrize(
    "asset", ["比特币", "Ünïcode", "e\u0301", "é", "A/B:C", "it's", 'a"b', "%", "$PEPE", "x" * 200]
)
def test_any_name_is_a_name(store: HybridStore, asset: str) -> None:
    store.record_balance_update(asset, 1, source="d'où\n\t", reason=asset)
    assert latest(store, asset).asset == asset
    assert store.get_latest_balance(asset[:-1] + "-") is None


@pytest.mark.parametrize(
    "asset", [5, None, "", "a\x00", b"BTC", 1.5, "\ud800", pytest.param(object(), id="object")], ids=repr
)
def test_asking_for_what_is_no_name(store: HybridStore, asset: Any) -> None:
    with pytest.raises(InvalidValue):
        store.get_latest_balance(asset)


def test_the_callers_decimal_context_changes_nothing(store: HybridStore) -> None:
    amounts = [
        "12345678901234567890.123456789012345678",
        "12345678901234567890.123456789012345679",
        "0.000000000000000001",
    ]
    narrow = decimal.Context(prec=3, Emax=4, Emin=-4, rounding=decimal.ROUND_UP, capitals=0)
    with decimal.localcontext(narrow):
        for amount in amounts:
            recorded = store.record_balance_update("BTC", Decimal(amount), Decimal("0.000000000000000001"))
            assert str(recorded.balance).lower() == str(Decimal(amount)).lower()
            assert latest(store, "BTC") == recorded
    assert [row[:2] for row in rows(store, HISTORY, ("BTC",))] == [
        (amounts[0], None),
        (amounts[1], "0.000000000000000001"),
        (amounts[2], "-12345678901234567890.123456789012345678"),
    ]
    available = rows(store, "SELECT available FROM balance_history ORDER BY id")
    assert available == [("12345678901234567890.123456789012345677",), (amounts[0],), ("0",)]


def test_the_latest_balance_outlives_its_history(store: HybridStore, clock: ManualClock) -> None:
    for number in range(50):
        store.record_balance_update("BTC", number, reason="x")
        store.record_balance_update("ETH", number)
    before = latest(store, "BTC")
    clock.advance(45 * DAY_US)
    report = store.retention.run(now_us=clock.now_us())
    assert report.rows == 100
    assert rows(store, "SELECT count(*) FROM balance_history") == [(0,)]
    assert latest(store, "BTC") == before
    assert store.record_balance_update("BTC", 60).balance == 60
    assert rows(store, HISTORY, ("BTC",)) == [("60", "11", "22.44897959")], "from a balance that is archived"
    store.close()
    store.open()
    assert latest(store, "ETH").balance == 49


@pytest.mark.parametrize("account", [None, "", 5])
def test_asking_for_what_is_no_account(store: HybridStore, account: Any) -> None:
    with pytest.raises(InvalidValue, match="account"):
        store.get_latest_balance("BTC", account)
