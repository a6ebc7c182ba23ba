"""The audit log's hash chain. Pure: an entry is made from the one before and proven the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

FIRST_PREVIOUS = "0" * 64
"""Stands for the hash before the first entry."""


class AuditEntry(NamedTuple):
    """One entry; the fields are the columns of ``audit_log``.

    Attributes:
        entry: 1 for the first, without gaps.
        occurred_at: When, us UTC.
        action: What was done.
        detail: To what, canonical JSON.
        previous_sha256: Hash of the entry before.
        sha256: Hash of this entry.
    """

    entry: int
    occurred_at: int
    action: str
    detail: str
    previous_sha256: str
    sha256: str


def next_entry(
    last: tuple[int, str] | None, occurred_us: int, action: str, detail: dict[str, Any]
) -> AuditEntry:
    """Make the entry that follows.

    Args:
        last: Number and hash of the last entry; None for an empty log.
        occurred_us: When, us UTC.
        action: What was done.
        detail: To what.

    Returns:
        The entry.
    """
    number, previous = (last[0] + 1, last[1]) if last else (1, FIRST_PREVIOUS)
    text = msgspec.json.encode(detail, order="sorted").decode()
    return AuditEntry(
        number, occurred_us, action, text, previous, _digest(number, occurred_us, action, text, previous)
    )


def broken_entry(entries: Iterable[AuditEntry]) -> int | None:
    """Find the first entry that does not follow from the one before.

    Args:
        entries: The log, in order.

    Returns:
        Its number, or None when the chain is whole.
    """
    number, previous = 0, FIRST_PREVIOUS
    for entry in entries:
        expected = _digest(entry.entry, entry.occurred_at, entry.action, entry.detail, entry.previous_sha256)
        if entry.entry != number + 1 or entry.previous_sha256 != previous or entry.sha256 != expected:
            return entry.entry
        number, previous = entry.entry, entry.sha256
    return None


def audit_head(last: AuditEntry | None) -> str | None:
    """Say where a log ends.

    Args:
        last: Its last entry; None for an empty log.

    Returns:
        Its number and hash; None for an empty log.
    """
    return None if last is None else f"{last.entry} {last.sha256}"


def manifest_problem(entries: Iterable[AuditEntry], digests: Mapping[str, str]) -> str | None:
    """Compare the manifest with what the log says was archived, replaced and deleted.

    Args:
        entries: The log.
        digests: SHA-256 of every file that counts as a whole, by file id.

    Returns:
        What is wrong first; None where exactly those files count that should, with the content they were made with.
    """
    made: dict[str, str] = {}
    gone: set[str] = set()
    for entry in entries:
        if entry.action not in {"move", "merge", "delete", "restore", "erase", "evolve"}:
            continue
        detail = msgspec.json.decode(entry.detail)
        if entry.action in {"move", "merge"}:
            made[detail["file_id"]] = detail["sha256"]
            gone.update(detail.get("replaces", ()))
        else:
            made.update({file["file_id"]: file["sha256"] for file in detail["files"]})
            gone.update(file["file_id"] for file in detail.get("replaces", ()))
    for file_id, sha256 in digests.items():
        if made.get(file_id) != sha256:
            return f"it says nothing of the file {file_id}"
        if file_id in gone:
            return f"it says that the file {file_id} was replaced, and it counts"
    if lost := made.keys() - gone - digests.keys():
        return f"it says that the file {min(lost)} counts, and it does not"
    return None


def _digest(number: int, occurred_us: int, action: str, detail: str, previous: str) -> str:
    content = msgspec.json.encode([number, occurred_us, action, detail, previous])
    return hashlib.sha256(content).hexdigest()
