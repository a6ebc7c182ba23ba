"""Flips, cuts, swaps and losses in every kind of file: a wrong answer is never given in silence.

A store whose pages have checksums is damaged and asked everything. It must answer right, refuse, or say that it does
not hold what it had held.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import HybridStoreError
from hybridstore.hot.watermark import Watermark

NOW_US = 20_600 * DAY_US + DAY_US // 3
_PATIENCE_S = 20.0
_QUESTIONS = {
    "market_trades": "SELECT count(*), count(DISTINCT trade_id), sum(price), min(traded_at) FROM market_trades",
    "trades": "SELECT count(*), sum(amount), sum(quote_amount), sum(realized_pnl) FROM trades",
    "ledger": "SELECT count(*), sum(amount), max(occurred_at) FROM ledger",
    "balance_history": "SELECT count(*), sum(balance), sum(hold_trade) FROM balance_history",
    "balances": "SELECT asset, balance FROM balances ORDER BY asset",
    "positions": "SELECT symbol, amount, entry_price FROM positions ORDER BY symbol",
}
_IRRELEVANT = ("logs", "cache", "backups", "leases")
Answer = dict[str, Any]


def open_store(root: Path, clock_us: int) -> HybridStore:
    """Open a store with checksums on its pages."""
    config = DatabaseConfig(
        database_path=str(root / DATABASE_NAME), page_checksums=True, enable_logs=False, reserve_mb=0
    )
    return HybridStore(config=config, clock=ManualClock(clock_us), maintenance="off")


def ask(store: HybridStore) -> Answer:
    """Ask everything: over all tiers, and on the hot path."""
    found: Answer = {name: store.sql(question).rows() for name, question in _QUESTIONS.items()}
    for asset in ("BTC", "USDT"):
        balance = store.get_latest_balance(asset)
        found[f"latest {asset}"] = None if balance is None else balance.balance
    found["open"] = [(one.symbol, one.amount, one.entry_cost) for one in store.get_open_positions()]
    found["files"] = store.retention.verify()
    return found


def _write(store: HybridStore, rng: random.Random, number: int, at_us: int) -> None:
    store.record_market_trades(
        [
            ("BTC/USDT", number * 100 + place, str(100 + place), "0.5", "buy", at_us + place)
            for place in range(60)
        ]
    )
    store.record_fill(
        "ETH/USDT:USDT", "buy", str(100 + number), "2", trade_id=f"f-{number}", executed_at=at_us
    )
    store.record_balance_update("BTC", Decimal(rng.randrange(1, 10**9)).scaleb(-4), changed_at=at_us)
    store.record_balance_update("USDT", Decimal(rng.randrange(1, 10**9)).scaleb(-2), changed_at=at_us)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path, Answer, int]:
    """Return a store that was closed, the same as a killed process leaves it, an older copy, and the answer."""
    folder, rng = tmp_path_factory.mktemp("stores"), random.Random(7)
    root, now_us = folder / "live", NOW_US - 500 * DAY_US
    with open_store(root, now_us) as store:
        clock: Any = store.database.clock
        for number in range(14):
            _write(store, rng, number, clock.now_us())
            clock.advance(40 * DAY_US)
            store.retention.run()
            if number == 8:
                wait_for_watermark(store)
                shutil.copytree(root, folder / "older")
        for number in range(14, 20):
            _write(store, rng, number, clock.now_us())
            clock.advance(1_000_000)
        wait_for_watermark(store)
        now_us = clock.now_us()
        expected = ask(store)
        shutil.copytree(root, folder / "killed")
    tiers = {path.parent.parent.parent.parent.name for path in (root / "archives").rglob("*.parquet")}
    assert expected["files"] > 6, tiers
    return [root, folder / "killed"], folder / "older", expected, now_us


def wait_for_watermark(store: HybridStore) -> None:
    """Wait until the watermark knows of the last commit, so that losing it is noticed."""
    seq = store.database.readers.rows(store.database.statements["commit_position"])[0][0]
    deadline_s = time.monotonic() + _PATIENCE_S
    while (position := Watermark(store.root).read()) is None or position.seq < seq:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def _zero(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content)) // 512 * 512
    content[at : at + 512] = bytes(len(content[at : at + 512]))
    path.write_bytes(content)


def _append(path: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.choice((1, 512, 4_096))))


def _delete(path: Path, _rng: random.Random) -> None:
    path.unlink()


_DAMAGES = (_flip, _flip, _flip, _cut, _zero, _append, _delete)


def damage(root: Path, older: Path, rng: random.Random) -> str:
    """Damage a file, exchange two, or put one back as it was; return what was done."""
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and path.stat().st_size and path.relative_to(root).parts[0] not in _IRRELEVANT
    )
    # Every kind of file as often as any other, not the many archived ones most of the time.
    kind = rng.choice(sorted({path.suffix or path.name for path in files}))
    path = rng.choice([path for path in files if (path.suffix or path.name) == kind])
    name = path.relative_to(root)
    way = rng.randrange(len(_DAMAGES) + 2)
    if way < len(_DAMAGES):
        _DAMAGES[way](path, rng)
        return f"{_DAMAGES[way].__name__} {name}"
    if way == len(_DAMAGES):
        other = rng.choice([one for one in files if (one.suffix or one.name) == kind])
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)
        return f"swap {name} and {other.relative_to(root)}"
    before = older / name
    if before.exists():
        shutil.copy2(before, path)
    return f"put back an older {name}"


def outcome(root: Path, expected: Answer, now_us: int) -> str:
    """Ask a damaged store; return how it went."""
    try:
        with open_store(root, now_us) as store:
            found = ask(store)
            told = [report for report in store.database.guards() if report.state != "ok"]
    except HybridStoreError:
        return "refused"
    if found == expected:
        return "right"
    return "told" if told else f"WRONG: {[name for name in expected if found[name] != expected[name]]}"


def _damage_many(folder: Path, stores: Any, rng: random.Random, times: int) -> None:
    roots, older, expected, now_us = stores
    found: Counter[str] = Counter()
    for _ in range(times):
        root = folder / "damaged"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(rng.choice(roots), root)
        what = damage(root, older, rng)
        how = outcome(root, expected, now_us)
        assert not how.startswith("WRONG"), f"{what}: {how}"
        found[how] += 1
    print(f"{times} damages: {dict(found)}")
    assert min(found["refused"], found["right"]) > 0


def test_what_is_not_damaged_answers_right(tmp_path: Path, stores: Any) -> None:
    roots, _, expected, now_us = stores
    for number, root in enumerate(roots):
        shutil.copytree(root, tmp_path / str(number))
        assert outcome(tmp_path / str(number), expected, now_us) == "right"


@pytest.mark.timeout(300)
def test_damage_gives_no_wrong_answer(tmp_path: Path, stores: Any, rng: random.Random) -> None:
    _damage_many(tmp_path, stores, rng, 60)


@pytest.mark.soak
@pytest.mark.timeout(10_800)
def test_ten_thousand_damages_give_no_wrong_answer(tmp_path: Path, stores: Any, rng: random.Random) -> None:
    _damage_many(tmp_path, stores, rng, 10_000)
