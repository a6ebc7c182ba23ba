"""The command line as a user meets it: answers, formats, exit codes, and sentences that say what to do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from hybridstore import HybridStore, ManualClock, cli
from hybridstore.cli.app import COLUMNS, COMMANDS, HOLDS, RETENTION
from hybridstore.cli.printing import short_text
from hybridstore.clock import DAY_US
from hybridstore.operations.diagnostics import TARGETS_MS
from hybridstore.reports.plain import cell_text, csv_text, json_text

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
    for form in ("csv", "json", "parquet"):
        code, _, err = run(
            "query", question, "--root", str(root), "-f", form, "-o", str(tmp_path / "nowhere" / "x")
        )
        assert (code, "name a file in a folder that is there" in " ".join(err.split())) == (1, True), err


def test_run_once_moves_what_is_old_and_the_answer_stays(root: Path, run: Run) -> None:
    question = "select count(*) as n, sum(amount) as total from market_trades"
    before = run("query", question, "--root", str(root), "-f", "csv")
    code, out, _ = run("run", "--once", "--root", str(root), "--now", "2024-10-01T00:00:00Z", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["rows"] == 4
    assert run("query", question, "--root", str(root), "-f", "csv") == before
    code, out, _ = run("status", "--root", str(root), "--json")
    assert json.loads(out)["tiers"]["cold"]["rows"] == 4, "all of their month is older than 30 days"
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


@pytest.fixture
def books(root: Path) -> Path:
    """The store with a long position, one without a price, and an account whose name a spreadsheet would run."""
    at_us = START_US + DAY_US
    with HybridStore(root, clock=ManualClock(START_US + 2 * DAY_US)) as store:
        store.record_fill("BTC/USDT:USDT", "buy", "60000", "0.3", trade_id="1", executed_at=at_us)
        store.record_fill("SOL/USDT:USDT", "buy", "150", "2", trade_id="2", executed_at=at_us)
        store.record_fill("SOL/USDT:USDT", "sell", "151", "2", trade_id="3", executed_at=at_us + 1)
        store.record_fill(
            "BTC/USDT:USDT", "sell", "60000", "1", trade_id="4", account="=1+1", executed_at=at_us
        )
        store.record_balance_update("BTC", "0.5", changed_at=at_us)
        store.record_balance_update("DUST", "7", changed_at=at_us)
        store.record_mark("BTC/USDT:USDT", mark="60000.123456789123456789")
    return root


def test_positions_as_a_table_and_with_every_digit(
    books: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = run("positions", "--root", str(books))
    assert code == 0
    assert "60000.123\N{HORIZONTAL ELLIPSIS}" in out
    assert "SOL" not in out
    assert "funding" in out
    monkeypatch.setenv(
        "COLUMNS", "70"
    )  # columns that do not fit are left out and named; no cell is cut short
    code, out, _ = run("positions", "--root", str(books))
    table, _, left_out = out.partition("not shown: ")
    assert "60000.123\N{HORIZONTAL ELLIPSIS}" in table
    assert "funding" in " ".join(left_out.split())
    assert max(map(len, out.splitlines())) <= 70
    code, out, _ = run("positions", "--root", str(books), "--json", "--account", "default")
    (position,) = json.loads(out)
    assert position["unrealized_pnl"] == "0.037037036737037037"
    assert (position["price"], position["amount"]) == ("60000.123456789123456789", "0.3")
    assert position["opened_at"] == "2024-08-09T23:54:14.340863+00:00"
    code, out, _ = run("positions", "--root", str(books), "--csv", "--all")
    rows = sorted(csv.DictReader(io.StringIO(out)), key=lambda row: (row["account"], row["symbol"]))
    assert [(row["account"], row["symbol"], row["status"]) for row in rows] == [
        ("'=1+1", "BTC/USDT:USDT", "OPEN"), ("default", "BTC/USDT:USDT", "OPEN"),
        ("default", "SOL/USDT:USDT", "CLOSED"),
    ]  # fmt: skip
    assert rows[0]["unrealized_pnl"] == "-0.123456789123456789"  # a number is no formula


def test_positions_as_of_a_moment(books: Path, run: Run) -> None:
    at = ["--root", str(books), "--at"]
    assert run("positions", *at, "2024-08-09T00:00:00Z")[1] == "no positions\n"
    code, out, _ = run(
        "positions", *at, "2024-08-10T01:54:14.340863+02:00", "--symbol", "SOL/USDT:USDT", "--json"
    )
    (position,) = json.loads(out)
    assert (code, position["amount"], position["price_source"]) == (0, "2", "fill")
    code, out, _ = run("positions", *at, "2024-08-09T23:54:14.340863Z", "--max-price-age-s", "0", "--json")
    assert {position["price_source"] for position in json.loads(out)} == {"fill"}
    code, out, err = run("positions", *at, "2024-08-10T00:00:00")
    assert code == 1
    assert "naive" in err


def test_the_portfolio_as_a_table_and_with_every_digit(books: Path, run: Run) -> None:
    code, out, _ = run("portfolio", "--root", str(books))
    told = " ".join(out.split())
    assert code == 0
    assert "warning: DUST has no price in USDT" in told
    for word in ("equity", "Assets", "Positions", "Exposure", "leverage"):
        assert word in told
    code, out, _ = run("portfolio", "--root", str(books), "--json")
    answer = json.loads(out)
    assert answer["equity"] == "31000.598765431298765431"
    assert answer["unpriced"] == ["DUST"]
    assert answer["exposure"]["net"] == "48000.098765431298765431"
    assert sum(Decimal(share["share"]) for share in answer["exposure"]["allocation"] if share["share"]) == 1
    code, out, _ = run("portfolio", "--root", str(books), "--csv", "--source", "booked")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["kind"], row["name"], row["amount"]) for row in rows] == [
        ("asset", "USDT", "2"), ("position", "BTC/USDT:USDT", "0.3"),
    ]  # fmt: skip
    code, out, _ = run("portfolio", "--root", str(books), "--at", "2024-08-09T00:00:00Z")
    assert "at 2024-08-09T00:00:00+00:00" in out


def test_an_answer_goes_to_a_file(books: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "positions.csv"
    code, out, _ = run("positions", "--root", str(books), "-o", str(target))
    assert (code, out) == (0, "")
    assert target.read_text(encoding="utf-8") == run("positions", "--root", str(books), "--csv")[1]
    code, _, _ = run("portfolio", "--root", str(books), "--json", "-o", str(target))
    assert json.loads(target.read_text(encoding="utf-8"))["account"] == "default"
    code, _, err = run("portfolio", "--root", str(books), "--csv", "-o", str(tmp_path / "none" / "x.csv"))
    assert code == 1
    assert "name a file in a folder that is there" in " ".join(err.split())
    code, _, err = run("portfolio", "--root", str(books), "--csv", "--json")
    assert code == 1
    assert "give one of them" in err


@pytest.mark.parametrize(
    ("value", "short", "text"),
    [
        (Decimal("0.000000012345678901"), "0.00000001234567\N{HORIZONTAL ELLIPSIS}", "0.000000012345678901"),
        (Decimal("-1234.5678901234"), "-1234.5678\N{HORIZONTAL ELLIPSIS}", "-1234.5678901234"),
        (Decimal("12345678901.25"), "12345678901.25", "12345678901.25"),
        (Decimal("6E+4"), "60000", "60000"),
        (Decimal("1E-18"), "0.000000000000000001", "0.000000000000000001"),
        (Decimal("-0.00"), "0", "0"),
        (None, "", ""),
        (7, "7", "7"),
    ],
)
def test_only_tables_shorten_numbers(value: object, short: str, text: str) -> None:
    assert (short_text(value), cell_text(value)) == (short, text)
    assert json_text({"a": (value,)}) == json_text({"a": [value if value is None or value == 7 else text]})
    assert csv_text(["a"], [[value]]) == f"a\n{text or chr(34) * 2}\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(text: str) -> None:
    ((cell,),) = list(csv.reader(io.StringIO(csv_text(["a"], [[text]]), newline="")))[1:]
    assert cell == f"'{text}"


def test_a_folder_without_a_store_is_not_turned_into_one(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    for command in (
        ["status"],
        ["query", "select 1"],
        ["run", "--once"],
        ["positions"],
        ["portfolio"],
        ["lots"],
    ):
        code, _, err = run(*command, "--root", str(missing))
        assert code == 1
        assert "no store here" in err
    assert not missing.exists()


def test_every_command_explains_itself(run: Run) -> None:
    for name, told in COMMANDS.items():
        code, out, _ = run(name.replace("_", "-"), "--help")
        assert code == 0
        assert "--root" in out
        command = getattr(import_module(f"hybridstore.cli.{name}"), name)
        assert command.__doc__ == told
    for name, told in RETENTION.items():
        code, out, _ = run("retention", name, "--help")
        assert code == 0
        assert "--root" in out
        assert getattr(import_module("hybridstore.cli.retention"), name).__doc__ == told
    for module, commands in (("holds", HOLDS), ("columns", COLUMNS)):
        for name, told in commands.items():
            code, out, _ = run("retention", name.replace("_", "-"), "--help")
            assert code == 0
            assert "--root" in out
            assert getattr(import_module(f"hybridstore.cli.{module}"), name).__doc__ == told


def test_retention_is_planned_run_and_told_of(root: Path, run: Run) -> None:
    def answer(*arguments: str) -> Any:
        code, out, err = run("retention", *arguments, "--root", str(root), "--json")
        assert code == 0, err
        return json.loads(out)

    october = ("--now", "2024-10-01T00:00:00Z")
    planned = answer("plan", *october)["planned"]
    assert [(one["what"], one["dataset"], one["tier"], one["rows"]) for one in planned] == [
        ("move", "market_trades", "warm", 2), ("move", "market_trades", "warm", 1),
        ("move", "balance_history", "warm", 1),
    ], "oldest first"  # fmt: skip
    assert answer("run", "--dry-run", *october)["planned"] == planned
    assert answer("status")["tiers"] == {}
    report = answer("run", *october)
    assert (report["rows"], report["merged"], report["merged_rows"]) == (4, 3, 4)
    status = answer("status")
    assert {dataset: list(tiers) for dataset, tiers in status["tiers"].items()} == {
        "balance_history": ["cold"], "market_trades": ["cold"],
    }  # fmt: skip
    assert (status["replaced_files"], status["open_moves"]) == (3, [])
    assert status["due_merges"] == 2, "by now the whole year is old enough for the frozen tier"
    entries = answer("history")["entries"]
    assert [entry["action"] for entry in entries] == ["move"] * 3 + ["merge"] * 2
    assert answer("history", "--last", "1")["entries"] == entries[-1:]
    assert answer("plan", *october)["planned"] == []
    for command in ("plan", "status", "history"):
        code, out, _ = run("retention", command, "--root", str(root), "--csv")
        assert (code, "dataset" in out.splitlines()[0]) == (0, True)
        code, out, _ = run("retention", command, "--root", str(root))
        assert code == 0
    assert "market_trades" in out


def test_verify_names_what_is_wrong_and_fails(root: Path, run: Run) -> None:
    run("run", "--once", "--root", str(root), "--now", "2024-10-01T00:00:00Z")
    for mode in ("quick", "full", "scrub"):
        code, out, _ = run("verify", "--root", str(root), "--mode", mode, "--json")
        assert (code, json.loads(out)["holds"], json.loads(out)["files"]) == (0, True, 2)
    code, out, _ = run("verify", "--root", str(root))
    assert (code, "everything is as it should be" in " ".join(out.split())) == (0, True)
    (path,) = (root / "archives/cold/market_trades").rglob("*.parquet")
    path.write_bytes(path.read_bytes() + b"x")
    code, out, _ = run("verify", "--root", str(root))
    assert code == 1
    assert path.name in "".join(out.split())
    assert "wrong: 1" in " ".join(out.split())


def test_help_loads_nothing_that_is_heavy() -> None:
    script = (
        "import sys; from hybridstore import cli; cli.app(['--help'], result_action='return_value'); "
        "print(sorted({'apsw', 'duckdb', 'polars', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "portfolio" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hybridstore", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0.1.0"
