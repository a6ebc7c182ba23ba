"""An error about a column says which one is meant."""

from __future__ import annotations

import pytest

from hybridstore import HybridStore
from hybridstore.errors import QueryFailed


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT simbol FROM trades", "did you mean symbol (trades)?"),
        ("SELECT t.acount FROM trades t", "did you mean account (trades)?"),
        ("SELECT quantity FROM trades", "did you mean amount (trades)?"),
        ("SELECT * FROM trades WHERE timestamp > now()", "did you mean executed_at (trades)?"),
        ("SELECT traded_at FROM candles", "did you mean opened_at (candles)?"),
        ("SELECT executed FROM trades", "did you mean executed_at (trades)?"),
        ("SELECT ticker FROM market_trades", "did you mean symbol (market_trades)?"),
        ("SELECT free FROM balances", "did you mean available (balances)?"),
        ("SELECT pnl FROM trades JOIN positions USING (position_id)", "realized_pnl (positions)"),
        ("SELECT xyzzy FROM trades", "docs/datasets.md"),
        ("SELECT nothing(amount) FROM trades", "docs/datasets.md"),
    ],
)
def test_the_column_that_is_meant_is_named(store: HybridStore, query: str, hint: str) -> None:
    with pytest.raises(QueryFailed) as caught:
        store.sql(query)
    assert hint in str(caught.value)
