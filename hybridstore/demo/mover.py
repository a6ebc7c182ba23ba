"""The tiering job in a process of its own, as it runs beside a bot."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.errors import MoveFailed
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 600


def run_mover(root: Path, now_us: int) -> dict[str, Any]:
    """Run the maintenance process once and wait for it.

    Args:
        root: The store's folder; another process may have the store open.
        now_us: The moment by which ages are measured, microseconds UTC.

    Returns:
        What the process reported: the fields of its move report.

    Raises:
        MoveFailed: The process ended with an error or did not end in ten minutes.
    """
    now = moment(now_us).isoformat()
    command = [sys.executable, "-m", "hybridstore", "run", "--once", "--json"]
    try:
        ended = subprocess.run(  # noqa: S603  this interpreter, this package, a path without a shell
            [*command, "--root", str(root), "--now", now],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MoveFailed(
            f"the tiering job did not end in {_TIMEOUT_S} s", operation="move", path=str(root)
        ) from error
    if ended.returncode:
        raise MoveFailed(
            f"the tiering job ended with code {ended.returncode}: {ended.stderr.strip()[-2000:]}",
            operation="move",
            path=str(root),
            hint=f"run it by hand: {' '.join(command)} --root {root} --now {now}",
        )
    report: dict[str, Any] = msgspec.json.decode(ended.stdout)
    return report
