"""Files of rows: each form, guessed and mapped, exact, repeated, refused row by row."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridstore import HybridStore
from hybridstore.errors import ConfigError, InvalidValue, NotFound, UnknownDataset

EXPORT = """Date(UTC),Pair,Side,Price,Executed,Fee,Fee Coin,Total
2026-03-02 10:00:01,BTC-USDT,SELL,64123.12000001,0.00010000,0.0064,USDT,6.41
2026-03-01 10:00:00,BTC-USDT,BUY,64000.1,0.0003,0.00000030,BTC,19.20
2026-03-01 10:00:00,BTC-USDT,BUY,64000.1,0.0003,0.00000030,BTC,19.20
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """Return an empty store."""
    with HybridStore(tmp_path / "store", maintenance="off") as opened:
        yield opened


def file_of(tmp_path: Path, name: str, text: str) -> Path:
    """Write a file."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_export_is_guessed_and_equal_rows_are_two_fills(store: HybridStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, "export.csv", EXPORT)
    report = store.importer.rows(path, dataset="trades", account="binance")

    assert (report.new, report.refused) == (3, ())
    assert store.sql(
        "select side, price, amount, fee, fee_currency, synthetic_id, account from trades order by executed_at, id"
    ).rows() == [
        ("buy", Decimal("64000.1"), Decimal("0.0003"), Decimal("0.0000003"), "BTC", True, "binance"),
        ("buy", Decimal("64000.1"), Decimal("0.0003"), Decimal("0.0000003"), "BTC", True, "binance"),
        ("sell", Decimal("64123.12000001"), Decimal("0.0001"), Decimal("0.0064"), "USDT", True, "binance"),
    ]
    assert store.importer.rows(path, dataset="trades", account="binance").new == 0
    assert store.books.prove("binance").holds


@pytest.mark.parametrize("form", ["json", "jsonl", "parquet", "tsv"])
def test_every_form_keeps_every_digit(store: HybridStore, tmp_path: Path, form: str) -> None:
    rows = [
        {"symbol": "ETH/BTC", "side": "buy", "price": "0.051234567890123456", "amount": "2", "id": str(number),
         "timestamp": 1_772_359_200_000 + number}
        for number in range(3)
    ]  # fmt: skip
    path = tmp_path / f"fills.{form}"
    if form == "parquet":
        pq.write_table(
            pa.Table.from_pylist([{**row, "price": Decimal(str(row["price"]))} for row in rows]), path
        )
    elif form == "tsv":
        lines = ["\t".join(map(str, one)) for one in (rows[0], *(row.values() for row in rows))]
        path.write_text("\n".join(lines))
    else:
        texts = [json.dumps(row).replace('"0.051234567890123456"', "0.051234567890123456") for row in rows]
        path.write_text("\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]")
    report = store.importer.rows(path, dataset="trades")

    assert report.is_clean
    assert store.sql(
        "select trade_id, price, epoch_ms(executed_at), synthetic_id from trades order by 1"
    ).rows() == [
        (str(number), Decimal("0.051234567890123456"), 1_772_359_200_000 + number, False)
        for number in range(3)
    ]


def test_a_mapping_says_what_cannot_be_guessed(store: HybridStore, tmp_path: Path) -> None:
    path = file_of(
        tmp_path, "handel.csv", "Wann;Markt;Was;Kurs;Menge\n01.07.2026 12:00:00;BTCEUR;Kauf;55000;0.5\n"
    )
    mapping = file_of(
        tmp_path,
        "mapping.toml",
        """
        dataset = "trades"
        [columns]
        symbol = { column = "Markt", quotes = ["EUR"] }
        side = { column = "Was", values = { Kauf = "buy", Verkauf = "sell" } }
        price = "Kurs"
        amount = "Menge"
        executed_at = { column = "Wann", format = "%d.%m.%Y %H:%M:%S", zone = "Europe/Berlin" }
        strategy = { value = "by hand" }
        """,
    )
    store.importer.rows(path, mapping)

    assert store.sql("select symbol, side, strategy, executed_at::varchar as at from trades").rows() == [
        ("BTC/EUR", "buy", "by hand", "2026-07-01 10:00:00+00")
    ]


def test_a_guess_can_be_written_and_used(store: HybridStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, "export.csv", EXPORT)
    guessed = store.importer.mapping(path, dataset="trades")
    mapping = file_of(tmp_path, "mapping.toml", guessed.toml)

    assert store.importer.mapping(path, mapping).toml == guessed.toml
    assert store.importer.rows(path, mapping).new == 3


def test_a_row_that_cannot_be_read_keeps_no_other_out(store: HybridStore, tmp_path: Path) -> None:
    text = (
        EXPORT.replace("BTC-USDT,SELL", "BTCUSDT,SELL") + "2026-03-03 10:00:00,BTC-USDT,BUY,-1,1,0,USDT,1\n"
    )
    report = store.importer.rows(file_of(tmp_path, "export.csv", text), dataset="trades")

    assert report.kinds["trades"].new == 2
    assert [(one.part, one.said.split(":")[0]) for one in report.refused] == [
        ("row 1", "symbol='BTCUSDT'"),
        ("row 4", "price=-1"),
    ]
    assert not report.is_clean


def test_ledger_orders_balances_and_funding(store: HybridStore, tmp_path: Path) -> None:
    at = "2026-03-01T10:00:00Z"
    for dataset, row in (
        ("ledger", {"type": "deposit", "asset": "USDT", "amount": "1000.5", "time": at}),
        ("orders", {"symbol": "BTC/USDT", "order_id": "1", "side": "buy", "type": "limit", "status": "open",
                    "amount": "1", "price": "60000", "created_at": at}),
        ("balances", {"asset": "USDT", "balance": "1000.5", "free": "900", "time": at}),
        ("funding", {"symbol": "BTC/USDT:USDT", "amount": "-0.25", "time": at}),
    ):  # fmt: skip
        path = file_of(tmp_path, f"{dataset}.json", json.dumps([row]))
        report = store.importer.rows(path, dataset=dataset)
        assert (dataset, report.new, report.refused) == (dataset, 1, ())
        assert store.importer.rows(path, dataset=dataset).new == 0

    assert store.sql("select type, amount from ledger order by amount").rows() == [
        ("funding", Decimal("-0.25")),
        ("deposit", Decimal("1000.5")),
    ]
    assert store.get_open_orders()[0].order_id == "1"
    balance = store.get_latest_balance("USDT")
    assert balance is not None
    assert balance.available == 900


def test_candles_come_in_batches_and_a_wrong_one_stays_out(store: HybridStore, tmp_path: Path) -> None:
    lines = ["symbol,timeframe,time,open,high,low,close,volume"]
    lines += [
        f"BTC/USDT,1m,{1_772_359_200 + 60 * n},1,2,0.5,{'x' if n == 700 else 1.5},10" for n in range(1_200)
    ]
    path = file_of(tmp_path, "candles.csv", "\n".join(lines))
    done: list[int] = []
    dry = store.importer.rows(path, dataset="candles", dry_run=True)
    report = store.importer.rows(path, dataset="candles", on_progress=done.append)

    assert dry.kinds == report.kinds
    assert report.kinds["candles"].new == 1_199
    assert len(report.refused) == 1
    assert sum(done) == 1_200
    assert store.sql("select count(*) as n from candles").rows() == [(1_199,)]


@pytest.mark.parametrize(
    ("name", "text", "dataset", "mapping", "error", "said"),
    [
        ("a.csv", EXPORT, None, None, InvalidValue, "it is not said what the rows are"),
        ("a.csv", EXPORT, "songs", None, UnknownDataset, "dataset='songs'"),
        ("a.csv", EXPORT, "position_events", None, UnknownDataset, "no rows of it can be imported"),
        ("a.csv", "a,b\n1,2\n", "trades", None, InvalidValue, "no column is said to be symbol, side, price"),
        ("a.csv", "a,a\n1,2\n", "trades", None, InvalidValue, "two columns have one name"),
        ("a.csv", "a,b\n1,2,3\n", "trades", None, InvalidValue, "line 2: 3 values for 2 columns"),
        ("a.csv", "", "trades", None, InvalidValue, "holds no rows"),
        ("a.xls", "x", "trades", None, InvalidValue, "suffix '.xls'"),
        ("a.json", "{", "trades", None, InvalidValue, "no JSON"),
        ("a.json", "{}", "trades", None, InvalidValue, "no JSON array"),
        ("a.jsonl", "[1]", "trades", None, InvalidValue, "line 1: no JSON object"),
        ("a.parquet", "x", "trades", None, InvalidValue, "is no Parquet file"),
        ("a.csv", EXPORT, None, {"dataset": "trades"}, ConfigError, "no \\[columns\\]"),
        ("a.csv", EXPORT, None, {"dataset": "trades", "x": 1}, ConfigError, "unknown key 'x'"),
        ("a.csv", EXPORT, None, {"dataset": "trades", "columns": {"x": "Pair"}}, InvalidValue, "no column 'x'"),
        ("a.csv", EXPORT, None, {"dataset": "trades", "columns": {"side": "X"}}, InvalidValue, "no column 'X'"),
        ("a.csv", EXPORT, "orders", {"dataset": "trades", "columns": {}}, ConfigError, "asked for was 'orders'"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_before_anything_is_recorded(
    store: HybridStore,
    tmp_path: Path,
    name: str,
    text: str,
    dataset: str | None,
    mapping: Any,
    error: Any,
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        store.importer.rows(file_of(tmp_path, name, text), mapping, dataset=dataset)
    assert store.sql("select count(*) as n from trades").rows() == [(0,)]


def test_a_time_without_a_zone_is_refused(store: HybridStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, "export.csv", EXPORT.replace("Date(UTC)", "Date"))
    report = store.importer.rows(path, dataset="trades")

    assert report.new == 0
    assert "its zone is not told" in report.refused[0].said


def test_a_file_that_is_gone_is_named(store: HybridStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        store.importer.rows(tmp_path / "gone.csv", dataset="trades")


def test_killed_at_any_moment_the_next_import_brings_the_same_rows(tmp_path: Path) -> None:
    lines = ["symbol,side,price,amount,id,timestamp"]
    lines += [f"BTC/USDT,{'buy' if n % 3 else 'sell'},6400{n % 7},0.{n % 9 + 1},{n},{1_772_359_200_000 + n}"
              for n in range(2_000)]  # fmt: skip
    path = file_of(tmp_path, "fills.csv", "\n".join(lines))
    code = (
        "import sys; from hybridstore import HybridStore\n"
        "with HybridStore(sys.argv[1], maintenance='off') as store:\n"
        "    print('ready', flush=True); store.importer.rows(sys.argv[2], dataset='trades')\n"
    )
    root = tmp_path / "killed"
    for delay_s in (0.0, 0.03, 0.06, 0.12):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(root), str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(delay_s)
            child.kill()
    with (
        HybridStore(root, maintenance="off") as killed,
        HybridStore(tmp_path / "whole", maintenance="off") as whole,
    ):
        report = killed.importer.rows(path, dataset="trades")
        whole.importer.rows(path, dataset="trades")
        question = (
            "select trade_id, side, price, amount, realized_pnl, executed_at from trades order by executed_at"
        )
        assert report.is_clean
        assert report.kinds["trades"].read == 2_000
        assert killed.sql(question).rows() == whole.sql(question).rows()
        assert killed.books.prove().holds
