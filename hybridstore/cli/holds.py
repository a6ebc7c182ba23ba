"""Commands of ``hybridstore retention`` about what is kept, deleted and erased: holds, certificates, the clock."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, write_text
from hybridstore.reports.plain import json_text
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from datetime import datetime

    from hybridstore.retention.holds import Hold

By = Annotated[str | None, Parameter(help="By whose order. Default: the user who runs this.")]


def hold(
    dataset: Annotated[str, Parameter(help="Whose rows; '*' means every dataset that has tiers.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    by: By = None,
    start: Annotated[
        str | None, Parameter(help="From this moment on, ISO 8601 with a zone. Default: all.")
    ] = None,
    end: Annotated[str | None, Parameter(help="Before this moment. Default: for ever.")] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """Place a legal hold: nothing deletes these rows until it is released."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        placed = store.retention.hold(dataset, start, end, reason=reason, held_by=by or getpass.getuser())
    _tell("placed", placed, json=json)


def release(
    hold_id: Annotated[str, Parameter(help="Which, as `hybridstore retention holds` names it.")],
    /,
    *,
    by: By = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """End a legal hold; the next run deletes what only it kept."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        ended = store.retention.release(hold_id, released_by=by or getpass.getuser())
    _tell("released", ended, json=json)


def holds(
    *,
    root: Root = None,
    released: Annotated[bool, Parameter(negative="", help="Also those that ended.")] = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
) -> None:
    """Show legal holds."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.retention.holds(released=released)
    columns = ("hold_id", "dataset", "start", "end", "reason", "held_by", "placed_at", "released_at")
    rows = [
        (
            one.hold_id,
            one.dataset,
            _at(one.start_us),
            _at(one.end_us),
            one.reason,
            one.held_by,
            _at(one.placed_at),
            _at(one.released_at),
        )
        for one in found
    ]
    answer = {"holds": [dict(zip(columns, row, strict=True)) for row in rows]}

    def show(console: Console) -> None:
        print_table(console, None, columns, rows)
        console.print(f"{len(rows):,} legal holds" if rows else "there is no legal hold")

    print_answer(answer, columns, rows, show, json=json, csv=csv, output=output)


def certificates(*, root: Root = None, json: Json = False, csv: Csv = False, output: Output = None) -> None:
    """Show what was deleted by policy, with its proof in the audit log."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        found = store.retention.certificates()
    columns = ("entry", "dataset", "policy", "first", "last", "rows", "restored_rows", "deleted", "destroyed")
    rows = [
        (
            one.entry,
            one.dataset,
            one.policy,
            _at(one.time_min_us),
            _at(one.time_max_us),
            one.rows,
            one.restored_rows,
            _at(one.deleted_us),
            _at(one.destroyed_us),
        )
        for one in found
    ]

    def show(console: Console) -> None:
        print_table(console, None, columns, rows)
        gone = sum(one.rows - one.restored_rows for one in found)
        console.print(f"{len(found):,} certificates, {gone:,} rows" if found else "nothing was ever deleted")

    print_answer({"certificates": found}, columns, rows, show, json=json, csv=csv, output=output)


def erase(
    value: Annotated[str, Parameter(help="Every row with this value goes.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    by: By = None,
    column: Annotated[str, Parameter(help="In which column.")] = "account",
    dataset: Annotated[
        list[str] | None,
        Parameter(help="Only of this dataset; may be repeated. Default: all that have the column."),
    ] = None,
    yes: Annotated[
        bool, Parameter(negative="", help="Do it. Without this it is only counted what would go.")
    ] = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Erase every row with a value, for good, as the law may demand; without --yes it is only counted."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        done = store.retention.erase(
            column,
            value,
            reason=reason,
            ordered_by=by or getpass.getuser(),
            datasets=dataset,
            dry_run=not yes,
            wait_s=60.0,
        )
    if json:
        write_text(json_text(done), None)
        return
    console = Console()
    columns = ("dataset", "hot_rows", "archived_rows", "files", "versions")
    print_table(console, None, columns, [[getattr(one, name) for name in columns] for one in done.erased])
    rows = sum(one.hot_rows + one.archived_rows for one in done.erased)
    console.print(
        f"{rows:,} rows are erased" if yes else f"{rows:,} rows would be erased; give --yes to do it",
        soft_wrap=True,
    )


def confirm_clock(*, by: By = None, root: Root = None, json: Json = False) -> None:
    """Confirm that the machine's clock is right although it leapt, so that what is old enough is deleted again."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root), maintenance="off") as store:
        trust = store.retention.confirm_clock(by or getpass.getuser())
    if json:
        write_text(json_text({"now": moment(trust.now_us)}), None)
    else:
        Console().print(f"the clock is believed from {moment(trust.now_us):%Y-%m-%d %H:%M} UTC on")


def tell_doubt(console: Console, doubt: str | None) -> None:
    """Say that nothing more is deleted because the clock is in doubt.

    Args:
        console: Where.
        doubt: Why; None where it is not.
    """
    if doubt is not None:
        console.print(
            f"[yellow]warning:[/] {escape(doubt)}: nothing more is deleted; if the clock is right, run "
            "hybridstore retention confirm-clock",
            highlight=False,
            soft_wrap=True,
        )


def _tell(what: str, one: Hold, *, json: bool) -> None:
    if json:
        write_text(json_text({what: one}), None)
        return
    end = "for ever" if _at(one.end_us) is None else f"until {_at(one.end_us)}"
    start = "the beginning" if not one.start_us else _at(one.start_us)
    Console().print(
        f"{what} {one.hold_id}: {one.dataset} from {start} {end} ({one.reason})", markup=False, soft_wrap=True
    )


def _at(time_us: int | None) -> datetime | None:
    """Return a moment; None where there is none, or it is the end of time."""
    from hybridstore.retention.legal_desk import FOR_EVER_US

    return None if time_us is None or time_us >= FOR_EVER_US else moment(time_us)
