"""A demo's result on a terminal, also on one that knows few characters."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from hybridstore.demo.run import DemoResult
from hybridstore.demo.show import show_demo, spell
from hybridstore.reports.collect import Books
from hybridstore.reports.data import Check
from tests.reports.sample import HOSTILE, sample_report

if TYPE_CHECKING:
    from hybridstore.reports.data import MoveFigures


@pytest.fixture
def result() -> DemoResult:
    data = sample_report()
    assert data.move is not None
    move: MoveFigures = data.move
    return DemoResult(
        root="/data/[demo]",
        report="/data/[demo]/report.html",
        source=f"[red]{HOSTILE}",
        market_trades=78_638,
        quotes=252_013,
        fills=806,
        seconds={"total": 10.5},
        books=Books(data.equity, data.symbols, data.positions, data.balances),
        latencies=data.latencies,
        tiers=data.tiers,
        move=move,
        proofs=data.proofs,
        checks=data.checks,
        passed=True,
    )


def shown(result: DemoResult, encoding: str) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="\n") as stream:
        show_demo(result, Console(file=stream, width=100))
        stream.flush()
        return raw.getvalue().decode(encoding)


def test_what_was_measured_and_proved_is_told(result: DemoResult) -> None:
    text = shown(result, "utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "78,638 market trades and 252,013 quotes recorded, 806 fills on paper, 10.5 s in all" in text
    assert "153,846 rows per second, 5.00 bytes per row" in " ".join(text.split())
    assert "310.2 µs   900.5 µs    2.10 ms" in text
    assert text.count("holds") == 2
    assert "\N{MINUS SIGN}12.34" in text


def test_names_are_printed_as_they_are(result: DemoResult) -> None:
    text = shown(result, "utf-8")
    assert f"[red]{HOSTILE}" in text
    assert "hybridstore status --root /data/[demo]\n" in text


def test_a_check_that_fails_stands_out(result: DemoResult) -> None:
    check = Check("The ledger adds up", "USDT differs by 1", passed=False)
    assert "FAILS  The ledger adds up" in shown(msgspec.structs.replace(result, checks=(check,)), "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_an_old_encoding_is_no_error(result: DemoResult, encoding: str) -> None:
    text = shown(result, encoding)
    assert "-12.34" in text
    assert "?" not in text


def test_only_what_cannot_be_said_is_changed() -> None:
    assert spell("8 µs \N{MINUS SIGN}1", "utf-8") == "8 µs \N{MINUS SIGN}1"
    assert spell("8 µs \N{MINUS SIGN}1 \N{SNOWMAN}", "ascii") == "8 us -1 ?"
