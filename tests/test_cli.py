"""The command line as a user meets it: answers, formats, exit codes, and sentences that say what to do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from hybridstore import HybridStore, ManualClock, cli
from hybridstore.clock import DAY_US
from hybridstore.operations.diagnostics import TARGETS_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START_US = 1_723_161_254_340_863
Run = Any


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with three market trades on two days and one balance."""
    folder = tmp_path / "store"
    with HybridStore(folder, clock=ManualClock(START_US + 2 * DAY_US)) as store:
        store.record_balance_update("USDT", Decimal("1000.50"), Decimal("50.25"), "websocket")
        store.record_market_trades(
            [
                ("BTC/USDT", 1, "60000.1", "0.5", "buy", START_US),
                ("BTC/USDT", 2, "60000.2", "0.25", "sell", START_US + 1),
                ("ETH/USDT", 1, "2600", "0.00000001", "buy", START_US + DAY_US),
            ]
        )
    return folder


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; returns exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hybridstore", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_status_tells_rows_of_each_dataset(root: Path, run: Run) -> None:
    code, out, _ = run("status", "--root", str(root), "--json")
    condition = json.loads(out)
    assert code == 0
    assert condition["datasets"]["market_trades"] == {"hot_rows": 3, "archived_rows": 0}
    assert condition["datasets"]["balances"] == {"hot_rows": 1, "archived_rows": 0}
    assert condition["warnings"] == []
    code, out, _ = run("status", "--root", str(root))
    assert code == 0
    assert "market_trades" in out


def test_status_measures_when_it_is_asked_to(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("status", "--root", str(root), "--diagnose", "--json")
    assert code == 0
    report = json.loads(out)["diagnostics"]
    assert report["overall_status"] in {"optimal", "degraded"}
    assert {"latest_balance", "durable_write", "disk_flush"} <= {test["test"] for test in report["tests"]}
    monkeypatch.setitem(TARGETS_MS, "disk_flush", 0.0)
    code, out, _ = run("status", "--root", str(root), "--diagnose")
    assert code == 0
    assert "Hot path: degraded" in out
    assert "slow: disk_flush: put the root on an SSD" in " ".join(out.split())


def test_query_prints_a_table_and_exact_csv_and_json(root: Path, run: Run) -> None:
    question = "select symbol, sum(amount) as total from market_trades group by all order by all"
    code, out, _ = run("query", question, "--root", str(root))
    assert code == 0
    assert "0.00000001" in out  # never 1E-8
    code, out, _ = run("query", question, "--root", str(root), "--format", "csv")
    header, *lines = csv.reader(io.StringIO(out))
    assert header == ["symbol", "total"]
    assert [(symbol, Decimal(total)) for symbol, total in lines] == [
        ("BTC/USDT", Decimal("0.75")), ("ETH/USDT", Decimal("0.00000001")),
    ]  # fmt: skip
    code, out, _ = run("query", question, "--root", str(root), "--format", "json")
    rows = json.loads(out)
    assert [Decimal(row["total"]) for row in rows] == [Decimal("0.75"), Decimal("0.00000001")]


def test_query_writes_parquet_to_a_file_only(root: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    question = "select * from market_trades"
    code, _, _ = run("query", question, "--root", str(root), "-f", "parquet", "-o", str(target))
    assert code == 0
    assert pq.read_table(target).num_rows == 3
    code, _, err = run("query", question, "--root", str(root), "-f", "parquet")
    assert code == 1
    assert "--output" in err


def test_run_once_moves_what_is_old_and_the_answer_stays(root: Path, run: Run) -> None:
    question = "select count(*) as n, sum(amount) as total from market_trades"
    before = run("query", question, "--root", str(root), "-f", "csv")
    code, out, _ = run("run", "--once", "--root", str(root), "--now", "2024-10-01T00:00:00Z", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["rows"] == 4
    assert run("query", question, "--root", str(root), "-f", "csv") == before
    code, out, _ = run("status", "--root", str(root), "--json")
    assert json.loads(out)["tiers"]["warm"]["rows"] == 4
    assert json.loads(out)["datasets"]["balances"]["hot_rows"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "select * from trade"], "did you mean trades?"),
        (["query", "drop table trades"], "only SELECT"),
        (["query", "select * from read_csv('x.csv')"], "read_csv"),
        (["run", "--once", "--now", "2024-10-01T00:00:00"], "naive"),
    ],
)
def test_a_mistake_ends_with_one_sentence_and_code_1(
    root: Path, run: Run, arguments: list[str], said: str
) -> None:
    code, out, err = run(*arguments, "--root", str(root))
    assert code == 1
    assert said in " ".join(err.split())
    assert "Traceback" not in err + out


def test_a_folder_without_a_store_is_not_turned_into_one(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    for command in (["status"], ["query", "select 1"], ["run", "--once"]):
        code, _, err = run(*command, "--root", str(missing))
        assert code == 1
        assert "no store here" in err
    assert not missing.exists()


def test_every_command_explains_itself(run: Run) -> None:
    for command in ("demo", "status", "query", "run"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "--root" in out


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hybridstore", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0.1.0"
