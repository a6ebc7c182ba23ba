"""How an account did, on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
FIRST_US = 20_000 * DAY_US
EQUITY = (100, 110, 121, 60, 66)
CLOSES = (50, 55, 55, 44, 44)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An account of five days; half of it was withdrawn on the fourth."""
    folder = tmp_path / "store"
    clock = ManualClock(FIRST_US)
    with HybridStore(folder, clock=clock) as store:
        for number, (equity, close) in enumerate(zip(EQUITY, CLOSES, strict=True)):
            at_us = FIRST_US + number * DAY_US
            clock.set(at_us)
            if number == 3:
                store.record_ledger_entries([("default", "w", "withdrawal", "USDT", -61, None, at_us - 1)])
            store.record_balance_update("USDT", equity, 0, "test")
            store.record_candles([("BTC/USDT", "1d", at_us - DAY_US, close, close, close, close, 1)])
            store.record_portfolio_snapshot(taken_at=at_us)
    return folder


def test_figures_are_shown_with_their_money(root: Path, run: Run) -> None:  # noqa: F811
    code, out, err = run("performance", "--root", str(root), "--benchmark", "BTC/USDT", "--definitions")
    said = " ".join(out.split())
    assert code == 0, err
    for told in (
        "default from 2024-10-04 to 2024-10-07, 4 days, in USDT, beside BTC/USDT",
        "deposits less withdrawals │ -61",
        "profit │ 27",
        "33.10%",
        "-12.00%",
        "product of (1 + daily return) - 1",
        "told from 90 days on",
    ):
        assert told in said, (told, said)


def test_programs_get_everything(root: Path, run: Run) -> None:  # noqa: F811
    arguments = ("performance", "--root", str(root), "--benchmark", "BTC/USDT=2")
    code, out, _ = run(*arguments, "--json")
    found = json.loads(out)
    figures = {one["figure"]["name"]: one["value"] for one in found["figures"]}
    assert (code, found["profit"]) == (0, "27")
    assert figures["total_return"] == pytest.approx(1.1**3 - 1)
    assert figures["benchmark_return"] == pytest.approx(44 / 50 - 1)
    assert figures["sharpe"] is None
    for _ in range(2):
        assert run(*arguments, "--record", "--json")[1] == out
    with HybridStore(root) as store:
        kept = "SELECT scope, period, benchmark, metric, definition, value, observations FROM performance_metrics"
        recorded = {row[3]: row for row in store.sql(kept).rows()}
    assert recorded["total_return"] == (
        "default", "2024-10-04/2024-10-07", "BTC/USDT", "total_return", "total_return/1",
        figures["total_return"], 4,
    )  # fmt: skip
    assert recorded.keys() == figures.keys()
    code, out, _ = run(*arguments, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["day"] for row in rows] == ["2024-10-04", "2024-10-05", "2024-10-06", "2024-10-07"]
    assert [float(row["ret"]) for row in rows] == pytest.approx([0.1, 0.1, 0.0, 0.1])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--account", "nobody"), "there are not two snapshots of 'nobody'"),
        (("--benchmark", "BTC/USDT=much"), "give weights as"),
        (("--benchmark", "NONE/USDT"), "there are no candles of NONE/USDT"),
        (("--start", "yesterday"), "yesterday"),
    ],
)
def test_what_cannot_be_answered_is_said(root: Path, run: Run, arguments: tuple[str, ...], told: str) -> None:  # noqa: F811
    code, _, err = run("performance", "--root", str(root), *arguments)
    assert (code, told in " ".join(err.split())) == (1, True), err
