"""The whole demo: what SQL says before and after the move is what the input says, to the last digit."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq
import pytest

from hybridstore.demo.bot import OPENING_CASH
from hybridstore.demo.market import Quote
from hybridstore.demo.recorded import read_market
from hybridstore.demo.run import DemoResult, run_demo
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.position import PositionState, apply_fill, apply_mark
from hybridstore.reports.page import PAGE_BYTES_MAX
from hybridstore.reports.plain import json_text
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRADES = "hftbacktest_binance_trades_20240808_09.parquet"
QUOTES = "hftbacktest_binance_bookticker_20240808_09.parquet"
NAMES = {
    ("spot", "BTCUSDT"): "BTC/USDT",
    ("spot", "ETHUSDT"): "ETH/USDT",
    ("usdm", "BTCUSDT"): "BTC/USDT:USDT",
    ("usdm", "ETHUSDT"): "ETH/USDT:USDT",
    ("cm", "BTCUSD_PERP"): "BTC/USD:BTC",
    ("cm", "ETHUSD_PERP"): "ETH/USD:ETH",
}
SECONDS_MAX = 60


@pytest.fixture(scope="module")
def recorded(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    """One run over the recorded Binance files."""
    root = tmp_path_factory.mktemp("recorded") / "demo"
    return run_demo(root, [test_data / "trades"], progress=False)


@pytest.fixture(scope="module")
def left_store(recorded: DemoResult) -> Iterator[HybridStore]:
    """The store the run left, opened again as anybody would."""
    with HybridStore(recorded.root) as store:
        yield store


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    """One run over the simulated market."""
    return run_demo(tmp_path_factory.mktemp("simulated") / "demo", progress=False)


def input_totals(folder: Path) -> dict[str, tuple[int, Decimal, Decimal]]:
    """Count and add up the recorded trades straight from the text of the file."""
    columns = ["market", "symbol", "price", "qty"]
    table = pq.read_table(folder / "trades" / TRADES, columns=columns)
    totals: dict[str, tuple[int, Decimal, Decimal]] = {}
    for market, symbol, price, amount in zip(*(table[name].to_pylist() for name in columns), strict=True):
        number, amounts, notional = totals.get(NAMES[market, symbol], (0, Decimal(0), Decimal(0)))
        exact = Decimal(amount)
        totals[NAMES[market, symbol]] = (number + 1, amounts + exact, notional + Decimal(price) * exact)
    return totals


def totals_of(rows: Any) -> dict[str, tuple[int, Decimal, Decimal]]:
    return {row[0]: row[1:4] for row in rows}


def test_sql_totals_are_those_of_the_input_before_and_after_the_move(
    recorded: DemoResult, test_data: Path
) -> None:
    expected = input_totals(test_data)
    assert sum(number for number, _, _ in expected.values()) == 78_638
    proof = next(proof for proof in recorded.proofs if proof.name == "proof_market_trades")
    assert totals_of(proof.before) == expected
    assert totals_of(proof.after) == expected


def test_the_store_it_leaves_answers_the_same(
    recorded: DemoResult, left_store: HybridStore, test_data: Path
) -> None:
    proof = next(proof for proof in recorded.proofs if proof.name == "proof_market_trades")
    assert totals_of(left_store.sql(proof.sql).rows()) == input_totals(test_data)
    datasets = left_store.get_system_status()["datasets"]
    assert datasets["market_trades"] == {"hot_rows": 0, "archived_rows": 78_638}
    assert datasets["trades"]["hot_rows"] == 0


def test_every_check_holds_and_every_answer_is_identical(recorded: DemoResult) -> None:
    assert [check for check in recorded.checks if not check.passed] == []
    assert recorded.passed
    assert [proof.name for proof in recorded.proofs if not proof.identical] == []
    assert len(recorded.proofs) == 8
    assert all(proof.before for proof in recorded.proofs)


def test_every_event_was_processed_in_time(recorded: DemoResult) -> None:
    assert (recorded.market_trades, recorded.quotes) == (78_638, 252_013)
    assert 300 <= recorded.fills <= 5_000
    assert recorded.seconds["total"] < SECONDS_MAX
    rows = {row.operation: row.rows for row in recorded.latencies}
    assert rows["record_market_trades"] == 78_638
    assert rows["record_marks"] == 252_013
    assert rows["record_fill"] == recorded.fills
    assert all(row.p50_us <= row.p99_us <= row.max_us for row in recorded.latencies)


def test_archived_trades_take_five_bytes(recorded: DemoResult) -> None:
    size = {(row.dataset, row.tier): row for row in recorded.tiers}["market_trades", "warm"]
    assert size.size_bytes is not None
    assert size.size_bytes / size.rows <= 5.0


def test_balances_are_what_the_fills_made_of_the_opening_cash(left_store: HybridStore) -> None:
    balances = defaultdict(Decimal, USDT=OPENING_CASH)
    fills = left_store.sql("SELECT symbol, side, amount, quote_amount, fee, realized_pnl FROM trades").rows()
    for symbol, side, amount, quote_amount, fee, realized in fills:
        balances["USDT"] -= fee
        if ":" in symbol:
            balances["USDT"] += realized
        else:
            sign = 1 if side == "buy" else -1
            balances["USDT"] -= sign * quote_amount
            balances[symbol.partition("/")[0]] += sign * amount
    assert {balance.asset: balance.balance for balance in left_store.get_all_balances()} == balances
    booked = dict(left_store.sql("SELECT asset, sum(amount) FROM ledger GROUP BY asset").rows())
    assert booked == balances


def test_the_latest_balance_outlives_its_archived_history(left_store: HybridStore) -> None:
    history = left_store.sql(
        "SELECT count(*), arg_max(balance, id) FROM balance_history WHERE asset = 'USDT'"
    ).rows()
    assert left_store.get_system_status()["datasets"]["balance_history"]["hot_rows"] == 0
    latest = left_store.get_latest_balance("USDT")
    assert latest is not None
    assert latest.balance == history[0][1]


def test_every_quote_became_the_mark_of_its_positions(left_store: HybridStore, test_data: Path) -> None:
    """Best and worst excursions of every position are those of all quotes between its fills, none left out."""
    rows = left_store.sql(
        "SELECT symbol, executed_at, side, price, amount, fee FROM trades ORDER BY id"
    ).rows()
    fills = {
        (symbol, round(executed_at.timestamp() * 1e6)): FillInput(side, price, amount, fee_in_quote=fee)
        for symbol, executed_at, side, price, amount, fee in rows
    }
    assert len(fills) == len(rows)
    held: dict[str, PositionState] = {}
    closed: list[PositionState] = []
    quotes = (
        event
        for events in read_market([test_data / "trades" / QUOTES]).batches()
        for event in events
        if isinstance(event, Quote)
    )
    for quote in quotes:
        if quote.symbol in held:
            held[quote.symbol] = apply_mark(held[quote.symbol], (quote.bid + quote.ask) / 2)
        fill = fills.get((quote.symbol, quote.received_us))
        if fill is None or fill.price not in {quote.bid, quote.ask}:
            continue
        del fills[quote.symbol, quote.received_us]
        change = apply_fill(held.pop(quote.symbol, None), fill)
        if change.before is not None and change.before.status == "CLOSED":
            closed.append(change.before)
        opened = change.opened or change.before
        if opened is not None and opened.status == "OPEN":
            held[quote.symbol] = opened
    assert fills == {}
    expected = [
        (state.max_favourable, state.max_adverse, state.realized_pnl) for state in [*closed, *held.values()]
    ]
    stored = left_store.sql("SELECT max_favourable, max_adverse, realized_pnl FROM positions").rows()
    assert sorted(stored) == sorted(expected)


def test_marks_are_the_last_quotes(left_store: HybridStore, test_data: Path) -> None:
    columns = ["market", "symbol", "bid", "ask", "local_ns"]
    table = pq.read_table(test_data / "trades" / QUOTES, columns=columns)
    last: dict[str, tuple[int, Decimal, Decimal]] = {}
    for market, symbol, bid, ask, local_ns in zip(
        *(table[name].to_pylist() for name in columns), strict=True
    ):
        name = NAMES[market, symbol]
        if name not in last or local_ns >= last[name][0]:
            last[name] = (local_ns, Decimal(bid), Decimal(ask))
    marks = {name: left_store.get_mark(name) for name in last}
    assert {name: (mark.bid, mark.ask) for name, mark in marks.items() if mark} == {
        name: (bid, ask) for name, (_, bid, ask) in last.items()
    }


def test_the_page_is_written(recorded: DemoResult, tmp_path_factory: pytest.TempPathFactory) -> None:
    from pathlib import Path

    page = Path(recorded.report)
    assert 20_000 < page.stat().st_size <= PAGE_BYTES_MAX
    html = page.read_text(encoding="utf-8")
    assert f"All {len(recorded.checks)} checks hold" in html
    assert "27,006,929.5910348" in html  # price times amount of spot BTC


def test_a_simulated_run_holds_and_the_command_line_repeats_it(simulated: DemoResult, tmp_path: Path) -> None:
    assert simulated.passed
    assert (simulated.market_trades, simulated.quotes) == (20_000, 60_000)
    assert simulated.fills > 100
    command = [sys.executable, "-m", "hybridstore", "demo", "--json", "--root", str(tmp_path / "demo")]
    ended = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    again = msgspec.json.decode(ended.stdout)
    first = msgspec.json.decode(json_text(simulated))
    for told in ("source", "market_trades", "quotes", "fills", "books", "proofs", "checks", "passed"):
        assert again[told] == first[told], told
