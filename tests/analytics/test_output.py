"""Answers on a terminal and in files: every digit of money arrives."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from hybridstore.analytics.output import write_result
from hybridstore.analytics.result import Result
from hybridstore.errors import ConfigError
from hybridstore.store import HybridStore

MONEY = Decimal("12345678901234567890.123456789012345678")


@pytest.fixture
def result(store: HybridStore) -> Result:
    query = "SELECT $money::DECIMAL(38, 18) AS money, 'a,\"b' AS text, NULL AS nothing, [1, 2] AS list"
    return store.sql(query, money=f"{MONEY:f}")


def test_csv_keeps_every_digit(result: Result, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(result, "csv", None)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["money", "text", "nothing", "list"], [str(MONEY), 'a,"b', "", "[1, 2]"]]


def test_json_has_money_as_text(result: Result, tmp_path: Path) -> None:
    write_result(result, "json", tmp_path / "out.json")
    (row,) = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    assert row == {"money": str(MONEY), "text": 'a,"b', "nothing": None, "list": [1, 2]}


def test_parquet_goes_to_a_file(result: Result, tmp_path: Path) -> None:
    write_result(result, "parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column("money").to_pylist() == [MONEY]
    with pytest.raises(ConfigError, match="--output"):
        write_result(result, "parquet", None)


def test_a_table_on_a_terminal_says_what_it_leaves_out(
    store: HybridStore, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(store.sql("SELECT i FROM range(1001) r(i)"), "table", None)
    assert "1,000 of 1,001 rows" in capsys.readouterr().out


def test_lengths_of_time_go_out_in_every_form(
    store: HybridStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = store.sql("SELECT INTERVAL '1 day 2 hours' AS held")
    write_result(result, "csv", None)
    assert capsys.readouterr().out == "held\n26:00:00\n"
    write_result(result, "json", None)
    assert capsys.readouterr().out == '[{"held":"P1DT7200S"}]\n'
    write_result(result, "parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column("held").to_pylist() == [timedelta(days=1, hours=2)]


def test_markup_in_text_is_text(store: HybridStore, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(store.sql("SELECT '[red]x[/]' AS \"[b]\""), "table", None)
    printed = capsys.readouterr().out
    assert "[red]x[/]" in printed
    assert "[b]" in printed
