"""``hybridstore report``: the page of an account, from the command line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from hybridstore import HybridStore
from hybridstore.reports.page import PAGE_BYTES_MAX
from hybridstore.reports.wording import MINUS
from tests.books.trading_life import live
from tests.test_cli import run  # noqa: F401  a fixture
from tests.test_cli_performance import root  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
HOSTILE = "<script>alert(1)</script>"


def test_a_page_tells_how_an_account_did(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    page = tmp_path / "page.html"
    code, out, err = run("report", "--root", str(root), "-o", str(page), "--benchmark", "BTC/USDT", "--json")
    told = json.loads(out)
    assert (code, told["size_bytes"]) == (0, page.stat().st_size), err
    assert told["size_bytes"] < PAGE_BYTES_MAX
    html = page.read_text(encoding="utf-8")
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections[:2] == ["performance", "equity"]
    assert sections[-2:] == ["quality", "definitions"]
    for text in (
        "33.10\N{NO-BREAK SPACE}%",
        "dashed: BTC/USDT",
        f"BTC/USDT: {MINUS}12.00\N{NO-BREAK SPACE}%",
        "product of (1 + daily return) - 1",
        "+33.1",
    ):
        assert text in html, text
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    code, out, _ = run("report", "--root", str(root), "-o", str(page))
    assert (code, f"{page.stat().st_size:,} bytes" in " ".join(out.split())) == (0, True)
    assert "dashed" not in page.read_text(encoding="utf-8")


def test_where_no_page_can_be_written_is_said(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "nowhere" / "page.html", tmp_path / "folder"):
        code, _, err = run("report", "--root", str(root), "-o", str(place))
        said = "".join(err.split())
        assert (code, "error:writethereport" in said, "folderthatexists" in said) == (1, True, True), err
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_store_without_snapshots_has_a_page_without_performance(tmp_path: Path, run: Run) -> None:  # noqa: F811
    with HybridStore(tmp_path / "store") as store:
        store.record_balance_update("USDT", 5, 0, "test", account=HOSTILE)
    page = tmp_path / "page.html"
    arguments = ("report", "--root", str(tmp_path / "store"), "-o", str(page), "--account", HOSTILE)
    code, _, err = run(*arguments)
    assert code == 0, err
    html = page.read_text(encoding="utf-8")
    assert 'id="performance"' not in html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    page.unlink()
    code, _, err = run(*arguments, "--benchmark", "BTC/USDT")
    assert (code, page.exists()) == (1, False)
    assert "there are not two snapshots" in " ".join(err.split())


def test_every_table_is_written_as_csv_and_json(tmp_path: Path, run: Run) -> None:  # noqa: F811
    lived = live(tmp_path / "store", 5)
    tables, page = tmp_path / "tables", tmp_path / "page.html"
    arguments = ("report", "--root", str(lived.root), "-o", str(page), "--benchmark", "BTC/USDT")
    code, out, err = run(*arguments, "--tables", str(tables), "--json")
    assert code == 0, err
    written = {path.name for path in tables.iterdir()}
    assert {Path(name).name for name in json.loads(out)["tables"]} == written
    names = {
        "account", "attribution-by-bot", "attribution-by-strategy", "attribution-by-symbol", "balances", "checks",
        "days", "definitions", "distribution", "drawdowns", "figures", "months", "positions", "rolling", "tiers",
        "trades",
    }  # fmt: skip
    assert written == {f"{name}{suffix}" for name in names for suffix in (".csv", ".json")}
    for name in names:
        rows = list(csv.DictReader(io.StringIO((tables / f"{name}.csv").read_text(encoding="utf-8"))))
        told = json.loads((tables / f"{name}.json").read_text(encoding="utf-8"))
        assert len(rows) == len(told) > 0, name
        assert list(rows[0]) == list(told[0]), name
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', html) == [
        "performance", "equity", "risk", "attribution", "trades", "holdings", "tiers", "quality", "definitions",
    ]  # fmt: skip
    days = json.loads((tables / "days.json").read_text(encoding="utf-8"))
    assert sum(Decimal(day["net_flow"]) for day in days) == sum(lived.flows)
    code, _, err = run(*arguments, "--tables", str(page))
    assert code == 1
    assert "write the tables of a report" in " ".join(err.split())
