"""Ledger entries of a fill: every asset it moved, signed, so that opening balances plus entries are the balances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.symbols import Market


class Entry(NamedTuple):
    """One signed change of an asset.

    Attributes:
        leg: Which part of its cause it is; unique among the entries of one cause.
        type: trade, fee, rebate, ... as the ledger's declaration lists them.
        asset: The asset.
        amount: Signed units of it, never zero.
    """

    leg: str
    type: str
    asset: str
    amount: Decimal


class Difference(NamedTuple):
    """Where books and reported balances part.

    Attributes:
        asset: The asset.
        booked: Opening balance plus entries.
        reported: What the exchange says.
        difference: reported - booked.
    """

    asset: str
    booked: Decimal
    reported: Decimal
    difference: Decimal


def fill_entries(
    market: Market,
    side: str,
    amount: Decimal,
    quote_amount: Decimal,
    realized: Decimal,
    fees: Iterable[tuple[str, Decimal]],
) -> tuple[Entry, ...]:
    """Return what a fill moved.

    Args:
        market: Where it was.
        side: buy or sell.
        amount: Units of base, or contracts.
        quote_amount: Notional in quote.
        realized: Profit it realised, in the settle asset; counts for contracts only, whose assets do not move.
        fees: (asset, cost) pairs; a negative cost is a rebate.

    Returns:
        Entries that are not zero: two legs (spot) or the realised profit (contracts), and the fees.
    """
    if market.is_spot:
        sign = 1 if side == "buy" else -1
        entries = [
            Entry("base", "trade", market.base, amount.copy_sign(Decimal(sign))),
            Entry("quote", "trade", market.quote, quote_amount.copy_sign(Decimal(-sign))),
        ]
    else:
        entries = [Entry("pnl", "trade", market.profit_asset, realized)] if realized else []
    for number, (asset, cost) in enumerate(fees):
        if cost:
            entries.append(Entry(f"fee{number}", "fee" if cost > 0 else "rebate", asset, cost.copy_negate()))
    return tuple(entries)


def reconcile(
    opening: Mapping[str, Decimal], entries: Iterable[tuple[str, Decimal]], reported: Mapping[str, Decimal]
) -> tuple[Difference, ...]:
    """Compare books with reported balances.

    Args:
        opening: Balance of each asset before the first entry.
        entries: (asset, signed amount) of every entry since.
        reported: What the exchange says each asset's balance is.

    Returns:
        The assets on which they differ, by name; empty when the books prove themselves.
    """
    booked = dict(opening)
    for asset, amount in entries:
        booked[asset] = add(booked.get(asset, ZERO), amount)
    differences = []
    for asset in sorted({*booked, *reported}):
        difference = subtract(reported.get(asset, ZERO), booked.get(asset, ZERO))
        if difference:
            differences.append(
                Difference(asset, booked.get(asset, ZERO), reported.get(asset, ZERO), difference)
            )
    return tuple(differences)
