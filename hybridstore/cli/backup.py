"""``hybridstore backup``: backups, restores to any moment, proofs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, write_text
from hybridstore.config import default_root
from hybridstore.errors import ConfigError, NotFound
from hybridstore.reports.plain import json_text
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.backup.full import OnProgress
    from hybridstore.backup.healing import Wound
    from hybridstore.backup.manager import BackupManager
    from hybridstore.backup.points import RestorePoint

Base = Annotated[
    Path | None,
    Parameter(
        name=["--from", "--base"],
        help="The folder of the backups, where the store or its configuration is gone. Default: the configuration's.",
    ),
]


def now(
    *,
    root: Root = None,
    incremental: Annotated[
        bool,
        Parameter(negative="", help="Only ship what was committed since the last backup; no full copy."),
    ] = False,
    begin_anew: Annotated[
        bool,
        Parameter(negative="", help="Also where the folder of the backups is empty and held some before."),
    ] = False,
    json: Json = False,
) -> None:
    """Back the store up now: a full copy, or with --incremental what was committed since the last."""
    manager = _manager(existing_root(root))
    if begin_anew:
        manager.begin_anew()
    if incremental:
        seq = manager.create_incremental()
        _tell(json, {"last_commit": seq}, f"every commit up to {seq} is safe in {manager.base}")
        return
    with _progress(json) as progress:
        full = manager.create_full(progress)
    text = (
        f"commit {full.seq} of {moment(full.ts_us).isoformat()}: {full.raw_bytes:,} bytes in {full.size_bytes:,} "
        f"({manager.base / full.path})"
    )
    _tell(json, {**full.to_dict(), "path": str(manager.base / full.path)}, text)


def status(*, root: Root = None, base: Base = None, json: Json = False) -> None:
    """Show how the backups are doing: who ships, how far it is, what was proven."""
    found = _manager(root, base).status()
    if json:
        write_text(json_text(found), None)
        return
    console = Console()
    for name, value in found.items():
        if name != "warning":
            told = f"{value:,}" if isinstance(value, int) and name == "size_bytes" else value
            console.print(f"{name.replace('_', ' ')}: {escape(str(told))}", highlight=False, soft_wrap=True)
    if found["warning"]:
        console.print(f"[yellow]warning:[/] {escape(found['warning'])}", highlight=False, soft_wrap=True)


def list_(
    *, root: Root = None, base: Base = None, json: Json = False, csv: Csv = False, output: Output = None
) -> None:
    """Show which moments can be restored, and the marks."""
    manager = _manager(root, base)
    points, marks = manager.restore_points(), manager.marks()
    columns = ("chain", "from", "to", "first commit", "last commit", "fulls", "segments", "begun because")
    rows = [_row(point) for point in points]

    def show(console: Console) -> None:
        print_table(console, None, columns, rows)
        for mark in marks:
            console.print(
                f"mark {escape(mark.name)}: commit {mark.seq} of {moment(mark.ts_us).isoformat()}",
                highlight=False,
            )

    answer = {"restore_points": [_told(point) for point in points], "marks": marks}
    print_answer(answer, columns, rows, show, json=json, csv=csv, output=output)


def verify(
    *,
    root: Root = None,
    base: Base = None,
    level: Annotated[
        Literal["files", "chain", "restore"],
        Parameter(
            help="files: every file is what was written; chain: also that every commit follows the one before; "
            "restore: also that the latest moment can be restored."
        ),
    ] = "chain",
    json: Json = False,
) -> None:
    """Prove the backups themselves. Exit code 1: something is wrong; each file and what can be restored is named."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from hybridstore.operations.signals import obey_signals

    manager = _manager(root, base)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with obey_signals() as stop, Progress(*columns, transient=True, disable=json) as bar:
        task = bar.add_task("backups", total=None)
        found = manager.verify(
            level,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            stop=stop.is_set,
        )
    if json:
        answer = {**found.to_dict(), "points": [_told(one) for one in found.points], "holds": found.holds}
        write_text(json_text(answer), None)
    else:
        console = Console()
        for problem in found.problems:
            console.print(f"[red]wrong:[/] {escape(problem)}", highlight=False, soft_wrap=True)
        for point in found.points:
            chain, first, last, *_ = _row(point)
            console.print(f"chain {chain}: any moment from {first} to {last}", highlight=False)
        if found.restored_seq:
            console.print(f"commit {found.restored_seq} was restored and proven", highlight=False)
        console.print(
            f"{found.files:,} files, {found.size_bytes:,} bytes in {found.elapsed_s:.1f} s: "
            + ("everything is as it should be" if found.holds else f"wrong: {len(found.problems):,}")
        )
    if not found.holds:
        sys.exit(1)


