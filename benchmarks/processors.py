"""Who had the processors: how long a thread waited for one, and what share other processes took. Linux only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

_SCHEDULING = "/proc/self/task/{}/schedstat"
_STATISTICS = Path("/proc/stat")
_QUIET_SHARE = 0.05
_IDLE = (3, 4)
"""Places of idle and iowait in the first line of /proc/stat."""


class Waiting:
    """How long threads of this process were ready to run without a processor, in total since they began.

    Args:
        thread_ids: The operating system's numbers of the threads.
    """

    def __init__(self, *thread_ids: int) -> None:
        names = [_SCHEDULING.format(thread_id) for thread_id in thread_ids]
        known = sys.platform == "linux" and all(Path(name).exists() for name in names)
        self._files = [Path(name).open("rb", buffering=0) for name in names] if known else []  # noqa: SIM115  closed in close()

    def now_ns(self) -> list[int]:
        """Return the time of each thread, ns; nothing where the system does not tell."""
        return [int(os.pread(file.fileno(), 100, 0).split()[1]) for file in self._files]

    def close(self) -> None:
        """Ask no more."""
        for file in self._files:
            file.close()


class Others:
    """Measures what share of the processors other processes took in a block; ended children count as this process."""

    def __init__(self) -> None:
        self.share: float | None = None

    def __enter__(self) -> Self:
        """Start."""
        self._begun_s, self._busy_s, self._ours_s = time.perf_counter(), _busy_s(), _ours_s()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop."""
        busy_s = _busy_s()
        if busy_s is not None and self._busy_s is not None:
            possible_s = (time.perf_counter() - self._begun_s) * (os.cpu_count() or 1)
            others_s = busy_s - self._busy_s - (_ours_s() - self._ours_s)
            self.share = min(1.0, max(0.0, others_s / possible_s))


def rounds(least: int, quiet: int, most: int) -> Iterator[int]:
    """Count rounds until some of them had the processors to themselves: a busy neighbour is waited out, for a while.

    Args:
        least: Rounds there are anyway.
        quiet: Rounds wanted in which other processes took less than a twentieth of the processors; where the system
            does not tell, every round counts as one.
        most: Rounds after which to give up.

    Yields:
        The round's number, from 0.
    """
    found = 0
    for number in range(max(least, most)):
        with Others() as others:
            yield number
        found += others.share is None or others.share < _QUIET_SHARE
        if number + 1 >= least and found >= quiet:
            return


def _ours_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_s() -> float | None:
    if sys.platform != "linux" or not _STATISTICS.exists():
        return None
    with _STATISTICS.open() as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    busy = sum(count for place, count in enumerate(ticks) if place not in _IDLE)
    return busy / os.sysconf("SC_CLK_TCK")
