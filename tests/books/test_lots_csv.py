"""Lots as people get them: the tax export, and the command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore import HybridStore, cli
from hybridstore.books.lots_csv import DISPOSAL_COLUMNS, TOTAL_COLUMNS, write_disposals
from hybridstore.errors import ConfigError
from hybridstore.portfolio.lots import LotTotals
from hybridstore.portfolio.lots_records import METHODS, Disposal
from hybridstore.portfolio.money import total
from tests.books.own_fills import SPOT, open_own_store, told


@pytest.fixture
def store(tmp_path: Path) -> HybridStore:
    """An open store with three purchases and two sales over three years."""
    return open_own_store(tmp_path / "store")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_columns_are_the_fields() -> None:
    assert sorted(DISPOSAL_COLUMNS) == sorted(["account", *Disposal.__struct_fields__])
    assert sorted(TOTAL_COLUMNS) == sorted(["account", *LotTotals.__struct_fields__])


def test_the_export_has_every_digit_and_adds_up(store: HybridStore, tmp_path: Path) -> None:
    with store:
        lots = store.books.lots(method=METHODS)
    lots.write_disposals(tmp_path / "disposals.csv")
    lots.write_totals(str(tmp_path / "totals.csv"))
    rows = rows_of((tmp_path / "disposals.csv").read_text(encoding="utf-8"))
    assert [Decimal(row["amount"]) for row in rows] == [one.amount for one in lots.disposals]
    assert [datetime.fromisoformat(row["disposed_at"]) for row in rows] == [
        one.disposed_at for one in lots.disposals
    ]
    totals = rows_of((tmp_path / "totals.csv").read_text(encoding="utf-8"))
    for row in totals:
        mine = [one for one in rows if (one["plan"], one["year"]) == (row["plan"], row["year"])]
        assert total(Decimal(one["gain_net"]) for one in mine) == Decimal(row["gain_net"])
    assert b"\r" not in (tmp_path / "disposals.csv").read_bytes()


def test_no_text_becomes_a_formula_or_a_row(store: HybridStore) -> None:
    with store:
        (one, *_) = [one for one in store.books.lots().disposals if one.trade_id == "t4"]
    assert one.strategy == "=cmd()"
    hostile = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", 'a"b,c', "two\nlines", "plain"]
    given = [
        Disposal(**{**one, "strategy": text, "cost": Decimal("-1E+3"), "gain": Decimal("1E-18")})
        for text in hostile
    ]
    text = io.StringIO()
    write_disposals("@me", given, text)
    rows = rows_of(text.getvalue())
    assert len(text.getvalue().splitlines()) == 1 + len(hostile)
    expected = ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "' =1", "' =1", 'a"b,c', "two lines", "plain"]
    assert [row["strategy"] for row in rows] == expected
    assert {row["account"] for row in rows} == {"'@me"}
    assert {(row["cost"], row["gain"]) for row in rows} == {("-1000", "0.000000000000000001")}


def test_a_file_that_cannot_be_written_is_named(store: HybridStore, tmp_path: Path) -> None:
    with store:
        lots = store.books.lots()
    with pytest.raises(ConfigError, match="nowhere"):
        lots.write_disposals(tmp_path / "nowhere" / "x.csv")


# -- the command line ----------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(store: HybridStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``hybridstore lots`` on the store; returns exit code, standard output, standard error."""
    with store:
        root = str(store.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["hybridstore", "lots", "--root", root, *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_table_shows_disposals_lots_and_totals(run: Run) -> None:
    code, out, _ = run("--method", "FIFO", "HIFO", "--by-year", "2025=LIFO")
    assert code == 0
    for words in ("Disposals", "Open lots", "Years", "Totals", "FIFO: LIFO", "2024-07-01", "BNB 0.005"):
        assert words in out
    assert "no known cost" not in out


def test_a_sale_without_a_cost_is_a_warning(run: Run, store: HybridStore) -> None:
    with store:
        told(store, 6, "sell", "9", "400", "2025-09-01")
    _, out, _ = run("--totals", "--method", "FIFO", "LIFO")
    assert out.count("no known cost") == 1
    assert "Disposals" not in out


def test_csv_is_the_export(run: Run, store: HybridStore, tmp_path: Path) -> None:
    with store:
        lots = store.books.lots(method="HIFO", until="2025-01-01T00:00:00Z")
    file = tmp_path / "out.csv"
    options = ("--method", "hifo", "--at", "2025-01-01T00:00:00Z")
    assert run(*options, "--csv", "-o", str(file)) == (0, "", "")
    _, out, _ = run(*options, "--csv")
    assert out == file.read_text(encoding="utf-8")
    assert [row["trade_id"] for row in rows_of(out)] == [one.trade_id for one in lots.disposals]
    _, out, _ = run("--totals", "--csv", "--year", "2024")
    (row,) = rows_of(out)
    assert (row["year"], row["gain_net"]) == ("2024", "299.6991")


def test_json_has_every_digit(run: Run) -> None:
    _, out, _ = run("--json", "--symbol", SPOT)
    answer = json.loads(out)
    assert [one["trade_id"] for one in answer["disposals"]] == ["t1", "t4", "t4", "t5"]
    assert answer["totals"][0]["gain_net"] == "349.199"
    _, out, _ = run("--json", "--totals")
    assert sorted(json.loads(out)) == ["totals", "years"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--method", "FILO"), "FILO"),
        (("--by-year", "HIFO"), "2025=HIFO"),
        (("--by-year", "25=HIFO"), "by_year=25"),
        (("--json", "--csv"), "one form"),
        (("--at", "noon"), "noon"),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    code, out, error = run(*arguments)
    assert (code, out) == (1, "")
    assert complaint in error
