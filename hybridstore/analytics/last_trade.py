"""The last fill of a market over every tier, for a market whose fills have all left the hot store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridstore.hot.trade_rows import Trade

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics


def last_trade(analytics: Analytics, symbol: str, account: str) -> Trade | None:
    """Return the fill of a market that was executed last, in whatever tier; one that was voided is none.

    Args:
        analytics: Where to ask.
        symbol: The market.
        account: Whose.

    Returns:
        The fill, or None where there is none.
    """
    with analytics.snapshot() as moment:
        trades = moment.scan("trades", symbol=symbol, account=account)
    last = (
        trades.remove(amount=0).top_k(1, by=["executed_at", "id"]).select(Trade.__struct_fields__).collect()
    )
    return Trade(**last.row(0, named=True)) if last.height else None
