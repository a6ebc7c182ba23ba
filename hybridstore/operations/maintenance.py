"""Scheduled work in a process of its own: moves hold the interpreter lock for milliseconds, a bot must not feel that.

``hybridstore run`` serves a store; ``python -m hybridstore.operations.maintenance ROOT`` is the child that
:func:`run_in_process` starts, which prints its progress and its report as JSON lines.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hybridstore.clock import Clock, ManualClock
from hybridstore.config import load_settings
from hybridstore.errors import MoveFailed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.retention.manager import DataRetentionManager, MoveReport, Progress
from hybridstore.schema.types import check_timestamp

OnProgress = Callable[[Progress], None]


def run_once(root: Path, *, now_us: int | None = None, progress: OnProgress | None = None) -> MoveReport:
    """Open a store, move what is due, close it.

    Args:
        root: The store's folder.
        now_us: Act as if it were this moment, us UTC; None means the machine's clock.
        progress: Called as rows are moved.

    Returns:
        What was moved.
    """
    settings = load_settings(root)
    clock: Clock | None = None if now_us is None else ManualClock(now_us)
    database = DatabaseManager(settings.database, clock=clock)
    database.open()
    try:
        SchemaManager(database).initialize()
        return DataRetentionManager(database, settings.retention).run(progress=progress)
    finally:
        database.shutdown()


def run_in_process(
    root: Path, *, now_us: int | None = None, progress: OnProgress | None = None
) -> MoveReport:
    """Do :func:`run_once` in a process of its own and wait for it.

    Args:
        root: The store's folder.
        now_us: Act as if it were this moment, us UTC; None means the machine's clock.
        progress: Called as rows are moved.

    Returns:
        What was moved.

    Raises:
        MoveFailed: The process failed; its own words are in the message.
    """
    command = [sys.executable, "-m", __spec__.name, str(root)]
    if now_us is not None:
        command += ["--now-us", str(now_us)]
    with subprocess.Popen(  # noqa: S603  our own interpreter and module
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        complaints: list[str] = []
        reader = threading.Thread(target=lambda: complaints.extend(child.stderr or ()), daemon=True)
        reader.start()
        report: MoveReport | None = None
        for line in child.stdout:
            message: dict[str, Any] = msgspec.json.decode(line)
            if "progress" in message and progress:
                progress(msgspec.convert(message["progress"], Progress))
            elif "report" in message:
                report = msgspec.convert(message["report"], MoveReport)
        reader.join()
    if child.returncode or report is None:
        raise MoveFailed(
            f"the maintenance process ended with code {child.returncode}: {''.join(complaints[-5:]).strip()}",
            path=str(root),
            hint="what it had begun is finished by the next run",
        )
    return report


def serve(
    root: Path,
    *,
    once: bool = False,
    interval_s: float = 3600.0,
    now: str | None = None,
    progress: OnProgress | None = None,
    on_report: Callable[[MoveReport], None] | None = None,
    stop: threading.Event | None = None,
) -> MoveReport:
    """Move what is due, again and again.

    Args:
        root: The store's folder.
        once: Stop after the first round.
        interval_s: Seconds between rounds.
        now: Act as if it were this moment (ISO 8601 with a zone); only with ``once``.
        progress: Called as rows are moved.
        on_report: Called after each round.
        stop: Ends the service when set.

    Returns:
        The last round's report.
    """
    now_us = None if now is None else check_timestamp(now, "now")
    stop = stop or threading.Event()
    while True:
        report = run_once(root, now_us=now_us if once else None, progress=progress)
        if on_report:
            on_report(report)
        if once or stop.wait(interval_s):
            return report


def _write_line(message: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run one round for :func:`run_in_process`."""
    parser = argparse.ArgumentParser(
        prog="python -m hybridstore.operations.maintenance", description=run_once.__doc__
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--now-us", type=int)
    arguments = parser.parse_args()
    report = run_once(
        arguments.root,
        now_us=arguments.now_us,
        progress=lambda progress: _write_line({"progress": progress}),
    )
    _write_line({"report": report})


if __name__ == "__main__":
    main()
