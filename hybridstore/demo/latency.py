"""How long calls take: every call is kept, so that the percentiles are counted and not estimated."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

from hybridstore.reports.data import LatencyRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Answer = TypeVar("Answer")


class LatencyBook:
    """Measures calls, by the name of their operation."""

    def __init__(self) -> None:
        self._calls_ns: dict[str, list[int]] = {}
        self._rows: dict[str, int] = {}

    def measure(self, operation: str, call: Callable[[], Answer], rows: int = 1) -> Answer:
        """Run a call and note its wall time; a call that fails is not noted.

        Args:
            operation: What is called.
            call: The call.
            rows: How many rows it records or returns.

        Returns:
            What the call returns.
        """
        begun_ns = time.perf_counter_ns()
        answer = call()
        took_ns = time.perf_counter_ns() - begun_ns
        self._calls_ns.setdefault(operation, []).append(took_ns)
        self._rows[operation] = self._rows.get(operation, 0) + rows
        return answer

    def rows(self) -> tuple[LatencyRow, ...]:
        """Return the figures of every operation, in the order of their first calls."""
        return tuple(
            _figures(operation, sorted(calls_ns), self._rows[operation])
            for operation, calls_ns in self._calls_ns.items()
        )


def _figures(operation: str, ordered_ns: Sequence[int], rows: int) -> LatencyRow:
    return LatencyRow(
        operation=operation,
        calls=len(ordered_ns),
        rows=rows,
        p50_us=percentile(ordered_ns, 50) / 1000,
        p99_us=percentile(ordered_ns, 99) / 1000,
        max_us=ordered_ns[-1] / 1000,
    )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return a percentile by nearest rank: the smallest value that so many per cent do not exceed.

    Args:
        ordered: Values in ascending order, at least one.
        percent: 1 to 100.

    Returns:
        One of the values.
    """
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
