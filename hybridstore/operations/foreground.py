"""``hybridstore run``: maintenance in the foreground, for a terminal, cron or a service manager."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from hybridstore.backup.round import back_up_once
from hybridstore.clock import SystemClock
from hybridstore.config import Settings, load_settings
from hybridstore.errors import ConfigError
from hybridstore.operations.maintenance import WAIT_S, OnProgress, run_once
from hybridstore.operations.report_job import ReportsWritten, are_due, write_reports
from hybridstore.operations.service import serve
from hybridstore.operations.signals import obey_signals
from hybridstore.retention.progress import MoveReport, Progress
from hybridstore.schema.types import check_timestamp


def run_foreground(
    root: Path,
    *,
    once: bool = False,
    interval_s: float | None = None,
    now: str | None = None,
    wait: bool = True,
    json: bool = False,
    metrics_port: int | None = None,
    metrics_host: str | None = None,
) -> None:
    """Maintain a store, telling what is done, until SIGTERM or Ctrl-C.

    Args:
        root: The store's folder.
        once: Do one round, back the store up, write the reports that are due, and return.
        interval_s: Seconds between rounds; None means the configuration's.
        now: Plan as if it were this moment (ISO 8601 with a zone); only with ``once``.
        wait: Where another process maintains the store: wait for its end.
        json: Tell in JSON lines.
        metrics_port: Answer ``/health`` and ``/metrics`` there meanwhile; None means the configuration's port.
        metrics_host: The address to listen on; None means the configuration's.

    Raises:
        ConfigError: A port is given with ``once``, which answers to nobody.
        StoreBusy: Another process maintains the store, and its end was not to be waited for.
    """
    if once and metrics_port:
        raise ConfigError("--metrics-port with --once", hint="hybridstore metrics prints the figures once")
    settings = _settings(root, interval_s, metrics_port, metrics_host)
    now_us = None if now is None else check_timestamp(now, "now")
    errors = Console(stderr=True)
    with obey_signals() as stop, _teller(json=json) as (on_report, progress):
        if once:
            wait_s = WAIT_S if wait else 0.0
            on_report(run_once(settings, now_us=now_us, wait_s=wait_s, progress=progress, stop=stop.is_set))
            if settings.backup.mode != "off" and now_us is None and not stop.is_set():
                back_up_once(settings.database, settings.backup, SystemClock())
            if now_us is None and not stop.is_set() and are_due(settings, time.time()):
                _tell_failed(write_reports(settings), errors)
            return
        serve(
            settings,
            stop,
            on_standby=(lambda said: errors.print(f"{escape(said)}; waiting for its end")) if wait else None,
            on_report=on_report,
            on_error=lambda error: errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False),
            progress=progress,
        )


def _tell_failed(written: ReportsWritten, errors: Console) -> None:
    for account, why in written.failed.items():
        errors.print(
            f"[yellow]warning:[/] no report of {escape(account)}: {escape(why)}",
            highlight=False,
            soft_wrap=True,
        )


def _settings(
    root: Path, interval_s: float | None, metrics_port: int | None, metrics_host: str | None
) -> Settings:
    settings = load_settings(root)
    metrics = msgspec.structs.replace(
        settings.metrics,
        port=settings.metrics.port if metrics_port is None else metrics_port,
        host=settings.metrics.host if metrics_host is None else metrics_host,
    )
    settings = msgspec.structs.replace(settings, metrics=metrics)
    if interval_s is None:
        return settings
    maintenance = msgspec.structs.replace(settings.maintenance, interval_s=interval_s)
    return msgspec.structs.replace(settings, maintenance=maintenance)


@contextmanager
def _teller(*, json: bool) -> Iterator[tuple[Callable[[MoveReport], None], OnProgress | None]]:
    """Yield what tells of a report and of progress."""
    if json:
        yield _print_json, None
        return
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("looking for rows that are old enough", total=None)

        def advance(step: Progress) -> None:
            text = f"{step.dataset} {step.day}"
            bar.update(task, description=text, completed=step.rows_done, total=step.rows_total)

        def tell(report: MoveReport) -> None:
            console.print(
                f"moved {report.rows:,} rows into {report.files} files ({report.size_bytes:,} bytes) "
                f"in {report.elapsed_s:.1f} s, {report.rows_per_s:,.0f} rows/s"
                f"{_others(report)}{'' if report.complete else '; stopped early, the next run goes on'}"
            )
            if report.clock_doubt is not None:
                console.print(
                    f"[yellow]warning:[/] {escape(report.clock_doubt)}: nothing more is deleted; if the clock is "
                    "right, run hybridstore retention confirm-clock",
                    highlight=False,
                    soft_wrap=True,
                )

        yield tell, advance


def _others(report: MoveReport) -> str:
    """Say what was done beside moving."""
    told = {
        f"{report.merged:,} files of {report.merged_rows:,} rows were merged": report.merged,
        f"{report.deleted_rows:,} rows older than their policy keeps were deleted": report.deleted_rows,
        f"{report.restored_rows:,} rows under a legal hold were brought back": report.restored_rows,
        f"{report.collected:,} replaced files were deleted": report.collected,
        f"{report.offloaded:,} files were put into the object store": report.offloaded,
        f"{report.evicted_bytes:,} bytes of copies of what is there were deleted here": report.evicted_bytes,
        f"the database got {report.freed_bytes:,} bytes smaller": report.freed_bytes,
    }
    return "".join(f"; {sentence}" for sentence, is_so in told.items() if is_so)


def _print_json(report: MoveReport) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()
