"""Reading the logs of a store, and waiting for what its thread writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybridstore.hot.journal import TRANSACTIONS_NAME

PATIENCE_S = 20


def lines(root: Path, name: str = TRANSACTIONS_NAME) -> list[dict[str, Any]]:
    """Read a log, the files that were set aside first."""
    log = root / "logs" / name
    older = sorted(log.parent.glob(f"{name}.*"), key=lambda path: -int(path.suffix[1:]))
    text = "".join(path.read_text(encoding="utf-8") for path in [*older, log] if path.exists())
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def of_event(found: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in found if line["event"] == event]


def wait_until(holds: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, "it never came true"
        time.sleep(0.01)
