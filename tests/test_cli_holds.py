"""Holds, certificates and the clock on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from tests.test_cli import run  # noqa: F401  a fixture

START_US = 1_723_161_254_340_863
"""2024-08-08."""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    """A store that was maintained for seven years and a month, and deleted two of three trades."""
    folder, clock = tmp_path / "store", ManualClock(START_US)
    with HybridStore(folder, clock=clock) as store:
        store.record_market_trades(
            [
                ("BTC/USDT", 1, "60000.1", "0.5", "buy", START_US),
                ("BTC/USDT", 2, "60000.2", "0.25", "sell", START_US + 1),
            ]
        )
        clock.advance(30 * DAY_US)
        store.record_market_trades([("BTC/USDT", 3, "60000.3", "1", "sell", clock.now_us())])
        while clock.now_us() < START_US + 7 * 365 * DAY_US + 30 * DAY_US:
            clock.advance(31 * DAY_US)
            store.retention.run()
    return folder


def test_holds_are_placed_shown_and_released(aged: Path, run: Run) -> None:  # noqa: F811  the fixture
    def ask(*arguments: str) -> Any:
        code, out, err = run("retention", *arguments, "--root", str(aged), "--json")
        assert code == 0, err
        return json.loads(out)

    code, out, _ = run("retention", "holds", "--root", str(aged))
    assert (code, "there is no legal hold" in out) == (0, True)
    placed = ask("hold", "trades", "--reason", "case 7", "--by", "counsel", "--start", "2024-01-01T00:00:00Z")
    (held,) = ask("holds")["holds"]
    assert held["hold_id"] == placed["placed"]["hold_id"]
    assert (held["dataset"], held["reason"], held["held_by"], held["end"]) == (
        "trades",
        "case 7",
        "counsel",
        None,
    )
    code, out, _ = run("retention", "hold", "*", "--reason", "all of it", "--root", str(aged))
    assert (code, "* from the beginning for ever (all of it)" in out) == (0, True)
    assert len(ask("holds")["holds"]) == 2
    assert ask("status")["holds"] == 2
    assert ask("release", held["hold_id"], "--by", "counsel")["released"]["released_at"] is not None
    assert len(ask("holds")["holds"]) == 1
    assert len(ask("holds", "--released")["holds"]) == 2
    code, _, err = run("retention", "release", held["hold_id"], "--root", str(aged))
    assert (code, "in force" in err) == (1, True)
    code, _, err = run("retention", "hold", "balances", "--reason", "x", "--root", str(aged))
    assert (code, "has no tiers" in err) == (1, True)


def test_certificates_say_what_was_deleted(aged: Path, run: Run) -> None:  # noqa: F811
    code, out, err = run("retention", "certificates", "--root", str(aged), "--json")
    assert code == 0, err
    (certificate,) = json.loads(out)["certificates"]
    assert (certificate["dataset"], certificate["rows"]) == ("market_trades", 2)
    assert certificate["sums"]["amount"] == "0.75000000"
    code, out, _ = run("retention", "certificates", "--root", str(aged))
    assert "1 certificates, 2 rows" in out
    code, out, _ = run("retention", "certificates", "--root", str(aged), "--csv")
    assert out.splitlines()[1].split(",")[1:3] == ["market_trades", "market_trades"]


def test_a_plan_tells_what_would_be_deleted_and_why_it_is_not(tmp_path: Path, run: Run) -> None:  # noqa: F811
    folder, clock = tmp_path / "store", ManualClock(START_US)
    with HybridStore(folder, clock=clock) as store:
        store.record_market_trades([("BTC/USDT", 1, "20", "0.5", "buy", START_US - 10 * 365 * DAY_US)])
        assert store.retention.run().deleted_rows == 0, "what is told after its time stays for a month"
    code, out, err = run("retention", "plan", "--root", str(folder), "--json")
    assert code == 0, err
    plan = json.loads(out)
    assert plan["planned"] == []
    assert "days after it was last known to be right" in plan["clock_doubt"]
    code, out, _ = run("retention", "plan", "--root", str(folder))
    assert "confirm-clock" in out
    code, out, _ = run("retention", "confirm-clock", "--by", "operator", "--root", str(folder))
    assert (code, "the clock is believed" in out) == (0, True)
    code, out, _ = run("retention", "plan", "--root", str(folder))
    assert "confirm-clock" not in out
    code, out, err = run("retention", "plan", "--root", str(folder), "--json")
    assert [(one["what"], one["rows"]) for one in json.loads(out)["planned"]] == [("delete", 1)]
    code, out, _ = run("retention", "run", "--root", str(folder))
    told = " ".join(out.split())
    assert (code, "1 rows older than their policy keeps were deleted" in told) == (0, True)
