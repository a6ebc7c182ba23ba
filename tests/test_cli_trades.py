"""Which part made what, and how closed trades did, on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.books.attribution import PARTITIONS
from hybridstore.books.trades import DIMENSIONS, TRADE_FIGURES
from tests.books.trading_life import live
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live(tmp_path_factory.mktemp("trades-cli") / "store", 11).root


def test_parts_are_shown_with_the_rest_and_the_account(root: Path, run: Run) -> None:  # noqa: F811
    for by in PARTITIONS:
        code, out, err = run(
            "attribution", "--root", str(root), "--by", by, "--benchmark", "BTC/USDT", "--definitions"
        )
        assert code == 0, err
        assert "rest" in out
        assert "what no position explains" in " ".join(out.split())
    code, out, _ = run("attribution", "--root", str(root), "--by", "strategy", "--csv", "--record")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["strategy"] for row in rows] == ["'-", "grid", "trend"]
    found = json.loads(run("attribution", "--root", str(root), "--by", "strategy", "--json")[1])
    profits = [Decimal(part["profit"]) for part in found["parts"]]
    assert [Decimal(row["profit"]) for row in rows] == profits
    assert sum(profits, Decimal(found["rest"])) == Decimal(found["profit"])
    with HybridStore(root) as store:
        scopes = store.sql("SELECT DISTINCT scope FROM performance_metrics ORDER BY scope").rows()
    assert scopes == [("default strategy=-",), ("default strategy=grid",), ("default strategy=trend",)]


def test_trades_are_shown_in_every_dimension(root: Path, run: Run) -> None:  # noqa: F811
    code, out, err = run("trades", "--root", str(root), "--definitions")
    assert code == 0, err
    said = " ".join(out.split())
    for figure in TRADE_FIGURES:
        assert figure.title in said
        assert figure.definition in said
    for by in DIMENSIONS[1:]:
        code, out, err = run("trades", "--root", str(root), "--by", by)
        assert code == 0, err
        assert by in out
    found = json.loads(run("trades", "--root", str(root), "--json")[1])
    rows = list(csv.DictReader(io.StringIO(run("trades", "--root", str(root), "--by", "symbol", "--csv")[1])))
    told = [one for one in found["figures"] if one["dimension"] == "symbol"]
    assert [(row["part"], row["net"], row["trades"]) for row in rows] == [
        (one["part"], one["net"], str(one["trades"])) for one in told
    ]


def test_nothing_and_nonsense_are_told(root: Path, run: Run) -> None:  # noqa: F811
    code, out, _ = run("trades", "--root", str(root), "--account", "nobody")
    assert (code, "no position was closed" in out) == (0, True)
    code, _, err = run("trades", "--root", str(root), "--start", "yesterday")
    assert code == 1
    assert "start" in err
    code, _, err = run("attribution", "--root", str(root), "--account", "nobody")
    assert code == 1
    assert "not two snapshots" in " ".join(err.split())
