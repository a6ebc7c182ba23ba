"""Reports laid along entries: late, early, stray, in another order; gaps wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.money import ZERO, add, subtract, total
from hybridstore.portfolio.reconcile import (
    FIRST_REPORT,
    FROM_ZERO,
    GIVEN,
    BookEntry,
    Comparison,
    Report,
    compare_asset,
)

STEP_US = 100
AMOUNTS = st.lists(st.integers(min_value=-(10**12), max_value=10**12).filter(bool), min_size=4, max_size=40)
"""So far apart that no sum of some is a sum of others but by a rare chance, as real amounts are."""


def entries(amounts: list[int]) -> list[BookEntry]:
    return [
        BookEntry(f"e{place}", "BTC", Decimal(amount), STEP_US * place)
        for place, amount in enumerate(amounts, start=1)
    ]


def balances(booked: list[BookEntry], opening: int = 7) -> list[Decimal]:
    """Return the balance before the first and after each entry."""
    found = [Decimal(opening)]
    for entry in booked:
        found.append(add(found[-1], entry.amount))
    return found


def compare(
    booked: list[BookEntry],
    told: Sequence[tuple[Decimal | int, int]],
    opening: int | None = 7,
    lag_us: int = 0,
) -> Comparison:
    reports = [Report("BTC", Decimal(balance), moment_us) for balance, moment_us in told]
    given = None if opening is None else Decimal(opening)
    return compare_asset("BTC", given, booked, reports, lag_us=lag_us)


@given(amounts=AMOUNTS, data=st.data())
def test_late_and_early_reports_part_nothing(amounts: list[int], data: st.DataObject) -> None:
    booked = entries(amounts)
    shift = st.integers(min_value=-3 * STEP_US, max_value=3 * STEP_US)
    told = [
        (balance, STEP_US * place + STEP_US // 2 + data.draw(shift))
        for place, balance in enumerate(balances(booked))
    ]
    told.append((balances(booked)[-1], STEP_US * (len(booked) + 5)))
    assert compare(booked, told, lag_us=4 * STEP_US).partings == ()


@given(amounts=AMOUNTS, data=st.data())
def test_the_differences_of_all_gaps_are_the_difference(amounts: list[int], data: st.DataObject) -> None:
    """However many entries are missing: gaps are in order, and what they lack is what is lacking in the end."""
    booked = entries(amounts)
    kept = [entry for entry in booked if data.draw(st.booleans())]
    told = [(balance, STEP_US * place + 50) for place, balance in enumerate(balances(booked))]
    found = compare(kept, told)
    lost = subtract(total(map(Decimal, amounts)), total(entry.amount for entry in kept))
    assert found.difference == lost == total(parting.difference for parting in found.partings)
    assert [parting.parted_us for parting in found.partings] == sorted(p.parted_us for p in found.partings)
    assert (found.departure is None) == (not lost)


def test_gaps_apart_are_each_named() -> None:
    booked = entries([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    told = [(balance, STEP_US * place + 50) for place, balance in enumerate(balances(booked))]
    found = compare([entry for entry in booked if entry.entry_id not in {"e3", "e7"}], told)
    assert [(p.difference, p.agreed_us, p.parted_us) for p in found.partings] == [
        (Decimal(30), 250, 350),
        (Decimal(70), 650, 750),
    ]
    assert found.departure == found.partings[0]


def test_gaps_that_undo_each_other_are_told_but_part_nothing_now() -> None:
    booked = entries([10, 5, 20, 30, 40, -5, 50, 60])
    told = [(balance, STEP_US * place + 50) for place, balance in enumerate(balances(booked))]
    found = compare([entry for entry in booked if abs(int(entry.amount)) != 5], told)
    assert [p.difference for p in found.partings] == [Decimal(5), Decimal(-5)]
    assert (found.difference, found.departure) == (ZERO, None)


def test_a_stray_report_is_passing() -> None:
    booked = entries([10, 20, 30])
    told: list[tuple[Decimal | int, int]] = [(7, 50), (17, 150), (99, 160), (98, 170), (37, 250), (67, 350)]
    found = compare(booked, told)
    assert (found.partings, found.passing_us) == ((), (160, 170))
    assert compare(booked, [*told, (99, 360)]).difference == Decimal(32), "the last report is never stray"


def test_reports_within_a_gap_are_not_stray() -> None:
    """Where every fee is missing, no two reports differ by the same."""
    booked = entries([10, 20, 30, 40])
    told = [(balance - place, STEP_US * place + 50) for place, balance in enumerate(balances(booked))]
    found = compare(booked, told)
    (parting,) = found.partings
    assert (parting.agreed_us, parting.parted_us, parting.until_us) == (50, 150, 450)
    assert (parting.difference, found.passing_us) == (Decimal(-4), ())


def test_a_last_report_that_is_late_leaves_entries_unsettled() -> None:
    booked = entries([10, 20, 30])
    found = compare(booked, [(7, 50), (17, 150), (17, 310)], lag_us=1000)
    assert (found.difference, found.unsettled, found.unreported) == (ZERO, ("e2", "e3"), 0)
    found = compare(booked, [(7, 50), (17, 150), (17, 310)])
    assert (found.difference, found.partings[0].entry_id) == (Decimal(-50), "e2")


def test_entries_after_the_last_report_are_counted() -> None:
    found = compare(entries([10, 20, 30]), [(7, 50), (17, 150)])
    assert (found.unreported, found.booked, found.difference) == (2, Decimal(67), ZERO)


@pytest.mark.parametrize(
    ("opening", "told", "expected"),
    [
        (None, [(0, 50), (10, 150)], (ZERO, FROM_ZERO)),
        (None, [(10, 150), (30, 250)], (ZERO, FROM_ZERO)),
        (None, [(7, 50), (17, 150)], (Decimal(7), FIRST_REPORT)),
        (None, [(17, 150), (37, 250)], (Decimal(7), FIRST_REPORT)),
        (None, [(7, 1), (10, 150), (30, 250)], (ZERO, FROM_ZERO)),
        (7, [(7, 50), (17, 150)], (Decimal(7), GIVEN)),
        (None, [], (ZERO, FROM_ZERO)),
    ],
)
def test_the_opening(
    opening: int | None, told: list[tuple[Decimal | int, int]], expected: tuple[Decimal, str]
) -> None:
    found = compare(entries([10, 20]), told, opening)
    assert (found.opening, found.opening_from) == expected
    assert found.partings == ()


def test_the_first_entry_after_the_opening_can_be_missing() -> None:
    booked = entries([10, 20, 30, 40])
    told = [(balance, STEP_US * place + 50) for place, balance in enumerate(balances(booked))]
    found = compare(booked[1:], told, None, lag_us=1000)
    assert (found.opening, [p.difference for p in found.partings]) == (Decimal(7), [Decimal(10)])


def test_two_entries_alike_are_not_taken_for_a_late_report() -> None:
    """Where the last report lacks one of two entries that are alike, it is the entry that is one too many."""
    booked = [BookEntry(name, "BTC", Decimal(5), 100) for name in ("one", "two")]
    for moment_us in (100, 110):
        found = compare(booked, [(7, 50), (12, moment_us)], lag_us=1000)
        assert (found.difference, found.partings[0].suspects) == (Decimal(-5), ("one", "two"))


def test_suspects_are_entries_or_fills_that_undo_the_difference() -> None:
    booked = [
        BookEntry("a|base", "BTC", Decimal(5), 100, "a"),
        BookEntry("a|fee0", "BTC", Decimal(-1), 100, "a"),
        BookEntry("b", "BTC", Decimal(4), 101),
        BookEntry("c", "BTC", Decimal(3), 102),
    ]
    found = compare(booked, [(7, 50), (14, 150)])
    assert found.partings[0].suspects == ("a|base", "a|fee0", "b")


def test_an_asset_without_reports_or_entries() -> None:
    assert compare(entries([1]), []).reported is None
    assert compare([], [(7, 50), (7, 60)]).difference == ZERO
    assert compare([], [(7, 50), (8, 60)]).difference == Decimal(1)


def test_money_has_eighteen_places_at_the_most() -> None:
    with pytest.raises(InvalidValue, match="18 decimal places"):
        compare([], [(Decimal("1E-19"), 50)])
    last = Decimal("1E-18")
    assert compare([], [(add(Decimal(7), last), 50)]).difference == last


def test_reports_that_have_nothing_to_do_with_the_entries_part_once(rng: Random) -> None:
    booked = entries([rng.randrange(1, 10**9) for _ in range(500)])
    told = [(Decimal(rng.randrange(10**12)), STEP_US * place) for place in range(500)]
    found = compare(booked, told, lag_us=20 * STEP_US)
    assert found.difference == total(parting.difference for parting in found.partings)
    assert len(found.partings) < 10
