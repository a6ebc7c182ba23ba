"""``hybridstore backup fetch``: brings copies of backups back from below a URL."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Json
from hybridstore.cli.printing import write_text
from hybridstore.reports.plain import json_text
from hybridstore.schema.types import moment


def fetch(
    url: Annotated[str, Parameter(help="As mirror_url says, for example s3://bucket/prefix.")],
    to: Annotated[Path, Parameter(help="A folder; one that was begun before is gone on with.")],
    *,
    since: Annotated[
        datetime | None,
        Parameter(help="Only what moments of this day and later need, UTC. Default: everything."),
    ] = None,
    series: Annotated[
        str | None,
        Parameter(help="Which backups, where a folder of them was begun anew. Default: the newest."),
    ] = None,
    json: Json = False,
) -> None:
    """Bring copies of backups from an object store into a folder; restore from it with --from."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from hybridstore.backup.fetching import fetch as fetch_backups
    from hybridstore.backup.points import restore_points
    from hybridstore.backup.repository import Repository

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=json) as bar:
        task = bar.add_task("backups", total=None)
        found = fetch_backups(
            url,
            to.absolute(),
            series=series,
            since=None if since is None else since.date(),
            on_bytes=lambda done, total: bar.update(task, completed=done, total=total),
        )
    points = restore_points(Repository(to.absolute()))
    until = moment(points[-1].ts_last_us).isoformat() if points else None
    if json:
        write_text(json_text({**found.to_dict(), "restorable_until": until}), None)
        return
    Console().print(
        f"{found.files:,} files, {found.size_bytes:,} bytes are in {escape(found.base)} ({found.kept:,} were there); "
        f"they lead to {until or 'no moment yet'}. Next: hybridstore backup restore latest FOLDER --from "
        f"{escape(found.base)}",
        highlight=False,
        soft_wrap=True,
    )
