"""``hybridstore duckdb-init``: this moment of the store for a DuckDB of another process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.reports.plain import json_text


def duckdb_init(
    folder: Annotated[Path, Parameter(help="A new folder.")],
    *,
    show: Annotated[bool, Parameter(negative="", help="Also print the SQL.")] = False,
    json: Json = False,
    root: Root = None,
) -> None:
    """Write this moment of the store into a folder that any DuckDB reads, with the SQL it begins with."""
    from hybridstore.store import HybridStore

    errors = Console(stderr=True)
    with (
        HybridStore(existing_root(root), maintenance="off") as store,
        Progress(console=errors, transient=True) as bar,
    ):
        task = bar.add_task("", total=len(store.database.registry.public))

        def tell(dataset: str) -> None:
            bar.update(task, advance=1, description=dataset)

        found = store.analytics.write_moment(folder, tell)
    if show:
        write_text(Path(found.init_sql).read_text(encoding="utf-8"), None)
    if json:
        write_text(json_text(found), None)
    elif not show:
        Console().print(
            f"{found.datasets} datasets in {found.files:,} files, {found.size_bytes:,} bytes. Now: "
            f'duckdb -init "{escape(found.init_sql)}"',
            highlight=False,
            soft_wrap=True,
        )
