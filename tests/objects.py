"""A loopback object store: moto, which imitates S3 in memory and honours If-None-Match, with faults in front of it.

It is no S3. What it shows is that the requests are those of the S3 protocol, and what is done about answers that are
late, lost, wrong, or not there. A real server is used, too, where one is named (HYBRIDSTORE_TEST_S3_URL).
"""

from __future__ import annotations

import logging
import os
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "archive"
REAL_VARIABLE = "HYBRIDSTORE_TEST_S3_URL"
Environment = dict[str, Any]
Application = Callable[[Environment, Any], Iterable[bytes]]
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "us-east-1",
}


class ObjectServer:
    """The server: its address, what it was asked, and what is wrong with it.

    Attributes:
        url: Of the bucket, as ``archive_url`` takes it.
        asked: Method and path of each request, in order.
        fault: Called before each request; may change it, or answer in place of the store by returning content.
    """

    def __init__(self) -> None:
        self.url = f"s3://{BUCKET}/of/one bot"
        self.asked: list[tuple[str, str]] = []
        self.fault: Callable[[Environment], bytes | None] | None = None
        self.lose_answers = 0
        self._store: Application = DomainDispatcherApplication(create_backend_app)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._request("POST", f"{self.endpoint}/moto-api/reset")  # what it keeps belongs to the process
        self._request("PUT", f"{self.endpoint}/{BUCKET}")

    def _answer(self, environment: Environment, respond: Any) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        self.asked.append((method, path))
        if self.fault is not None and (content := self.fault(environment)) is not None:
            respond("200 OK", [("Content-Length", str(len(content))), ("ETag", '"x"'), *_DATED])
            return [content]
        if self.lose_answers and method == "PUT":
            self.lose_answers -= 1
            list(self._store(environment, lambda *_: None))
            respond("503 Slow Down", [("Content-Length", "0")])
            return []
        return self._store(environment, respond)

    @staticmethod
    def _request(method: str, url: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:  # noqa: S310  loopback
            content: bytes = answer.read()
            return content

    def stop(self) -> None:
        """Stop to answer. A second call does nothing."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def real_url() -> str:
    """Return a place of one's own in a real S3-compatible store; the test skips, saying so, where none is named."""
    url = os.environ.get(REAL_VARIABLE)
    if not url:
        pytest.skip(
            f"no real S3-compatible server is named (set {REAL_VARIABLE}=s3://bucket/prefix, and AWS_*)"
        )
    return f"{url}/{uuid.uuid4().hex}"


_DATED = (("Last-Modified", "Thu, 08 Aug 2024 00:00:00 GMT"),)


@contextmanager
def object_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Start a server, and let the environment say where it is."""
    server = ObjectServer()
    for name, value in (_ENVIRONMENT | {"AWS_ENDPOINT_URL": server.endpoint}).items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    try:
        yield server
    finally:
        server.stop()
