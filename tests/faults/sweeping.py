"""Starts the process in which system calls fail, and tells what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.crash.shim import build_shim, run_under
from tests.faults.errno_process import Report, Request


def let_fail(
    folder: Path,
    seed: int,
    operations: Sequence[str],
    faults: Sequence[str],
    *,
    sample: int | None,
    timeout_s: float,
    mutant: str | None = None,
) -> Report:
    """Let calls of operations fail; skips the test where no library can be built.

    Args:
        folder: An empty folder to work in.
        seed: Of everything that is drawn.
        operations: Which.
        faults: With what.
        sample: How many calls of each operation with each fault; None for every one.
        timeout_s: How long it may take.
        mutant: The deliberate break of the protocol to work with.

    Returns:
        What came of it; the figures are printed.
    """
    library = build_shim(folder)
    request = Request(str(folder / "work"), seed, tuple(operations), tuple(faults), sample, mutant)
    (folder / "work").mkdir()
    arguments = ("-m", "tests.faults.errno_process", msgspec.json.encode(request).decode())
    told = run_under(library, arguments, timeout_s)
    report = msgspec.json.decode(told, type=Report)
    calls = {name: sum(by_fault.values()) for name, by_fault in report.calls.items()}
    print(
        f"{sum(calls.values()):,} calls that can fail {calls}, {report.injected:,} failures injected in"
        f" {report.attempts:,} attempts, errors: {report.errors}, {len(report.problems)} problems"
    )
    return report
