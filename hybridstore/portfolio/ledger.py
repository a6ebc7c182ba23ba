"""Ledger entries of a fill: every asset it moved, signed, so that opening balances plus entries are the balances."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.symbols import Market

_REFERENCE_LENGTH_MAX = 180
"""Names have 200 characters at the most, and an entry's is its reference with the leg."""

_LEG = re.compile("base|quote|pnl|fee[0-9]+")
_ANY_LEG = re.compile(rf"\|({_LEG.pattern})\Z")
FUNDING = "funding|"
"""What the id of a funding payment's entry begins with."""


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
        base, quote = (
            (amount, quote_amount.copy_negate()) if side == "buy" else (amount.copy_negate(), quote_amount)
        )
        entries = [Entry("base", "trade", market.base, base), Entry("quote", "trade", market.quote, quote)]
    else:
        entries = [Entry("pnl", "trade", market.profit_asset, realized)] if realized else []
    for number, (asset, cost) in enumerate(fees):
        if cost:
            entries.append(Entry(f"fee{number}", "fee" if cost > 0 else "rebate", asset, cost.copy_negate()))
    return tuple(entries)


def fill_reference(symbol: str, trade_id: str, order_id: str) -> str:
    """Return what the ledger entries of a fill refer to it by; no two fills of an account have the same.

    Args:
        symbol: Its market.
        trade_id: Its id.
        order_id: Its order.

    Returns:
        See :func:`joined_name`.
    """
    return joined_name(symbol, trade_id, order_id)


def is_fill_leg(entry_id: str, reference: str | None) -> bool:
    """Say whether an entry has the name of one that a fill makes.

    Args:
        entry_id: Its id.
        reference: What it belongs to.

    Returns:
        Whether its id is its reference and a leg of a fill.
    """
    if reference is None or not entry_id.startswith(f"{reference}|"):
        return False
    return _LEG.fullmatch(entry_id, len(reference) + 1) is not None


def maker_of(entry_id: str) -> str | None:
    """Say what makes entries of such a name, so that nobody enters or changes them by hand.

    Args:
        entry_id: An entry's id.

    Returns:
        "fill" or "funding"; None where anybody may use it.
    """
    if _ANY_LEG.search(entry_id):
        return "fill"
    return "funding" if entry_id.startswith(FUNDING) else None


def joined_name(*parts: str) -> str:
    """Join names into one that no other parts give.

    Args:
        *parts: Any texts.

    Returns:
        The parts with ``|`` between them, a ``|`` of their own escaped by a backslash; ``sha256:`` and the hash of that
        where it is too long for a name.
    """
    name = "|".join([part.replace("\\", "\\\\").replace("|", "\\|") for part in parts])
    if len(name) <= _REFERENCE_LENGTH_MAX:
        return name
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
