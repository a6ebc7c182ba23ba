"""What is missing, doubled or wrong in ten thousand fills is found and explained exactly, however reports come."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest

from hybridstore.portfolio.explain import explain_partings
from hybridstore.portfolio.finding import (
    DOUBLED,
    MISSING,
    MISSING_FEE,
    MISSING_FILL,
    UNKNOWN,
    WRONG_FEE,
    Finding,
)
from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.practice import KnownFill, practices
from hybridstore.portfolio.reconcile import BookEntry, Comparison, Parting, Report, compare_asset
from tests.portfolio.trading import (
    OPENING,
    Account,
    Told,
    again,
    entries_of,
    fills_of,
    told_of,
    trade,
    with_fees,
)

FILLS = 2000
MANY = 10_000
LAG_US = 10_000_000
BEGIN_US = 1_785_585_600_000_000
VARIANTS = {
    "after every fill": {},
    "after every hundred fills": {"every": 100},
    "before its fill": {"ahead_us": 30_000},
}


@pytest.fixture(params=VARIANTS)
def account(request: pytest.FixtureRequest, rng: Random) -> Account:
    """Return an account of two thousand fills, reported on in different ways."""
    return trade(rng, FILLS, begin_us=BEGIN_US, **VARIANTS[request.param])


def compare(
    told: Sequence[Told], reports: Sequence[Report], opening: dict[str, Decimal] | None = None
) -> list[Comparison]:
    entries = entries_of(told)
    return [
        compare_asset(
            asset,
            None if opening is None else opening[asset],
            [entry for entry in entries if entry.asset == asset],
            [report for report in reports if report.asset == asset],
            lag_us=LAG_US,
        )
        for asset in OPENING
    ]


def find(told: Sequence[Told], reports: Sequence[Report]) -> tuple[Finding, ...]:
    partings = [parting for one in compare(told, reports) for parting in one.partings]
    return explain_partings(partings, entries_of(told), fills_of(told))


def tell(finding: Finding) -> tuple[object, ...]:
    return finding.symbol, finding.side, finding.amount, finding.price, finding.fees


def of(fill: KnownFill) -> tuple[object, ...]:
    return fill.symbol, fill.side, fill.amount, fill.price, fill.fees


def assert_missing(findings: Sequence[Finding], fill: KnownFill) -> None:
    (found,) = findings
    assert found.kind == MISSING_FILL, found.text
    if found.exact:
        assert tell(found) == of(fill)
    else:  # by a rare chance another price and fee fit as well
        assert f"at {fill.price.normalize():f}" in found.text
        assert ", or " in found.text
    assert found.since_us is not None
    assert found.until_us is not None
    assert found.since_us <= fill.executed_us <= found.until_us


def test_complete_books_have_nothing_to_explain(account: Account) -> None:
    for opening in (None, OPENING):
        compared = compare(account.told, account.reports, opening)
        assert [one.partings for one in compared] == [()] * len(OPENING)
        assert [one.difference for one in compared] == [ZERO] * len(OPENING)
        assert [one.opening for one in compared] == list(OPENING.values())
    assert find(account.told, account.reports) == ()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fill_dropped_from_ten_thousand_is_located(variant: str, rng: Random) -> None:
    account = trade(rng, MANY, begin_us=BEGIN_US, **VARIANTS[variant])
    dropped = rng.randrange(MANY)
    assert_missing(find(account.without(dropped), account.reports), account.told[dropped].fill)


def test_any_fill_dropped_is_located(account: Account, rng: Random) -> None:
    for dropped in (0, FILLS - 1, rng.randrange(FILLS)):
        assert_missing(find(account.without(dropped), account.reports), account.told[dropped].fill)


@pytest.mark.soak
def test_every_one_of_many_drops_is_located(account: Account, rng: Random) -> None:
    for dropped in rng.sample(range(FILLS), FILLS // 10):
        assert_missing(find(account.without(dropped), account.reports), account.told[dropped].fill)


def test_a_fill_told_twice_is_named_with_its_twin(account: Account, rng: Random) -> None:
    # The only report behind the last fill may be early: then it may as well be the twin that is right.
    for place in (0, rng.randrange(FILLS - 200)):
        one = account.told[place]
        twin = again(one, "twin")
        (found,) = find([*account.told[: place + 1], twin, *account.told[place + 1 :]], account.reports)
        assert (found.kind, found.exact) == (DOUBLED, True), found.text
        assert set(found.suspects) == {entry.entry_id for entry in (*one.entries, *twin.entries)}


def test_several_fills_far_apart_are_each_named(account: Account, rng: Random) -> None:
    dropped = sorted(rng.sample(range(0, FILLS, 250), 3))
    findings = find(account.without(*dropped), account.reports)
    assert len(findings) == len(dropped)
    for finding, place in zip(findings, dropped, strict=True):
        assert_missing([finding], account.told[place].fill)


@pytest.fixture(scope="module")
def small() -> Account:
    """Return an account of a thousand fills that is the same in every run."""
    return trade(Random(20), 1000, begin_us=BEGIN_US)


def paid_in(small: Account, part: int) -> int:
    """Return the place of a fill with a fee in base (0) or quote (1), none of the first."""
    return next(
        place
        for place, one in enumerate(small.told)
        if place > 100
        and one.fill.fees
        and one.fill.fees[0][1] > 0
        and one.fill.fees[0][0] == one.fill.symbol.split("/")[part]
    )


@pytest.mark.parametrize("part", [0, 1], ids=["base", "quote"])
def test_a_wrong_fee_is_named_with_the_right_one(small: Account, part: int) -> None:
    place = paid_in(small, part)
    fill = small.told[place].fill
    ((asset, cost),) = fill.fees
    told = [*small.told]
    told[place] = with_fees(small.told[place], [(asset, cost * 3)])
    (found,) = find(told, small.reports)
    assert (found.kind, found.exact, found.fees) == (WRONG_FEE, True, fill.fees), found.text
    told[place] = with_fees(small.told[place], [])
    (found,) = find(told, small.reports)
    assert (found.kind, found.exact, found.fees) == (MISSING_FEE, True, fill.fees), found.text


def test_a_fill_the_exchange_does_not_know(small: Account) -> None:
    strange = told_of(
        small.told[500].fill._replace(
            trade_id="x", amount=Decimal("0.125"), quote_amount=Decimal(7), fees=(("BNB", Decimal("0.01")),)
        )
    )
    (found,) = find([*small.told[:501], strange, *small.told[501:]], small.reports)
    assert (found.kind, set(found.suspects)) == (UNKNOWN, {entry.entry_id for entry in strange.entries})
    assert "does not know" in found.text


@pytest.mark.parametrize(("amount", "words"), [("5", "came in"), ("-5", "went out")])
def test_a_missing_deposit_or_withdrawal(small: Account, amount: str, words: str) -> None:
    moment_us = small.told[600].fill.executed_us
    reports = [
        report._replace(balance=report.balance + Decimal(amount))
        if report.asset == "BNB" and report.reported_us > moment_us
        else report
        for report in small.reports
    ]
    (found,) = find(small.told, reports)
    assert (found.kind, found.amount, found.exact) == (MISSING, Decimal(amount), False)
    assert f"5 BNB {words} between" in found.text


def test_a_deposit_entered_twice_is_doubled() -> None:
    entries = [BookEntry(name, "BTC", Decimal(2), 50) for name in ("one", "two")]
    compared = compare_asset("BTC", ZERO, entries, [Report("BTC", ZERO, 10), Report("BTC", Decimal(2), 60)])
    (found,) = explain_partings(compared.partings, entries, [])
    assert (found.kind, found.suspects) == (DOUBLED, ("one", "two"))
    assert "booked twice: entry two and entry one" in found.text


def test_a_market_that_was_never_traded_is_guessed_from_the_ratio() -> None:
    partings = [
        Parting("BTC", Decimal("-0.5"), 10, 20, None, (), 10, 20),
        Parting("USDT", Decimal(25_000), 12, 22, None, (), 12, 22),
    ]
    (found,) = explain_partings(partings, [], [])
    assert tell(found) == ("BTC/USDT", "sell", Decimal("0.5"), Decimal(50_000), ())
    assert "a fill of BTC/USDT: sell 0.5 at 50000, between" in found.text
    assert (found.since_us, found.until_us) == (12, 20)


def test_a_ratio_that_is_no_price_there_is_two_movements(small: Account) -> None:
    partings = [
        Parting("BTC", Decimal(-1), 10, BEGIN_US, None, (), 10, BEGIN_US),
        Parting("USDT", Decimal(1), 10, BEGIN_US, None, (), 10, BEGIN_US),
    ]
    found = explain_partings(partings, entries_of(small.told), fills_of(small.told))
    assert [one.kind for one in found] == [MISSING, MISSING]


def test_partings_at_different_times_are_not_put_together(small: Account) -> None:
    partings = [
        Parting("BTC", Decimal("-0.5"), 10, 20, None, (), 10, 20),
        Parting("USDT", Decimal(25_000), 30, 40, None, (), 30, 40),
    ]
    found = explain_partings(partings, entries_of(small.told), fills_of(small.told))
    assert [one.kind for one in found] == [MISSING, MISSING]


def test_where_two_fills_fit_both_are_told(small: Account) -> None:
    """44991 is 45000 less a fifth of a thousandth."""
    practice = practices(fills_of(small.told))["BTC/USDT"]
    found = practice.guess(Decimal(-1), Decimal(44_991))
    assert found is not None
    (other,) = found.others
    assert (found.exact, found.price, found.fees) == (False, Decimal(45_000), (("USDT", Decimal(9)),))
    assert (other.price, other.fees) == (Decimal(44_991), ())
    partings = [
        Parting("BTC", Decimal(-1), BEGIN_US, BEGIN_US + 9, None, (), BEGIN_US, BEGIN_US + 9),
        Parting("USDT", Decimal(44_991), BEGIN_US, BEGIN_US + 9, None, (), BEGIN_US, BEGIN_US + 9),
    ]
    (finding,) = explain_partings(partings, entries_of(small.told), fills_of(small.told))
    assert "sell 1 at 45000, fee 9 USDT, or 1 at 44991" in finding.text


def test_what_is_usual_on_a_market_is_learned(small: Account) -> None:
    practice = practices(fills_of(small.told))["BTC/USDT"]
    assert set(practice.rates["USDT"]) == {
        Decimal(rate) for rate in ("0.001", "0.00075", "0.0002", "-0.0001")
    }
    assert (practice.amount_places, practice.fee_places["USDT"]) == (5, 8)
    assert practice.usual_rate("USDT", Decimal("10.00000001"), Decimal(10_000)) is not None
    assert practice.usual_rate("USDT", Decimal("10.0000001"), Decimal(10_000)) is None
    assert practice.guess(Decimal(1), Decimal(1)) is None
