"""What the logs say: one JSON object a line, and the figures of a minute."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hybridstore.clock import SECOND_US

SQL_LENGTH_MAX = 200
_SQL_READ_MAX = 4000
_STEPS = 16
"""Of one doubling: a percentile is given at most 4.5 % too large."""
_CONSTANT = re.compile(
    r"""(?P<dropped>--[^\n]*|/\*.*?(?:\*/|$))"""
    r"""|\b[eE]'(?:\\.|[^'\\]|'')*(?:'|\\?$)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$)"""
    r"""|(?P<kept>"(?:[^"]|"")*"|\?\d*|[^\W\d][\w$]*|[$:@]\w+)"""  # names and parameters, with the digits in them
    r"""|'(?:[^']|'')*(?:'|$)|\.?\d(?:[eE][+-]|[\w.])*""",
    re.DOTALL,
)
"""Everything that is a constant, and what only looks like one. A constant that is cut off reaches to the end."""


def shape_of(sql: str) -> str:
    """Return a statement without its constants, so that the same question has the same text and tells nobody's values.

    Args:
        sql: The statement.

    Returns:
        It on one line, every constant a ``?``, cut after 200 characters.
    """
    shape = _CONSTANT.sub(_mask, sql[:_SQL_READ_MAX])
    return " ".join(shape.split())[:SQL_LENGTH_MAX]


def _mask(found: re.Match[str]) -> str:
    if found["dropped"]:
        return " "
    return found["kept"] or "?"


class Lines:
    """Writes the lines of one process. Used in one thread."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._second = -1
        self._stamp = ""
        self._single: dict[str, str] = {}

    def commit(
        self, seq: int, ts_us: int, duration_s: float, done: Mapping[Any, int] | object, *, full: bool
    ) -> str:
        """Return the line of a commit. Built by hand, for there may be thousands a second.

        Args:
            seq: Its number.
            ts_us: Its time, us UTC.
            duration_s: How long the transaction took.
            done: The one operation, or how often each was done.
            full: Whether it was flushed to the device.

        Returns:
            The line.
        """
        if isinstance(done, Counter):
            operations, names = done.total(), encode(by_name(done))
        else:
            operations, names = 1, self._name(done)
        return (
            f'{{"ts":"{self.time(ts_us)}","pid":{self._pid},"event":"commit","seq":{seq},"operations":{operations},'
            f'"by_operation":{names},"duration_ms":{duration_s * 1000:.3f},'
            f'"durability":"{"full" if full else "normal"}"}}\n'
        )

    def event(self, name: str, ts_us: int, fields: Mapping[str, Any]) -> str:
        """Return any other line.

        Args:
            name: What happened.
            ts_us: When, us UTC.
            fields: What else there is to say.

        Returns:
            The line.
        """
        return encode({"ts": self.time(ts_us), "pid": self._pid, "event": name, **fields}) + "\n"

    def time(self, ts_us: int) -> str:
        """Write a moment as ISO 8601 with milliseconds.

        Args:
            ts_us: The moment, us UTC.

        Returns:
            For example ``2026-08-01T12:00:00.123Z``.
        """
        second, us = divmod(ts_us, SECOND_US)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._stamp}.{us // 1000:03d}Z"

    def _name(self, operation: object) -> str:
        name = name_of(operation)
        known = self._single.get(name)
        if known is None:
            known = self._single[name] = encode({name: 1})
        return known


def encode(fields: Mapping[str, Any]) -> str:
    """Write an object as JSON on one line.

    Args:
        fields: The object.

    Returns:
        Its JSON.
    """
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def name_of(operation: object) -> str:
    """Return the name of a write operation.

    Args:
        operation: What the writer called, or its name.

    Returns:
        Its name.
    """
    return (
        operation
        if isinstance(operation, str)
        else str(getattr(operation, "__name__", type(operation).__name__))
    )


def by_name(done: Mapping[Any, int]) -> dict[str, int]:
    """Count by name.

    Args:
        done: How often each operation was done.

    Returns:
        How often each name was.
    """
    counts: dict[str, int] = {}
    for operation, count in done.items():
        name = name_of(operation)
        counts[name] = counts.get(name, 0) + count
    return counts


class Figures:
    """Sums of a minute.

    Attributes:
        commits: Transactions that were committed.
        operations: Pieces of work in them.
        failed: Transactions that failed.
        slow: Slow reads, queries and writes.
    """

    def __init__(self) -> None:
        self.commits = self.operations = self.failed = self.slow = 0
        self._max_s = 0.0
        self._counts: dict[int, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.commits or self.failed or self.slow)

    def add(self, duration_s: float, operations: int) -> None:
        """Add a commit.

        Args:
            duration_s: How long it took.
            operations: Its pieces of work.
        """
        self.commits += 1
        self.operations += operations
        self._max_s = max(self._max_s, duration_s)
        step = math.ceil(math.log2(max(duration_s, 1e-9)) * _STEPS)
        self._counts[step] = self._counts.get(step, 0) + 1

    def percentile_ms(self, share: float) -> float:
        """Return what so large a share of the commits did not exceed, at most 4.5 % too large.

        Args:
            share: Between 0 and 1.

        Returns:
            Milliseconds; 0 where there was no commit.
        """
        wanted = math.ceil(share * self.commits)
        seen = 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= wanted:
                return float(min(2 ** (step / _STEPS), self._max_s)) * 1000
        return 0.0

    def fields(self) -> dict[str, Any]:
        """Return what a summary says.

        Returns:
            commits, operations, failed, slow, commit_p50_ms, commit_p99_ms, commit_max_ms.
        """
        return {
            "commits": self.commits,
            "operations": self.operations,
            "failed": self.failed,
            "slow": self.slow,
            "commit_p50_ms": round(self.percentile_ms(0.5), 3),
            "commit_p99_ms": round(self.percentile_ms(0.99), 3),
            "commit_max_ms": round(self._max_s * 1000, 3),
        }
