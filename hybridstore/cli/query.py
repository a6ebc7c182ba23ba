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
    as_known_at: Annotated[
        str | None,
        Parameter(help="As the store knew things at this moment (ISO 8601 with a zone). Default: now."),
    ] = None,
) -> None:
    """Ask one SQL question over hot rows and every archive, in one snapshot; Ctrl-C cancels it."""
    from hybridstore.analytics.output import write_result
    from hybridstore.cli.asking import ask
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        write_result(ask(store.analytics, sql, timeout_s=timeout_s, as_known_at=as_known_at), form, output)
