"""``hybridstore query``: one SQL question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from hybridstore.cli.options import Root, existing_root

QueryFormat = Literal["table", "csv", "json", "parquet"]


def query(
    sql: Annotated[str, Parameter(help="A SELECT over datasets by name, in DuckDB's SQL.")],
    *,
    root: Root = None,
    form: Annotated[QueryFormat, Parameter(name=["--format", "-f"], help="How to print the rows.")] = "table",
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File to write; parquet needs one.")
    ] = None,
    timeout_s: Annotated[float | None, Parameter(help="Cancel the query after this many seconds.")] = None,
) -> None:
    """Ask one SQL question over hot rows and every archive, in one snapshot."""
    from hybridstore.analytics.output import write_result
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root)) as store:
        result = store.analytics.sql(sql, timeout_s=timeout_s) if timeout_s else store.sql(sql)
        write_result(result, form, output)
