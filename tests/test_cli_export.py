"""``hybridstore export`` as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hybridstore import HybridStore
from hybridstore.cli import exporting
from hybridstore.cli.app import EXPORT


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "hybridstore", *words, "--root", str(root)],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of a store with two fills that were bought and one that was sold."""
    with HybridStore(tmp_path / "root", maintenance="off") as store:
        for number, (side, price) in enumerate((("buy", "100.5"), ("buy", "101"), ("sell", "120"))):
            store.record_fill(
                "BTC/USDT",
                side,
                price,
                "0.1",
                trade_id=str(number),
                executed_at=f"2026-03-0{number + 1}T00:00:00Z",
            )
    return tmp_path / "root"


def test_each_command_says_what_its_function_does() -> None:
    for name, told in EXPORT.items():
        assert getattr(exporting, name).__doc__ == told


def test_rows_come_in_every_form(root: Path, tmp_path: Path) -> None:
    for form in ("csv", "json", "parquet"):
        done = run(
            root, "export", "rows", "trades", "-o", str(tmp_path / f"trades.{form}"), "--symbol", "BTC/USDT"
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("3 rows in")
    with (tmp_path / "trades.csv").open(encoding="utf-8", newline="") as file:
        assert [Decimal(row["price"]) for row in csv.DictReader(file)] == [Decimal("100.5"), 101, 120]
    told = json.loads((tmp_path / "trades.json").read_text(encoding="utf-8"))
    assert all(isinstance(row["price"], str) for row in told)
    table = pq.read_table(tmp_path / "trades.parquet")
    assert table["price"].to_pylist() == [Decimal("100.5"), 101, 120]
    assert str(table.schema.field("price").type) == "decimal128(38, 18)"


def test_an_exported_file_can_be_imported(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    assert (
        run(root, "export", "rows", "trades", "-o", str(path), "--start", "2026-03-02T00:00:00Z").returncode
        == 0
    )
    with HybridStore(tmp_path / "other", maintenance="off") as other:
        report = other.importer.rows(path, dataset="trades")
        assert report.refused == ()
        assert other.sql("SELECT trade_id, price FROM trades ORDER BY trade_id").rows() == [
            ("1", 101),
            ("2", 120),
        ]


def test_the_tax_table_is_that_of_lots(root: Path, tmp_path: Path) -> None:
    done = run(root, "export", "tax", "--year", "2026", "--method", "HIFO")
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(root, "lots", "--csv", "--year", "2026", "--method", "HIFO").stdout
    assert len(done.stdout.splitlines()) == 2
    assert run(root, "export", "tax", "-o", str(tmp_path / "tax.csv"), "--totals").returncode == 0
    assert "FIFO" in (tmp_path / "tax.csv").read_text(encoding="utf-8")


def test_hive_tells_what_it_wrote(root: Path, tmp_path: Path) -> None:
    done = run(root, "export", "hive", str(tmp_path / "hive"), "--dataset", "trades", "--json")
    assert json.loads(done.stdout)["rows"] == {"trades": 3}
    again = run(root, "export", "hive", str(tmp_path / "hive"))
    assert again.returncode == 1
    assert "not empty" in " ".join(again.stderr.split())


def test_a_suffix_that_names_no_form_is_refused(root: Path, tmp_path: Path) -> None:
    done = run(root, "export", "rows", "trades", "-o", str(tmp_path / "trades.xlsx"))
    assert done.returncode == 1
    assert "names no form" in " ".join(done.stderr.split())
