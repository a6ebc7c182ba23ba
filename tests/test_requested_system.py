"""The snippets of the requested system run as they are written, but for the path they import from."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
from decimal import Decimal
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

import hybridstore
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.store import HybridStore

REPOSITORY = Path(__file__).resolve().parent.parent
VARIABLE = "HYBRIDSTORE_REQUESTED_SYSTEM"


@pytest.fixture(scope="module")
def document() -> str:
    """Return the text of the requested system; the test skips, saying so, where it is absent."""
    default = REPOSITORY.parent / "shared" / "mission" / "requested-system.md"
    path = Path(os.environ.get(VARIABLE) or default)
    if not path.is_file():
        pytest.skip(f"the document of the requested system is absent: {path} is no file (set {VARIABLE})")
    return path.read_text(encoding="utf-8")


def snippet(document: str, heading: str) -> str:
    """Return the first Python block below a heading."""
    section = document.split(f"\n{heading}\n", 1)[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None, heading
    return found[1]


def run(text: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a snippet with top-level ``await``; return the names it leaves."""
    ours = re.sub(r"\bsrc\.storage(\.integration_example)?\b", "hybridstore", text)
    code = compile(ours, "<requested system>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)

    async def execute() -> None:
        result = FunctionType(code, names)()
        if inspect.isawaitable(result):
            await result

    asyncio.run(execute())
    return names


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is every store's root by default."""
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "trading_data"))
    return tmp_path / "trading_data"


def test_basic_usage(document: str, root: Path) -> None:
    names = run(snippet(document, "### Basic Usage"), {"Decimal": Decimal})
    balance = names["balance"]
    assert (balance.asset, balance.source) == ("USDT", "websocket")
    assert (balance.balance, balance.hold_trade) == (Decimal("1000.50"), Decimal("50.25"))
    assert balance.available == Decimal("950.25")
    assert names["db_manager"].path == root / "trading_bot.db"
    names["db_manager"].shutdown()
    with HybridStore(root) as store:
        assert store.get_latest_balance("USDT") == balance
        history = store.database.readers.rows(
            "SELECT asset, balance, hold_trade, source FROM balance_history"
        )
        assert history == [("USDT", "1000.5", "50.25", "websocket")]


def test_complete_integration(document: str, root: Path) -> None:
    names = run(snippet(document, "### Complete Integration"), {"Decimal": Decimal})
    latest, summary, report = names["latest_balance"], names["portfolio_summary"], names["performance_report"]
    assert (latest.balance, latest.hold_trade) == (Decimal("0.5"), 0)
    assert summary.account == "default"
    assert {test["test"] for test in report["tests"]} >= {"latest_balance", "durable_write"}
    assert report["overall_status"] in {"optimal", "degraded"}
    assert isinstance(names["storage"], TradingBotStorageSystem)
    assert not names["storage"].store.database.is_open, "the block closed it"
    with HybridStore(root) as store:
        assert store.get_latest_balance("BTC") == latest
        (position,) = store.get_open_positions()
        assert (position.position_id, position.symbol, position.side) == ("pos_001", "BTC/USDT", "LONG")
        assert position.amount == Decimal("0.1")
        assert (position.entry_price, position.mark_price) == (Decimal(45000), Decimal(45500))
        assert position.unrealized_pnl == 50


def test_every_name_the_quick_start_imports_is_public(document: str) -> None:
    quick_start = document.split("## Quick Start", 1)[1].split("\n## ", 1)[0]
    wanted = {
        name.strip()
        for names in re.findall(r"^from src\.storage[\w.]* import (.+)$", quick_start, re.MULTILINE)
        for name in names.split(",")
    }
    assert wanted
    assert wanted <= set(hybridstore.__all__)
