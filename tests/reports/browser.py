"""A real browser, driven over WebDriver: Debian's chromium and chromedriver, or what the environment names."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = "chromium", "chromedriver"
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip
_START_S = 20.0


def missing() -> str | None:
    """Say what is missing; None where a page can be looked at."""
    absent = [name for name in (CHROMIUM, DRIVER) if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (Debian: chromium, chromium-driver)" if absent else None


class Browser:
    """One window.

    Args:
        base: Where its driver listens.
        capabilities: What it shall be able to do.
    """

    def __init__(self, base: str, capabilities: dict[str, Any]) -> None:
        self._base = base
        begun = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{begun['sessionId']}"

    def open(self, path: Path) -> None:
        """Load a file."""
        self._call("POST", f"{self._session}/url", {"url": path.absolute().as_uri()})

    def run(self, script: str) -> Any:
        """Run the body of a function in the page; return what it returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of Chrome's own protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what was logged since it was asked for last: ``browser`` or ``performance``."""
        entries: list[dict[str, Any]] = self._call("POST", f"{self._session}/se/log", {"type": kind})
        return entries

    def show(self, width: int, *, scheme: str = "light", media: str = "screen") -> None:
        """Give the page a width, a colour scheme and a medium."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)

    def print_pages(self) -> bytes:
        """Return the page as PDF."""
        return base64.b64decode(self.command("Page.printToPDF", printBackground=True)["data"])

    def close(self) -> None:
        """Close the window."""
        self._call("DELETE", self._session, None)

    def _call(self, method: str, path: str, content: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(  # noqa: S310  the driver, on loopback
            self._base + path,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  the same
            return json.loads(answer.read())["value"]


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, on loopback alone; end it with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}", "--allowed-ips=127.0.0.1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(profile)},
    )  # fmt: skip
    try:
        _wait_for(port)
        browser = Browser(
            f"http://127.0.0.1:{port}",
            {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "goog:chromeOptions": {
                    "binary": shutil.which(CHROMIUM),
                    "args": [*_ARGUMENTS, f"--user-data-dir={profile}"],
                },
            },
        )
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(20)


def _wait_for(port: int) -> None:
    end_s = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end_s, "the driver does not start"
            time.sleep(0.05)
        else:
            return
