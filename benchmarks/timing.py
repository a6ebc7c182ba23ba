"""Clocks and percentiles of the benchmarks."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple, Self


class Spread(NamedTuple):
    """How long calls took.

    Attributes:
        p50: Median.
        p99: 99 of 100 calls took no longer.
        worst: The longest.
    """

    p50: float
    p99: float
    worst: float


def spread(times: Sequence[float], divisor: float = 1.0) -> Spread:
    """Return the percentiles of measured times, by nearest rank.

    Args:
        times: At least one time.
        divisor: Units of ``times`` in one unit of the result, for example 1000 from ns to us.

    Returns:
        The percentiles.
    """
    ordered = sorted(times)
    at = [ordered[math.ceil(len(ordered) * percent / 100) - 1] / divisor for percent in (50, 99, 100)]
    return Spread(*at)


class Paired:
    """Two ways of doing the same number of things, measured in turns, so that a slow moment slows both."""

    def __init__(self) -> None:
        self._ours: list[float] = []
        self._raw: list[float] = []

    def add(self, ours: float, raw: float) -> None:
        """Note one round: a figure of each."""
        self._ours.append(ours)
        self._raw.append(raw)

    @property
    def best(self) -> tuple[float, float]:
        """The largest of each, for rates: other work on the machine only ever slows a round down."""
        return max(self._ours), max(self._raw)

    @property
    def least(self) -> tuple[float, float]:
        """The smallest of each, for times, for the same reason."""
        return min(self._ours), min(self._raw)

    @property
    def ours(self) -> float:
        """Median of ours."""
        return statistics.median(self._ours)

    @property
    def raw(self) -> float:
        """Median of the raw library's."""
        return statistics.median(self._raw)

    @property
    def ratio(self) -> float:
        """Median over the rounds of ours / raw."""
        return statistics.median(ours / raw for ours, raw in zip(self._ours, self._raw, strict=True))


class Stopwatch:
    """Measures a block: ``with Stopwatch() as watch: ...; watch.elapsed_s``."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._begun_s = 0.0

    def __enter__(self) -> Self:
        """Start."""
        self._begun_s = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop."""
        self.elapsed_s = time.perf_counter() - self._begun_s
