"""An HTTP server on loopback that answers as an exchange does: from recordings, or by what a test gives it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.conftest import DATA_VARIABLE, recorded_data

Query = dict[str, str]
Answer = Callable[[str, str, Query], Any]
"""Method, path and query -> what is answered as JSON; None where the path is not known."""


class Refusal(Exception):
    """An answer with another status than 200.

    Args:
        status: HTTP status.
        content: What is answered as JSON.
    """

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(str(content))
        self.status, self.content = status, content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the other side's acknowledgement
    server: _Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        if body.startswith("{"):
            query |= {"body": body}
        else:
            query |= dict(parse_qsl(body))
        status = 200
        try:
            content = self.server.answer(self.command, address.path, query)
            if content is None:
                status, content = 404, {"code": -1, "msg": f"no {address.path}"}
        except Refusal as refusal:
            status, content = refusal.status, refusal.content
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.server.answered(address.path)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  the base calls them so

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Answer
    answered: Callable[[str], None]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ExchangeServer:
    """The server.

    Attributes:
        url: Its address.
        asked: Method, path and query of each request, in order.
        answered: Called with the path after each answer was sent.
    """

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, str, Query]] = []
        self.answered: Callable[[str], None] = lambda _path: None
        self._answer = answer
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.answer = self._noted
        self._server.answered = self._after
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _noted(self, method: str, path: str, query: Query) -> Any:
        self.asked.append((method, path, query))
        return self._answer(method, path, query)

    def _after(self, path: str) -> None:
        self.answered(path)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def exchange_server(answer: Answer) -> Iterator[ExchangeServer]:
    """Serve for a while.

    Args:
        answer: What is answered.

    Yields:
        The server.
    """
    server = ExchangeServer(answer)
    try:
        yield server
    finally:
        server.close()


def recorded(name: str) -> Any:
    """Read a recorded JSON file; the test is skipped where it is absent.

    Args:
        name: Its path below the recorded data.

    Returns:
        Its content.
    """
    path = Path(recorded_data(), name)
    if not path.is_file():
        pytest.skip(f"recorded data is absent ({name}, {DATA_VARIABLE})")
    return json.loads(path.read_text(encoding="utf-8"))


def recorded_answers() -> Answer:
    """Return answers of Binance as they were recorded; the test is skipped where the recordings are absent."""
    routes = recorded("recorded_http/gct_binance_http.json")["routes"]

    def answer(method: str, path: str, query: Query) -> Any:
        found = routes.get(path, {}).get(method)
        if not found:
            return None
        symbol = query.get("symbol")
        for one in found:
            if symbol is None or dict(parse_qsl(one["queryString"])).get("symbol") == symbol:
                return one["data"]
        raise Refusal(400, {"code": -1121, "msg": "Invalid symbol."})

    return answer


def ccxt_or_skip(name: str = "ccxt") -> Any:
    """Return ccxt, or one of its modules.

    Args:
        name: ccxt, ccxt.async_support or ccxt.pro.

    Returns:
        The module; the test is skipped where it is not installed.
    """
    return pytest.importorskip(name, reason="ccxt is not installed (pip install 'hybridstore[ccxt]')")


def binance(module: Any, url: str, **settings: Any) -> Any:
    """Make a real binance object that talks to loopback only.

    Args:
        module: Of ccxt.
        url: The server's address.
        **settings: More of ccxt's.

    Returns:
        The exchange.
    """
    exchange = module.binance({"apiKey": "key", "secret": "secret", "enableRateLimit": False, **settings})
    for name, address in list(exchange.urls["api"].items()):
        if isinstance(address, str) and address.startswith("http"):
            exchange.urls["api"][name] = f"{url}/{address.split('/', 3)[3]}"
    exchange.number = str
    exchange.options |= {"defaultType": "spot", "fetchMargins": False, **settings.get("options", {})}
    exchange.options["fetchMarkets"] = {"types": settings.get("types", ["spot"])}
    exchange.has["fetchCurrencies"] = False
    return exchange
