"""``hybridstore demo``: a bot that trades on paper, and its history moved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hybridstore.cli.options import Json
from hybridstore.cli.printing import write_text
from hybridstore.reports.plain import json_text


def demo(
    *,
    market_data: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Recorded market data: Parquet files of trades and best bid/ask, or folders of them. "
            "Without it a simulated market is traded.",
        ),
    ] = None,
    root: Annotated[
        Path | None, Parameter(help="Where to leave the store. Default: ./hybridstore-demo")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", help="Delete an earlier demo's store first.")] = False,
    json: Json = False,
) -> None:
    """Trade on paper over a market, move the history into Parquet, and show that no total changed."""
    from hybridstore.demo.run import run_demo
    from hybridstore.demo.show import show_demo

    result = run_demo(
        root or Path("hybridstore-demo"), market_data or [], overwrite=overwrite, progress=not json
    )
    if json:
        write_text(json_text(result), None)
    else:
        show_demo(result, Console())
    if not result.passed:
        sys.exit(1)
