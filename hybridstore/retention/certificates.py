"""Deletion certificates: what was deleted, under which policy, and when its bytes were destroyed. Pure.

A certificate is an entry of the audit log, so nobody can change or drop one without breaking the chain of hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hybridstore.records import Record
from hybridstore.retention.audit import AuditEntry


class Certificate(Record, frozen=True, gc=False):
    """Proof of one deletion.

    Attributes:
        entry: Its number in the audit log.
        sha256: Hash of that entry, which all later ones build on.
        replacement_id: The deletion's id.
        dataset: Whose rows.
        policy: Under which policy.
        reason: Why, in words.
        rows: How many.
        time_min_us: The earliest of them, us UTC.
        time_max_us: The latest, us UTC.
        sums: Exact sum of each MONEY and TICK column, decimal text.
        source: Path and SHA-256 of the file they were in.
        holds: Legal holds that kept other rows of that file.
        deleted_us: From when on they did not count, us UTC.
        restored_rows: How many of them a legal hold brought back before they were destroyed.
        destroyed_us: When the file was deleted, us UTC; None while it is still there.
    """

    entry: int
    sha256: str
    replacement_id: str
    dataset: str
    policy: str
    reason: str
    rows: int
    time_min_us: int
    time_max_us: int
    sums: dict[str, str]
    source: dict[str, str]
    holds: tuple[str, ...]
    deleted_us: int
    restored_rows: int
    destroyed_us: int | None


def certificates(entries: Iterable[AuditEntry]) -> list[Certificate]:
    """Return the certificates of an audit log.

    Args:
        entries: The log, in order.

    Returns:
        One for each deletion, oldest first.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.action not in {"delete", "restore", "collect"}:
            continue
        detail: dict[str, Any] = msgspec.json.decode(entry.detail)
        if entry.action == "delete" and detail["rows"]:  # one without rows only put held ones apart
            source = detail["replaces"][0]
            found[detail["replacement_id"]] = {
                **{name: detail[name] for name in _COPIED},
                "entry": entry.entry,
                "sha256": entry.sha256,
                "source": {"path": source["path"], "sha256": source["sha256"]},
                "holds": tuple(detail["holds"]),
                "deleted_us": entry.occurred_at,
                "restored_rows": 0,
                "destroyed_us": None,
            }
        elif entry.action == "restore" and detail["deletion"] in found:
            found[detail["deletion"]]["restored_rows"] += detail["rows"]
        elif entry.action == "collect" and detail["replacement_id"] in found:
            found[detail["replacement_id"]]["destroyed_us"] = entry.occurred_at
    return [Certificate(**values) for values in found.values()]


_COPIED = ("replacement_id", "dataset", "policy", "reason", "rows", "time_min_us", "time_max_us", "sums")