def restore(
    target: Annotated[
        str,
        Parameter(
            help="What to restore: ISO 8601 with a zone (2026-01-31T12:00:00.123Z), microseconds since 1970, the "
            "number of a commit, the name of a mark, or latest."
        ),
    ],
    to: Annotated[
        Path | None,
        Parameter(help="A folder that does not exist or is empty. The store itself is not touched."),
    ] = None,
    *,
    in_place: Annotated[
        bool,
        Parameter(
            negative="", help="Put it where the store is; the old one is kept aside. Nobody may have it open."
        ),
    ] = False,
    before: Annotated[
        bool, Parameter(negative="", help="Leave out a commit of exactly that moment.")
    ] = False,
    root: Root = None,
    base: Base = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only say what would be restored, and from which files.")
    ] = False,
    json: Json = False,
) -> None:
    """Put the whole store back as it was at a moment: hot rows, manifest and archived files."""
    if (to is None) == (not in_place) and not dry_run:
        raise ConfigError("restore where to?", hint="give a folder, or --in-place; one of them")
    manager = _manager(root, base)
    if dry_run:
        planned = manager.plan_restore(target, inclusive=not before)
        _tell(json, planned.to_dict(), planned.sentence())
        return
    with _progress(json) as progress:
        if to is not None:
            result = manager.restore(target, to, inclusive=not before, progress=progress)
            aside = None
        else:
            result, aside = manager.restore_in_place(target, inclusive=not before, progress=progress)
    exact = (
        ""
        if result.exact
        else "; the backups end there: later commits may have been made that they do not hold"
    )
    kept = f"; the store that was there is in {aside}" if aside else ""
    text = (
        f"restored commit {result.seq} of {moment(result.ts_us).isoformat()} to {result.root}: "
        f"{result.database_bytes:,} bytes and {result.archive_files:,} archived files{exact}{kept}"
    )
    _tell(json, {**result.to_dict(), "aside": None if aside is None else str(aside)}, text)


def expire(
    *,
    root: Root = None,
    base: Base = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only show what would be deleted.")] = False,
    json: Json = False,
) -> None:
    """Delete what no moment of the last days needs, see keep_full_backups_days; with --dry-run only show it."""
    report = _manager(root, base).expire(dry_run=dry_run)
    if json:
        write_text(json_text({**report.to_dict(), "size_bytes": report.size_bytes}), None)
        return
    console = Console()
    print_table(
        console,
        None,
        ("file", "bytes", "why"),
        [(one.path, one.size_bytes, one.reason) for one in report.files],
    )
    done = "would be deleted" if dry_run else "were deleted"
    console.print(f"{len(report.files):,} files, {report.size_bytes:,} bytes {done}")


def heal(
    *,
    root: Root = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only show what is wrong.")] = False,
    json: Json = False,
) -> None:
    """Put archived files back that are gone or damaged. Exit code 1: some are still wrong; they are named."""
    manager = _manager(existing_root(root))
    with _progress(json) as progress:
        wounds = manager.heal(dry_run=dry_run, progress=lambda done, total: progress("reading", done, total))
    healed = sum(wound.is_healed for wound in wounds)
    if json:
        write_text(json_text({"files": [_told_of(wound) for wound in wounds]}), None)
    else:
        console = Console()
        for wound in wounds:
            known = "there is a copy of it" if wound.has_copy else "the backups have no copy of it"
            why = str(wound.error) if wound.error else "it was put back" if wound.is_healed else known
            console.print(
                f"{wound.wrong}: {escape(f'{wound.file.path}: {why}')}", highlight=False, soft_wrap=True
            )
        console.print(f"{len(wounds):,} files are wrong, {healed:,} were put back", highlight=False)
    if healed < len(wounds):
        sys.exit(1)


def mark(
    name: Annotated[str, Parameter(help="The name; it begins with a letter.")],
    *,
    root: Root = None,
    json: Json = False,
) -> None:
    """Give the present a name, to restore it by later."""
    made = _manager(existing_root(root)).mark(name)
    _tell(
        json, made.to_dict(), f"commit {made.seq} of {moment(made.ts_us).isoformat()} is marked {made.name}"
    )


def _manager(root: Path | None, base: Path | None = None) -> BackupManager:
    """Return the manager of a store, which need not be there where its backups are."""
    import msgspec

    from hybridstore.backup.manager import BackupManager
    from hybridstore.config import load_settings

    settings = load_settings(root or default_root())
    backup = settings.backup
    if base is not None:
        backup = msgspec.structs.replace(backup, backup_base_path=str(base.absolute()))
    manager = BackupManager(settings.database, backup)
    if not manager.base.is_dir() and not settings.database.path.exists():
        raise NotFound(
            "there are no backups here",
            path=str(manager.base),
            hint="give --root, or the folder of the backups with --from",
        )
    return manager


def _row(point: RestorePoint) -> tuple[Any, ...]:
    first, last = (moment(ts_us).isoformat() for ts_us in (point.ts_first_us, point.ts_last_us))
    return (
        point.epoch,
        first,
        last,
        str(point.seq_first),
        str(point.seq_last),
        point.fulls,
        point.segments,
        point.reason,
    )


def _told(point: RestorePoint) -> dict[str, Any]:
    return {
        **point.to_dict(),
        "from": moment(point.ts_first_us).isoformat(),
        "to": moment(point.ts_last_us).isoformat(),
    }


def _told_of(wound: Wound) -> dict[str, Any]:
    return {
        "path": wound.file.path,
        "wrong": wound.wrong,
        "has_copy": wound.has_copy,
        "healed": wound.is_healed,
        "error": None if wound.error is None else str(wound.error),
    }


def _tell(json: bool, answer: dict[str, Any], text: str) -> None:  # noqa: FBT001  as the option is
    if json:
        write_text(json_text(answer), None)
    else:
        Console().print(escape(text), highlight=False, soft_wrap=True)


@contextmanager
def _progress(json: bool) -> Iterator[OnProgress]:  # noqa: FBT001  as the option is
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=json) as bar:
        task = bar.add_task("looking", total=None)

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield advance
