"""Binance's stream of an account on loopback: what happens there is told to whoever has subscribed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Row = dict[str, Any]


class AccountStream:
    """The stream.

    Attributes:
        url: Where ccxt.pro connects to.
        subscribed: How often somebody subscribed.
    """

    def __init__(self) -> None:
        self.url = ""
        self.subscribed = 0
        self._sockets: set[web.WebSocketResponse] = set()

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Hold a connection until it is closed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                asked = json.loads(message.data)
                await socket.send_json({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}})
                self._sockets.add(socket)
                self.subscribed += 1
        finally:
            self._sockets.discard(socket)
        return socket

    async def tell(self, event: Row) -> None:
        """Tell everybody."""
        for socket in list(self._sockets):
            await socket.send_json({"subscriptionId": 0, "event": event})

    async def break_off(self) -> None:
        """Close every connection."""
        for socket in list(self._sockets):
            await socket.close()
        self._sockets.clear()


@asynccontextmanager
async def account_stream() -> AsyncIterator[AccountStream]:
    """Serve for a while.

    Yields:
        The stream.
    """
    stream = AccountStream()
    application = web.Application()
    application.router.add_get("/ws-api/v3", stream.connect)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    stream.url = f"ws://{host}:{port}/ws-api/v3"
    try:
        yield stream
    finally:
        await stream.break_off()
        await runner.cleanup()


def execution(fill: Row, order: Row) -> Row:
    """Tell a fill as the stream does.

    Args:
        fill: As myTrades has it.
        order: Its order.

    Returns:
        The event.
    """
    return {
        "e": "executionReport", "E": fill["time"], "s": fill["symbol"], "c": order["clientOrderId"],
        "S": order["side"], "o": order["type"], "f": order["timeInForce"], "q": order["origQty"], "p": order["price"],
        "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "TRADE", "X": order["status"], "r": "NONE",
        "i": fill["orderId"], "l": fill["qty"], "z": order["executedQty"], "L": fill["price"],
        "n": fill["commission"], "N": fill["commissionAsset"], "T": fill["time"], "t": fill["id"], "I": 1, "w": False,
        "m": fill["isMaker"], "M": False, "O": order["time"], "Z": order["cummulativeQuoteQty"], "Y": fill["quoteQty"],
        "Q": "0.00000000",
    }  # fmt: skip


def account_position(at_ms: int, **balances: tuple[str, str]) -> Row:
    """Tell balances as the stream does.

    Args:
        at_ms: When.
        **balances: Free and locked of each asset.

    Returns:
        The event.
    """
    told = [{"a": asset, "f": free, "l": locked} for asset, (free, locked) in balances.items()]
    return {"e": "outboundAccountPosition", "E": at_ms, "u": at_ms, "B": told}
