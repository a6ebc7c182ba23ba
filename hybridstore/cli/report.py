"""``hybridstore report``: one HTML file that tells how an account did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Account, Json, Root, existing_root
from hybridstore.cli.performance import BaseCurrency, Benchmark, EquitySource, RiskFree, parts_of
from hybridstore.cli.printing import write_text
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.reports.plain import json_text


def report(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The HTML file to write.")] = Path(
        "report.html"
    ),
    account: Account = DEFAULT_ACCOUNT,
    base_currency: BaseCurrency = "USDT",
    benchmark: Benchmark = (),
    risk_free: RiskFree = 0.0,
    source: EquitySource = "snapshots",
    tables: Annotated[
        Path | None,
        Parameter(help="Also write every table into this folder, as CSV and as JSON, with every digit."),
    ] = None,
    json: Json = False,
    root: Root = None,
) -> None:
    """Write one HTML page of an account: performance, positions, balances, and whether the books agree."""
    from hybridstore.config import load_settings
    from hybridstore.reports.account import report_account
    from hybridstore.reports.exporting import write_tables
    from hybridstore.reports.page import write_page
    from hybridstore.store import HybridStore

    folder = existing_root(root)
    with HybridStore(folder, maintenance="off") as store:
        data = report_account(
            store.database,
            store.analytics,
            account,
            base_currency,
            benchmark=parts_of(benchmark) or None,
            risk_free=risk_free,
            source=source,
            backup=load_settings(folder).backup,
        )
    size_bytes = write_page(data, output)
    written = [] if tables is None else write_tables(data, tables)
    failed = [check.name for check in data.checks if not check.passed]
    if json:
        write_text(
            json_text(
                {
                    "path": str(output),
                    "size_bytes": size_bytes,
                    "failed_checks": failed,
                    "tables": [str(path) for path in written],
                }
            ),
            None,
        )
        return
    said = (
        f"{len(failed)} of {len(data.checks)} checks fail: {'; '.join(failed)}"
        if failed
        else "all checks hold"
    )
    Console().print(
        f"{escape(str(output))}: {size_bytes:,} bytes, {escape(said)}", highlight=False, soft_wrap=True
    )
