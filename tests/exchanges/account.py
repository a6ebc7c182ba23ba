"""A small exchange in Binance's words: one account that trades, spot and swaps, told in pages as Binance tells them."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.exchanges.server import Answer, Query, Refusal

SPOT = {"BTCUSDT": ("BTC", "USDT"), "ETHBTC": ("ETH", "BTC")}
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
Row = dict[str, Any]


class Account:
    """What the exchange knows, and how it tells it.

    Args:
        recorded: Answers for what is not the account's: markets.
        now_ms: The exchange's clock.
        page: Rows a page holds.

    Attributes:
        fills: Own trades of a symbol, as Binance has them.
        orders: Orders of a symbol.
        balances: Asset to free and locked, as text.
        deposits, withdrawals: As Binance has them.
        income: Funding and more of swaps.
        positions: Of swaps.
        candles: Rows of klines, by opening, ms.
        lost: Ids of own trades that are not told any more.
    """

    def __init__(self, recorded: Answer, now_ms: int, page: int = 20) -> None:
        self._recorded, self.now_ms, self._page = recorded, now_ms, page
        self.fills: dict[str, list[Row]] = {}
        self.orders: dict[str, list[Row]] = {}
        self.balances: dict[str, tuple[str, str]] = {}
        self.deposits: list[Row] = []
        self.withdrawals: list[Row] = []
        self.income: list[Row] = []
        self.positions: list[Row] = []
        self.candles: dict[int, list[Any]] = {}
        self.lost: set[int] = set()
        self.refuse: Callable[[str], None] = lambda _path: None
        self._next = 1000

    def trade(self, symbol: str, rng: random.Random, at_ms: int, *, parts: int = 1) -> None:
        """Fill an order.

        Args:
            symbol: Binance's id of the market.
            rng: Draws it.
            at_ms: When, ms.
            parts: Into how many fills.
        """
        self._next += 1
        order_id, is_buyer = self._next, rng.random() < 0.5
        price = Decimal(rng.randint(1_000_000, 9_999_999)).scaleb(-2)
        total, cost = Decimal(0), Decimal(0)
        for part in range(parts):
            self._next += 1
            quantity = Decimal(rng.randint(1, 10**6)).scaleb(-5)
            total, cost = total + quantity, cost + quantity * price
            self.fills.setdefault(symbol, []).append(
                {
                    "symbol": symbol,
                    "id": self._next,
                    "orderId": order_id,
                    "orderListId": -1,
                    "price": f"{price:.8f}",
                    "qty": f"{quantity:.8f}",
                    "quoteQty": f"{quantity * price:.8f}",
                    "commission": f"{(quantity / 1000):.8f}",
                    "commissionAsset": "BNB",
                    "time": at_ms + part,
                    "isBuyer": is_buyer,
                    "isMaker": rng.random() < 0.5,
                    "isBestMatch": True,
                }
            )
        self.orders.setdefault(symbol, []).append(
            {
                "symbol": symbol,
                "orderId": order_id,
                "orderListId": -1,
                "clientOrderId": f"c-{order_id}",
                "price": f"{price:.8f}",
                "origQty": f"{total:.8f}",
                "executedQty": f"{total:.8f}",
                "cummulativeQuoteQty": f"{cost:.8f}",
                "status": "FILLED",
                "timeInForce": "GTC",
                "type": "LIMIT",
                "side": "BUY" if is_buyer else "SELL",
                "stopPrice": "0.00000000",
                "time": at_ms,
                "updateTime": at_ms + parts,
                "isWorking": True,
            }
        )

    def answer(self, method: str, path: str, query: Query) -> Any:
        """Answer as Binance does.

        Args:
            method: GET, ...
            path: For example /api/v3/myTrades.
            query: The parameters.

        Returns:
            What is told.
        """
        self.refuse(path)
        symbol = query.get("symbol", "")
        own: dict[str, Callable[[], Any]] = {
            "/api/v3/time": lambda: {"serverTime": self.now_ms},
            "/api/v3/myTrades": lambda: self._from(
                [row for row in self.fills.get(symbol, []) if row["id"] not in self.lost], "time", query
            ),
            "/api/v3/allOrders": lambda: self._from(self.orders.get(symbol, []), "time", query),
            "/api/v3/openOrders": lambda: [
                row for rows in self.orders.values() for row in rows
                if row["status"] == "NEW" and symbol in {"", row["symbol"]}
            ],
            "/api/v3/klines": lambda: self._klines(query),
            "/api/v3/order": lambda: self._order(query),
            "/api/v3/account": self._account,
            "/sapi/v1/capital/deposit/hisrec": lambda: self._from(self.deposits, "insertTime", query),
            "/sapi/v1/capital/withdraw/history": lambda: self._from(self.withdrawals, "completeTime", query),
            "/fapi/v1/time": lambda: {"serverTime": self.now_ms},
            "/fapi/v1/userTrades": lambda: self._window(self.fills.get(symbol, []), query),
            "/fapi/v1/allOrders": lambda: self._window(self.orders.get(symbol, []), query),
            "/fapi/v1/openOrders": list,
            "/fapi/v1/income": lambda: self._window(
                [row for row in self.income if row["symbol"] == symbol], query
            ),
            "/fapi/v3/positionRisk": lambda: self.positions,
            "/fapi/v1/leverageBracket": list,
            "/fapi/v3/account": lambda: {"assets": [], "positions": []},
        }  # fmt: skip
        return own[path]() if path in own else self._recorded(method, path, query)

    def _from(self, rows: list[Row], time: str, query: Query) -> list[Row]:
        """Give what follows a moment, oldest first, no more than a page."""
        start, end = int(query.get("startTime", 0)), int(query.get("endTime", self.now_ms))
        found = sorted((row for row in rows if start <= row[time] <= end), key=lambda row: row[time])
        return found[: self._page]

    def _window(self, rows: list[Row], query: Query) -> list[Row]:
        """Give what follows a moment within a week."""
        start = int(query.get("startTime", self.now_ms - WEEK_MS))
        end = min(int(query.get("endTime", start + WEEK_MS)), start + WEEK_MS)
        return self._from(rows, "time", {"startTime": str(start), "endTime": str(end)})

    def _klines(self, query: Query) -> list[list[Any]]:
        start = int(query.get("startTime", 0))
        return [self.candles[at] for at in sorted(self.candles) if at >= start][: self._page]

    def _order(self, query: Query) -> Row:
        for row in self.orders.get(query["symbol"], []):
            if str(row["orderId"]) == query["orderId"]:
                return row
        raise Refusal(400, {"code": -2013, "msg": "Order does not exist."})

    def _account(self) -> Row:
        told = [
            {"asset": asset, "free": free, "locked": locked}
            for asset, (free, locked) in self.balances.items()
        ]
        return {"accountType": "SPOT", "canTrade": True, "updateTime": self.now_ms, "balances": told}
