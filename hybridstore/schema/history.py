"""Which datasets can be shown as they were known at an earlier moment, and why the others cannot.

Every row says when it was committed and every correction keeps the version before, so what was known at a moment can
be put together again. What holds only the present, and is overwritten, cannot.
"""

from __future__ import annotations

from hybridstore.schema.dataset import Dataset
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.types import LogicalType

_INSTEAD = {
    "balances": "balance_history",
    "positions": "position_events",
    "orders": "order_events",
    "ledger_balances": "ledger",
    "marks": "market_trades, or record prices in a dataset of your own",
    "portfolio_equity": "portfolio_snapshots",
    "portfolio_hourly": "portfolio_snapshots, trades and ledger",
    "portfolio_daily": "portfolio_snapshots, trades and ledger",
    "candles": "market_trades, or keep candles that are closed in a dataset of your own",
}
"""Which history tells of a dataset that keeps none."""
_OWN = "the events that change it"


def why_not_known(dataset: Dataset) -> tuple[str, str] | None:
    """Say why it cannot be told what of a dataset was known at an earlier moment.

    Args:
        dataset: The declaration.

    Returns:
        The reason, and what to do instead; None where it can be told.
    """
    name = dataset.name
    if dataset.kind not in ("event", "market"):
        return f"{name} holds only what is so now, not what it was", f"ask {_INSTEAD.get(name, _OWN)}"
    if dataset.provisional:
        return (
            f"rows of {name} are given again until they are final, and what they were before is not kept",
            f"ask {_INSTEAD.get(name, _OWN)}",
        )
    column = next((one for one in dataset.columns if one.name == RECORDED_AT), None)
    if column is None or column.type is not LogicalType.TIMESTAMP or column.nullable:
        return (
            f"rows of {name} do not say when they were committed",
            f"declare a TIMESTAMP column {RECORDED_AT}, not nullable; the store fills it in",
        )
    return None
