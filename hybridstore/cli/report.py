"""``hybridstore report``: one HTML file that tells how an account did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Account, Json, Root, existing_root
from hybridstore.cli.performance import BaseCurrency, Benchmark, RiskFree, parts_of
from hybridstore.cli.printing import json_text, write_text
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT


def report(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The HTML file to write.")] = Path(
        "report.html"
    ),
    account: Account = DEFAULT_ACCOUNT,
    base_currency: BaseCurrency = "USDT",
    benchmark: Benchmark = (),
    risk_free: RiskFree = 0.0,
    json: Json = False,
    root: Root = None,
) -> None:
    """Write one HTML page of an account: performance, positions, balances, and whether the books agree."""
    from hybridstore.errors import NotFound
    from hybridstore.reports.account import report_account
    from hybridstore.reports.page import write_page
    from hybridstore.schema.types import moment
    from hybridstore.store import HybridStore

    parts = parts_of(benchmark)
    with HybridStore(existing_root(root), maintenance="off") as store:
        summary = store.get_portfolio_summary(account, base_currency)
        hot_rows = {name: rows["hot_rows"] for name, rows in store.get_system_status()["datasets"].items()}
        try:
            performance = store.books.performance(
                account, base_currency, benchmark=parts or None, risk_free=risk_free
            )
        except NotFound:
            if parts:
                raise
            performance = None
        with store.snapshot() as snapshot:
            now = moment(store.database.clock.now_us())
            data = report_account(snapshot, store.database, summary, performance, hot_rows, now)
    size_bytes = write_page(data, output)
    failed = [check.name for check in data.checks if not check.passed]
    if json:
        write_text(json_text({"path": str(output), "size_bytes": size_bytes, "failed_checks": failed}), None)
        return
    said = (
        f"{len(failed)} of {len(data.checks)} checks fail: {'; '.join(failed)}"
        if failed
        else "all checks hold"
    )
    Console().print(
        f"{escape(str(output))}: {size_bytes:,} bytes, {escape(said)}", highlight=False, soft_wrap=True
    )
