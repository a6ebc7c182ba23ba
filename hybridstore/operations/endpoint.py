"""``/health`` and ``/metrics`` of a store over HTTP, beside its maintenance, by default on this machine alone."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hybridstore.config import Settings
from hybridstore.errors import ConfigError, HybridStoreError, StorageFailure
from hybridstore.operations.figures import Figure, Observer
from hybridstore.operations.metrics import exposition
from hybridstore.reports.plain import json_text

_PATIENCE_S = 10.0
"""A client that says nothing for so long is hung up on; else it would hold a thread for ever."""
_ACCEPTS_MAX = 8
_CREDENTIALS = re.compile(r"(://)[^/@\s\"]+@")
"""User and password of a URL, which an error may name."""
_NAMES_OF_HERE = {"localhost", "127.0.0.1", "::1"}


class _Server(ThreadingHTTPServer):
    """One server; requests run in threads that end with the process."""

    daemon_threads = True
    block_on_close = False
    # On Windows another program could take the same port then.
    allow_reuse_address = os.name != "nt"

    def __init__(self, host: str, port: int, observer: Observer) -> None:
        self.observer = observer
        self._written: dict[str, tuple[list[Figure], tuple[bytes, str]]] = {}
        self.is_local = _is_loopback(host)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server who this is."""
        socket_address: Any = self.server_address
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(socket_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(socket_address[0]), self.server_address[1]

    def written(self, accept: str) -> tuple[bytes, str]:
        """Return the figures as text, written once as long as they are the same."""
        figures = self.observer.figures()
        kept = self._written.get(accept)
        if kept is not None and kept[0] is figures:
            return kept[1]
        written = exposition(figures, accept)
        if len(self._written) >= _ACCEPTS_MAX:  # else who sends another one each time would fill the memory
            self._written.clear()
        self._written[accept] = figures, written
        return written

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    """One request: GET or HEAD of one of two paths, and nothing else."""

    server: _Server
    timeout = _PATIENCE_S
    server_version = "hybridstore"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._is_for_us():
            self._answer(HTTPStatus.FORBIDDEN, "this server answers to the names of this machine alone\n")
        elif path == "/health":
            self._health()
        elif path == "/metrics":
            self._metrics()
        else:
            self._answer(HTTPStatus.NOT_FOUND, "there are /health and /metrics\n")

    do_HEAD = do_GET  # noqa: N815  the name is http.server's

    def _refuse(self) -> None:
        self.close_connection = True  # a body that nobody reads would be taken for the next request
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n", allow="GET, HEAD")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""

    def _is_for_us(self) -> bool:
        """Refuse a page of a browser that had its name point to this machine."""
        name = self.headers.get("Host", "localhost").strip()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return not self.server.is_local or name.lower() in _NAMES_OF_HERE or _is_loopback(name)

    def _health(self) -> None:
        health = self.server.observer.health()
        status = HTTPStatus.OK if health.state == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
        told = _CREDENTIALS.sub(r"\1***@", json_text(health._asdict()))
        self._answer(status, told, "application/json")

    def _metrics(self) -> None:
        try:
            content, kind = self.server.written(self.headers.get("Accept", ""))
        except ConfigError as error:
            self._answer(HTTPStatus.NOT_IMPLEMENTED, f"{error}\n")
            return
        self._answer(HTTPStatus.OK, content, kind)

    def _answer(
        self,
        status: HTTPStatus,
        content: str | bytes,
        kind: str = "text/plain; charset=utf-8",
        allow: str = "",
    ) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if allow:
            self.send_header("Allow", allow)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Endpoint:
    """The server of one store, in a thread of its own.

    Args:
        settings: The store, and where to listen.

    Attributes:
        address: Host and port it listens on.

    Raises:
        StorageFailure: The port is in use, or there is no such address here.
    """

    def __init__(self, settings: Settings) -> None:
        host, port = settings.metrics.host, settings.metrics.port
        self._observer = Observer(settings)
        try:
            self._server = _Server(host, port, self._observer)
        except OSError as error:
            raise StorageFailure(
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                operation="serve metrics",
                hint="give another port of [metrics] or with --metrics-port, or end what listens there; the store is "
                "maintained all the same",
            ) from error
        self.address = host, int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="hybridstore-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and close the store."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._observer.close()


@contextmanager
def serving(settings: Settings, on_error: Callable[[Exception], None]) -> Iterator[Endpoint | None]:
    """Answer as long as a block lasts, where a port is set.

    Args:
        settings: The store, and where to listen.
        on_error: Called with why it cannot be done; the block runs all the same.

    Yields:
        What answers; None where nothing does.
    """
    endpoint = None
    if settings.metrics.port:
        try:
            endpoint = Endpoint(settings)
        except HybridStoreError as error:
            on_error(error)
    try:
        yield endpoint
    finally:
        if endpoint is not None:
            endpoint.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
