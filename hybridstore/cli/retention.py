"""``hybridstore retention``: what moves, merges and is deleted, what was, and what there is in each tier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.holds import tell_doubt
from hybridstore.cli.options import Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table
from hybridstore.schema.types import check_timestamp, moment

if TYPE_CHECKING:
    from datetime import datetime

    from hybridstore.retention.manager import DataRetentionManager

Now = Annotated[
    str | None, Parameter(help="Plan as if it were this moment: ISO 8601 with a zone. Default: now.")
]


class _Planned(NamedTuple):
    """One line of a plan."""

    what: str
    dataset: str
    period: str
    tier: str
    rows: int
    files: int | None
    reason: str


def plan(
    *, root: Root = None, now: Now = None, json: Json = False, csv: Csv = False, output: Output = None
) -> None:
    """Show what a run would move, merge, delete and offload now, and why; nothing is changed."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        planned = list(_planned(store.retention, None if now is None else check_timestamp(now, "now")))
        clock_doubt = store.retention.clock_doubt()
    answer = {"planned": [one._asdict() for one in planned], "clock_doubt": clock_doubt}

    def show(console: Console) -> None:
        print_table(console, None, _Planned._fields, planned)
        rows = sum(one.rows for one in planned)
        console.print(f"{len(planned):,} steps, {rows:,} rows" if planned else "nothing is due")
        tell_doubt(console, clock_doubt)

    print_answer(answer, _Planned._fields, planned, show, json=json, csv=csv, output=output)


def run(
    *,
    root: Root = None,
    now: Now = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only show what would be done.")] = False,
    wait: Annotated[
        bool,
        Parameter(help="Where another process maintains the store: wait for its end, or stop with an error."),
    ] = True,
    json: Json = False,
) -> None:
    """Move, merge and delete what is due now; what a crash or Ctrl-C left open is continued by the next run."""
    if dry_run:
        plan(root=root, now=now, json=json)
        return
    from hybridstore.operations.foreground import run_foreground

    run_foreground(existing_root(root), once=True, now=now, wait=wait, json=json)


def status(*, root: Root = None, json: Json = False, csv: Csv = False, output: Output = None) -> None:
    """Show what each tier holds, what is due, and what is open."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.retention.status()
    columns = ("dataset", "tier", "files", "rows", "size_bytes")
    rows = [
        (dataset, tier, sums["files"], sums["rows"], sums["size_bytes"])
        for dataset, tiers in found["tiers"].items()
        for tier, sums in tiers.items()
    ]

    def show(console: Console) -> None:
        print_table(console, None, columns, rows)
        console.print(
            f"due: {found['due_rows']:,} rows to move, {found['due_merges']:,} merges, "
            f"{found['due_deletions']:,} deletions, {found['due_offloads']:,} files to offload; "
            f"open: {len(found['open_moves']):,} moves; "
            f"legal holds: {found['holds']:,}; replaced files that wait to be deleted: "
            f"{found['replaced_files']:,} (leases on them: {len(found['leases']):,}); "
            f"audit log: {found['audit_entries']:,} entries"
        )
        for url, sums in found["offloaded"].items():
            console.print(
                f"{escape(url)}: {sums['files']:,} files, {sums['size_bytes']:,} bytes, "
                f"of which {sums['here_bytes']:,} have a copy here",
                highlight=False,
                soft_wrap=True,
            )
        tell_doubt(console, found["clock_doubt"])

    print_answer(found, columns, rows, show, json=json, csv=csv, output=output)


def history(
    *,
    root: Root = None,
    last: Annotated[int, Parameter(help="How many entries; 0 means all.")] = 50,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
) -> None:
    """Show what was done to history: the end of the audit log, newest last."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        entries = store.retention.history(last or None)
    columns = ("entry", "occurred_at", "action", "dataset", "tier", "rows", "detail")
    rows: list[Sequence[Any]] = []
    answer = []
    for entry in entries:
        detail: dict[str, Any] = msgspec.json.decode(entry.detail)
        at: datetime = moment(entry.occurred_at)
        answer.append({**entry._asdict(), "occurred_at": at, "detail": detail})
        named = [detail.get(name) for name in ("dataset", "tier", "rows")]
        rows.append((entry.entry, at, entry.action, *named, entry.detail))

    def show(console: Console) -> None:
        print_table(console, None, columns[:-1], [row[:-1] for row in rows])

    print_answer({"entries": answer}, columns, rows, show, json=json, csv=csv, output=output)


def _planned(retention: DataRetentionManager, now_us: int | None) -> Iterator[_Planned]:
    for move in retention.plan(now_us):
        unit = move.unit
        period = _period(unit.start_us, unit.end_us)
        yield _Planned("move", unit.dataset, period, move.tier, move.row_count, None, move.reason)
    for deletion in retention.plan_deletions(now_us):
        file = deletion.file
        period = _period(file.time_min_us, min(file.time_max_us + 1, deletion.before_us))
        rows = retention.rows_to_delete(deletion)
        yield _Planned("delete", file.dataset, period, file.tier, rows, 1, deletion.reason)
    for merge in retention.plan_merges(now_us):
        period = _period(merge.start_us, merge.end_us)
        count = len(merge.files)
        yield _Planned("merge", merge.dataset, period, merge.tier, merge.row_count, count, merge.reason)
    for file in retention.plan_offloads():
        period = _period(file.start_us, file.end_us)
        reason = f"{file.tier} files go to the object store"
        yield _Planned("offload", file.dataset, period, file.tier, file.row_count, 1, reason)


def _period(start_us: int, end_us: int) -> str:
    first, last = f"{moment(start_us):%Y-%m-%d}", f"{moment(end_us - 1):%Y-%m-%d}"
    return first if first == last else f"{first}..{last}"
