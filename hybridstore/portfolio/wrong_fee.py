"""Fees that differ from what the exchange took, or that the books lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.portfolio.finding import MISSING_FEE, WRONG_FEE, Case, Finding, cause_name, covers, fill_text
from hybridstore.portfolio.money import ZERO, subtract
from hybridstore.portfolio.practice import KnownFill
from hybridstore.portfolio.reconcile import Parting
from hybridstore.portfolio.wording import amount_text

_FEE_CANDIDATES_MAX = 1000


class _Fee(NamedTuple):
    fill: KnownFill
    booked: Decimal
    right: Decimal
    usual: bool


def find_wrong_fees(case: Case) -> Iterator[Finding]:
    """Find fills whose fee explains what an asset differs by.

    Args:
        case: The case; what is explained is taken out of it.

    Yields:
        The findings.
    """
    if not case.open:
        return
    by_time = sorted(case.fills.values(), key=attrgetter("executed_us"))
    for parting in tuple(case.open):
        fees = list(_possible_fees(case, parting, by_time))
        usual = [fee for fee in fees if fee.usual]
        chosen = usual or fees
        if chosen and (usual or len(fees) == 1):
            case.take([parting])
            yield _fee_finding(case, parting, chosen)


def _possible_fees(case: Case, parting: Parting, fills: Iterable[KnownFill]) -> Iterator[_Fee]:
    """Find fills in the time of a parting whose fee may be what is wrong."""
    near = [fill for fill in fills if fill.amount and covers(parting, fill.executed_us)]
    for fill in near[:_FEE_CANDIDATES_MAX]:
        booked = next((cost for asset, cost in fill.fees if asset == parting.asset), ZERO)
        if fill.fees and not booked:
            continue
        right = subtract(booked, parting.difference)
        practice = case.practices.get(fill.symbol)
        usual = False
        if practice is not None:
            whole = {practice.market.base: fill.amount, practice.market.quote: fill.quote_amount}.get(
                parting.asset
            )
            if whole is not None:
                rank = practice.usual_rate(parting.asset, right, whole)
                booked_rank = practice.usual_rate(parting.asset, booked, whole)
                usual = rank is not None and (booked_rank is None or rank < booked_rank)
                if not usual:
                    continue
        if usual or parting.difference.copy_abs() <= booked.copy_abs():
            yield _Fee(fill, booked, right, usual)


def _fee_finding(case: Case, parting: Parting, fees: Sequence[_Fee]) -> Finding:
    first = fees[0]
    asset = parting.asset
    suspects = tuple(
        entry.entry_id
        for fee in fees
        for entry in case.causes.get(fee.fill.reference, ())
        if entry.asset == asset
    )
    right = f"{amount_text(first.right)} {asset}"
    if len(fees) > 1:
        text = f"a fee of {amount_text(parting.difference.copy_abs())} {asset} differs at one of {len(fees)} fills"
    elif first.booked:
        text = f"the fee of {cause_name(case, first.fill.reference)} ({fill_text(first.fill)}) is booked as "
        taken = "took" if first.usual else "may have taken"
        text += f"{amount_text(first.booked)} {asset}, the exchange {taken} {right}"
    else:
        text = f"a fee of {right} of {cause_name(case, first.fill.reference)} ({fill_text(first.fill)}) is missing"
    alone = len(fees) == 1
    return Finding(
        WRONG_FEE if first.booked else MISSING_FEE,
        text,
        (parting,),
        exact=alone and first.usual,
        suspects=suspects,
        symbol=first.fill.symbol if alone else None,
        side=first.fill.side if alone else None,
        amount=first.fill.amount if alone else None,
        price=first.fill.price if alone else None,
        fees=((asset, first.right),) if alone else (),
        since_us=first.fill.executed_us if alone else parting.since_us,
        until_us=first.fill.executed_us if alone else parting.until_us,
    )
