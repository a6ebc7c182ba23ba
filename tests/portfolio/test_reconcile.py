"""Books against reports: whether they agree, and where they part."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.portfolio.ledger import fill_entries
from hybridstore.portfolio.money import ZERO, add
from hybridstore.portfolio.reconcile import BookEntry, Difference, Parting, Report, find_partings, reconcile
from hybridstore.portfolio.symbols import parse_symbol

FILLS = 10_000
OPENING = {"BTC": Decimal(5), "USDT": Decimal(1_000_000)}


def book(*entries: tuple[str, str, int]) -> list[BookEntry]:
    return [BookEntry(name, "BTC", Decimal(amount), moment_us) for name, amount, moment_us in entries]


def report(*balances: tuple[str, int]) -> list[Report]:
    return [Report("BTC", Decimal(balance), moment_us) for balance, moment_us in balances]


def test_books_that_agree_have_no_difference() -> None:
    entries = [("BTC", Decimal("0.1")), ("USDT", Decimal(-5000)), ("BTC", Decimal("-0.1"))]
    assert reconcile(OPENING, entries, {"BTC": Decimal(5), "USDT": Decimal(995_000)}) == ()


def test_every_asset_that_differs_is_named() -> None:
    tiny = Decimal("0.000000000000000001")
    found = reconcile(
        {"BTC": Decimal(1)}, [("ETH", Decimal(2))], {"BTC": add(Decimal(1), tiny), "XRP": Decimal(3)}
    )
    assert found == (
        Difference("BTC", Decimal(1), add(Decimal(1), tiny), tiny),
        Difference("ETH", Decimal(2), Decimal(0), Decimal(-2)),
        Difference("XRP", Decimal(0), Decimal(3), Decimal(3)),
    )


def test_an_entry_the_exchange_does_not_know_is_named() -> None:
    entries = book(("a", "1", 10), ("b", "0.5", 20), ("c", "-0.25", 20), ("d", "2", 30))
    # The exchange never saw c.
    reports = report(("6", 10), ("6.5", 25), ("8.5", 35))
    assert find_partings(OPENING, entries, reports) == (
        Parting("BTC", Decimal("0.25"), 10, 25, entry_id="b", suspects=("c",), since_us=10, until_us=25),
    )


def test_a_movement_missing_from_the_books_has_no_entry() -> None:
    entries = book(("a", "1", 10), ("d", "2", 30))
    reports = report(("6", 10), ("6.5", 20), ("8.5", 30))
    assert find_partings(OPENING, entries, reports) == (
        Parting("BTC", Decimal("0.5"), 10, 20, entry_id=None, suspects=(), since_us=10, until_us=20),
    )


def test_a_wrong_opening_never_agrees() -> None:
    assert find_partings({}, book(("a", "1", 10)), report(("6", 10), ("6", 20))) == (
        Parting("BTC", Decimal(5), None, 10, entry_id="a", suspects=(), since_us=None, until_us=10),
    )


def test_a_report_within_a_moment_may_include_any_of_its_entries() -> None:
    """The exchange may have booked them in another order than they were told in."""
    entries = book(("a", "1", 10), ("b", "2", 10), ("c", "4", 10))
    for balance in range(5, 13):
        assert find_partings(OPENING, entries, report((str(balance), 10))) == ()
        assert find_partings(OPENING, entries, report((str(balance), 10), ("12", 11))) == ()
    (parting,) = find_partings(OPENING, entries, report(("13", 10)))
    assert (parting.difference, parting.entry_id) == (Decimal(1), "a")


def test_many_entries_of_one_moment_may_lack_one() -> None:
    entries = book(*[(f"e{place}", str(2**place), 10) for place in range(40)])
    whole = 5 + 2**40 - 1
    for balance in (whole, whole - 2**20, 5 + 2**7 - 1):
        assert find_partings(OPENING, entries, report((str(balance), 10), (str(whole), 11))) == ()


def test_a_late_report_heals() -> None:
    entries = book(("a", "1", 10), ("b", "2", 20))
    late = report(("6", 10), ("6", 22), ("8", 25))
    assert find_partings(OPENING, entries, late) == ()


def test_an_asset_without_reports_cannot_part() -> None:
    assert find_partings(OPENING, book(("a", "1", 10)), []) == ()


@given(
    amounts=st.lists(st.integers(min_value=-1000, max_value=1000).filter(bool), min_size=1, max_size=30),
    data=st.data(),
)
def test_any_lost_entry_is_found_between_the_reports_around_it(
    amounts: list[int], data: st.DataObject
) -> None:
    """One report follows every entry; the one lost from the books is bracketed to the microsecond."""
    entries = book(*[(f"e{place}", str(amount), 10 * place) for place, amount in enumerate(amounts, start=1)])
    balance, reports = OPENING["BTC"], [Report("BTC", OPENING["BTC"], 5)]
    for entry in entries:
        balance = add(balance, entry.amount)
        reports.append(Report("BTC", balance, entry.occurred_us + 5))
    assert find_partings(OPENING, entries, reports) == ()
    lost = data.draw(st.integers(min_value=0, max_value=len(entries) - 1))
    kept = [entry for place, entry in enumerate(entries) if place != lost]
    (parting,) = find_partings(OPENING, kept, data.draw(st.permutations(reports)))
    at_us = entries[lost].occurred_us
    assert (parting.agreed_us, parting.parted_us) == (at_us - 5, at_us + 5)
    assert (parting.difference, parting.entry_id) == (entries[lost].amount, None)


def test_a_fill_dropped_from_ten_thousand_is_located(rng: Random) -> None:
    market = parse_symbol("BTC/USDT")
    legs: list[list[BookEntry]] = []
    balances = dict(OPENING)
    reports: list[Report] = []
    for number in range(FILLS):
        moment_us = 1_000_000 + number // 3  # several fills share a microsecond
        amount = Decimal(rng.randint(1, 10**8)).scaleb(-8)
        quote = amount * Decimal(rng.randint(10**6, 10**7)).scaleb(-2)
        fees = [(rng.choice(["BTC", "USDT"]), Decimal(rng.randint(1, 1000)).scaleb(-8))]
        side = rng.choice(["buy", "sell"])
        entries = [
            BookEntry(f"{number}|{entry.leg}", entry.asset, entry.amount, moment_us)
            for entry in fill_entries(market, side, amount, quote, ZERO, fees)
        ]
        legs.append(entries)
        for entry in entries:
            balances[entry.asset] = add(balances[entry.asset], entry.amount)
        reports += [Report(asset, balance, moment_us) for asset, balance in balances.items()]
    complete = [entry for entries in legs for entry in entries]
    assert reconcile(OPENING, [(entry.asset, entry.amount) for entry in complete], balances) == ()
    assert find_partings(OPENING, complete, reports) == ()
    dropped = rng.randrange(FILLS)
    remaining = [entry for number, entries in enumerate(legs) if number != dropped for entry in entries]
    partings = {parting.asset: parting for parting in find_partings(OPENING, remaining, reports)}
    assert set(partings) == {"BTC", "USDT"}
    moment_us = legs[dropped][0].occurred_us
    for parting in partings.values():
        assert parting.parted_us == moment_us
        assert parting.agreed_us is None or moment_us - 1 <= parting.agreed_us <= moment_us
    lost = {asset: sum(e.amount for e in legs[dropped] if e.asset == asset) for asset in partings}
    final = {found.asset: found.difference for found in reconcile(OPENING, _pairs(remaining), balances)}
    assert final == lost


def _pairs(entries: list[BookEntry]) -> list[tuple[str, Decimal]]:
    return [(entry.asset, entry.amount) for entry in entries]


@pytest.mark.parametrize("symbols", [("BTC/USDT:USDT", "ETH/USDT:USDT")])
def test_funding_of_two_symbols_at_one_instant_counts_twice(symbols: tuple[str, str]) -> None:
    entries = [BookEntry(symbol, "USDT", Decimal("-0.25"), 10) for symbol in symbols]
    end = Report("USDT", Decimal("999999.5"), 11)
    assert find_partings(OPENING, entries, [end]) == ()
    (parting,) = find_partings(OPENING, entries[:1], [end])
    assert parting.difference == Decimal("-0.25")
