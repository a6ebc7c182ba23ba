"""Fills of an account of one's own over three years, for tests of lots."""

from __future__ import annotations

from pathlib import Path

from hybridstore import HybridStore

SPOT, LINEAR = "BTC/USDT", "BTC/USDT:USDT"


def told(
    store: HybridStore, number: int, side: str, amount: str, price: str, at: str, **more: object
) -> None:
    """Record a fill; a moment without a time is midnight UTC."""
    moment = at if "T" in at else f"{at}T00:00:00Z"
    details: dict[str, object] = {
        "symbol": SPOT,
        "trade_id": f"t{number}",
        "order_id": "o",
        "executed_at": moment,
    }
    store.record_fill(side=side, price=price, amount=amount, **(details | more))  # type: ignore[arg-type]


def open_own_store(root: Path) -> HybridStore:
    """Open a new store and record three purchases and two sales over three years."""
    opened = HybridStore(root).open()
    told(opened, 1, "buy", "1", "100", "2023-07-01", fee="0.001", fee_currency="BTC", strategy="grid")
    told(opened, 2, "buy", "1", "300", "2023-08-01", fee="1", fee_currency="USDT")
    told(opened, 3, "buy", "1", "200", "2023-09-01", fees=[("USDT", "0.5"), ("BNB", "0.01")])
    told(opened, 4, "sell", "1", "400", "2024-07-01", strategy="=cmd()")
    told(opened, 5, "sell", "0.5", "400", "2025-07-01")
    return opened
