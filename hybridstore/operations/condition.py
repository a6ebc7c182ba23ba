"""What is known of a root's maintenance: the lock that says who does it, the file that says how it goes.

The process that does the work holds ``maintenance.lock`` and writes ``maintenance.json``. The lock goes with the
process, however it ends; so the file says what is the case only while the lock is held, and what was, otherwise.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hybridstore.durable import PRIVATE_FILE_MODE, write_file
from hybridstore.records import Record

if TYPE_CHECKING:
    import filelock

LOCK_NAME = "maintenance.lock"
CONDITION_NAME = "maintenance.json"
_TRIES = 25
_PAUSE_S = 0.01
"""On Windows a file cannot be replaced in the moment another process reads it."""

Owner = Literal["bot", "service"]
"""On whose behalf it runs: ``bot``: started and watched by a bot's process; ``service``: ``hybridstore run``."""


class Condition(Record, frozen=True, gc=False):
    """How a maintenance process is doing; moments are ISO 8601.

    Attributes:
        pid: Its process.
        owner: On whose behalf it runs.
        owner_pid: The bot's process, where a bot started it.
        started_at: When it began.
        restarts: How often its bot had to start it again.
        rounds: Rounds it has finished, failed ones included.
        rows_moved: Rows it has moved in all of them.
        round_started_at: When the round that is running began; None between rounds.
        progress: How far that round is: dataset, day, rows_done, rows_total.
        last_round_at: When the last round ended.
        last_report: What the last good round did (see MoveReport).
        last_error: Why the last round failed; None when it did not.
        next_round_at: When the next round begins.
        last_equity: The last equity snapshots by the clock: taken_at, snapshots, lag_ms, failed (see EquityReport).
        last_reports: The last reports: written_at, pages, failed (see ReportsWritten).
    """

    pid: int
    owner: Owner
    owner_pid: int | None
    started_at: str
    restarts: int = 0
    rounds: int = 0
    rows_moved: int = 0
    round_started_at: str | None = None
    progress: dict[str, Any] | None = None
    last_round_at: str | None = None
    last_report: dict[str, Any] | None = None
    last_error: str | None = None
    next_round_at: str | None = None
    last_equity: dict[str, Any] | None = None
    last_reports: dict[str, Any] | None = None

    def who(self) -> str:
        """Say which process it is.

        Returns:
            For example "process 12, started by the bot with process 7".
        """
        if self.owner == "bot":
            return f"process {self.pid}, started by the bot with process {self.owner_pid}"
        return f"process {self.pid}, hybridstore run"


def maintenance_lock(root: Path, timeout_s: float = 0.0) -> filelock.BaseFileLock:
    """Return the lock of a root's maintenance, not yet taken.

    Args:
        root: The store's folder.
        timeout_s: How long ``acquire()`` waits for it.

    Returns:
        The lock.
    """
    import filelock

    return filelock.FileLock(root / LOCK_NAME, timeout=timeout_s, mode=PRIVATE_FILE_MODE)


def is_maintained(root: Path) -> bool:
    """Say whether a process does the maintenance of a root now.

    Args:
        root: The store's folder.

    Returns:
        Whether its lock is held.
    """
    import filelock

    if not (root / LOCK_NAME).exists():
        return False
    for _ in range(2):  # another that only looks holds it for a moment, too
        try:
            with maintenance_lock(root).acquire():
                return False
        except filelock.Timeout:
            time.sleep(0.001)
        except OSError:  # a folder that this process may only read: whoever maintains it is somebody else
            return True
    return True


def write_condition(root: Path, condition: Condition) -> None:
    """Write how it goes, whole.

    Args:
        root: The store's folder.
        condition: What to write.
    """
    content = msgspec.json.format(msgspec.json.encode(condition.to_dict()), indent=1)
    for _ in range(_TRIES - 1):
        with suppress(PermissionError):
            write_file(root / CONDITION_NAME, content)
            return
        time.sleep(_PAUSE_S)
    write_file(root / CONDITION_NAME, content)


def read_condition(root: Path) -> Condition | None:
    """Read what the process that does (or did) the maintenance wrote last.

    Args:
        root: The store's folder.

    Returns:
        Its words; None where none are readable.
    """
    try:
        return msgspec.json.decode((root / CONDITION_NAME).read_bytes(), type=Condition)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def maintenance_status(root: Path) -> dict[str, Any]:
    """Return the condition of a root's maintenance as seen from outside.

    Args:
        root: The store's folder.

    Returns:
        state (``running`` or ``off``) and the fields of :class:`Condition`, None where they are not known.
    """
    return describe("running" if is_maintained(root) else "off", read_condition(root))


def maintenance_warnings(status: dict[str, Any]) -> list[str]:
    """Say what of a root's maintenance an operator should look at.

    Args:
        status: What :func:`maintenance_status` or a supervisor returned.

    Returns:
        Sentences.
    """
    failed = (status["last_equity"] or {}).get("failed", {})
    warnings = [f"no snapshot was taken of the equity of {account}: {why}" for account, why in failed.items()]
    if doubt := (status["last_report"] or {}).get("clock_doubt"):
        warnings.append(
            f"nothing more is deleted by policy: {doubt}; if the clock is right, run: "
            "hybridstore retention confirm-clock"
        )
    if status["state"] == "failed":
        return [f"maintenance failed and is started again: {status['last_error']}", *warnings]
    if status["state"] != "off" and status["last_error"]:
        return [f"the last round of maintenance failed: {status['last_error']}", *warnings]
    return warnings


def describe(state: str, condition: Condition | None) -> dict[str, Any]:
    """Put a state and what was last written together; what only a running process has is left out for others.

    Args:
        state: running, standby, starting, failed or off.
        condition: What was last written.

    Returns:
        state and the fields of :class:`Condition`.
    """
    fields = dict.fromkeys(Condition.__struct_fields__) if condition is None else condition.to_dict()
    if state not in {"running", "standby"}:
        now_only = (
            "pid",
            "owner",
            "owner_pid",
            "started_at",
            "round_started_at",
            "progress",
            "next_round_at",
        )
        fields |= dict.fromkeys(now_only)
    return {"state": state, **fields}


def describe_maintenance(status: dict[str, Any]) -> str:
    """Say in one line how a root's maintenance is doing.

    Args:
        status: What :func:`maintenance_status` or a supervisor returned.

    Returns:
        For example "running (process 12, hybridstore run); last round 2026-08-03 12:00:00 UTC".
    """
    words = [status["state"]]
    if status["pid"]:
        by = f"for the bot with process {status['owner_pid']}" if status["owner_pid"] else "hybridstore run"
        words[0] += f" (process {status['pid']}, {by})"
    if status["round_started_at"]:
        done = status["progress"]
        words.append(
            f"moving {done['dataset']} of {done['day']}: {done['rows_done']:,} of {done['rows_total']:,} rows"
            if done
            else "a round is under way"
        )
    if status["last_round_at"]:
        words.append(f"last round {_seconds(status['last_round_at'])}")
    if status["next_round_at"]:
        words.append(f"next {_seconds(status['next_round_at'])}")
    if status["last_equity"]:
        words.append(f"last equity {_seconds(status['last_equity']['taken_at'])}")
    return "; ".join(words)


def _seconds(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"
