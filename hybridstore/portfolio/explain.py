"""Why books and reports part: partings of several assets put together to what probably happened, with its evidence.

What is known of the account decides: its entries (is something booked twice, or unknown to the exchange?), then its
fills (do the partings of a base and a quote asset make a fill at a price of that market, is it a fee that differs?).
What is left is a movement of one asset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybridstore.portfolio.finding import MISSING, Case, Finding, between
from hybridstore.portfolio.missing_fill import find_missing_fills
from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.practice import KnownFill
from hybridstore.portfolio.reconcile import BookEntry, Parting
from hybridstore.portfolio.surplus import find_surplus
from hybridstore.portfolio.wording import amount_text
from hybridstore.portfolio.wrong_fee import find_wrong_fees


def explain_partings(
    partings: Iterable[Parting], entries: Iterable[BookEntry], fills: Sequence[KnownFill]
) -> tuple[Finding, ...]:
    """Explain partings of several assets together.

    Args:
        partings: What :func:`hybridstore.portfolio.reconcile.find_partings` found.
        entries: The entries of the books.
        fills: The fills of the books.

    Returns:
        Findings in order of time; each parting is in exactly one of them.
    """
    case = Case(partings, entries, fills)
    if not case.open:
        return ()
    found = [*find_surplus(case), *find_missing_fills(case), *find_wrong_fees(case)]
    found += [_movement(parting, case) for parting in case.open]
    return tuple(sorted(found, key=lambda finding: (finding.until_us or 0, finding.partings[0].asset)))


def _movement(parting: Parting, case: Case) -> Finding:
    amount = amount_text(parting.difference.copy_abs())
    when = between(parting.since_us, parting.until_us)
    if parting.difference > ZERO:
        what = (
            f"{amount} {parting.asset} came in {when} that the books do not have: a deposit, a transfer, ..."
        )
    else:
        what = (
            f"{amount} {parting.asset} went out {when} that the books do not have: a withdrawal, a fee, ..."
        )
    if parting.suspects:
        what += f" Or one of these is booked too often: {', '.join(parting.suspects)}"
    elif any(practice.market.base == parting.asset for practice in case.practices.values()):
        what += " Or several fills"
    return Finding(
        MISSING,
        what,
        (parting,),
        suspects=parting.suspects,
        amount=parting.difference,
        since_us=parting.since_us,
        until_us=parting.until_us,
    )
