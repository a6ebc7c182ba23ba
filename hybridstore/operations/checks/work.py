"""Who works on a store: its maintenance, the machine's clock, other SQLite libraries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hybridstore.operations.condition import maintenance_status
from hybridstore.operations.findings import Ailment, Case, ailment
from hybridstore.retention.trusted_clock import read_trust

_REST_S = 86_400.0
"""A store that was maintained within this is not told: a bot that trades by day ends at night."""
_LATE_S = 3_600.0
"""So much later than it was to begin a round is late: a machine may have slept."""
_CODES = {"second_sqlite": "second-sqlite", "clock": "clock-ahead"}
"""Guards of the store that no check before it was opened looks at."""


def check_maintenance(case: Case) -> list[Ailment]:
    """Look whether somebody maintains the store, and how the last round went."""
    status = maintenance_status(case.root)
    told = _state(status)
    if status["last_error"]:
        what = f"the last round of maintenance failed: {status['last_error']}"
        told.append(ailment("maintenance-failed", what, "see to what it names, then: hybridstore run --once"))
    return told


def _state(status: dict[str, Any]) -> list[Ailment]:
    now, last = datetime.now(UTC), _moment(status["last_round_at"])
    if status["state"] == "off":
        if last is not None and (now - last).total_seconds() < _REST_S:
            return []
        when = "never" if last is None else f"last at {last.isoformat(timespec='seconds')}"
        remedy = "hybridstore run, as a service: see deploy/; a bot with maintenance='auto' does it, too"
        return [ailment("maintenance-off", f"nobody maintains this store; a round ended {when}", remedy)]
    due = _moment(status["next_round_at"])
    if due is not None and status["round_started_at"] is None and now - due > timedelta(seconds=_LATE_S):
        what = f"process {status['pid']} was to begin a round at {due.isoformat(timespec='seconds')}"
        return [ailment("maintenance-late", what, "see what holds it up, or end it and start it again")]
    return []


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def check_clock(case: Case) -> list[Ailment]:
    """Look whether the machine's clock is believed."""
    doubt = read_trust(case.database).doubt
    if doubt is None:
        return []
    remedy = "set the clock right; where it is right: hybridstore retention confirm-clock"
    return [ailment("clock-doubt", f"nothing more is deleted by policy: {doubt}", remedy)]


def check_guards(case: Case) -> list[Ailment]:
    """Ask the guards of the open store."""
    return [
        ailment(
            _CODES[report.guard],
            report.message,
            report.remedy,
            severity="error" if report.state == "alarm" else "warning",
        )
        for report in case.database.guards()
        if report.state != "ok" and report.guard in _CODES
    ]


CHECKS = (check_maintenance, check_clock, check_guards)
