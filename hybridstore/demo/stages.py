"""The stages of a run: timed, and shown as progress bars where somebody watches."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress


class Bar:
    """One stage's progress.

    Args:
        bars: Where it is shown; None shows nothing.
        text: What it says.
        steps: How many steps there are; None where that is not known yet.
    """

    def __init__(self, bars: Progress | None, text: str, steps: int | None) -> None:
        self._bars = bars
        self._task = None if bars is None else bars.add_task(text, total=steps)

    def advance(self, steps: int) -> None:
        """Say that so many more steps are done."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, steps)

    def reach(self, done: int, steps: int) -> None:
        """Say that ``done`` of ``steps`` steps are done."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=steps)


class Stages:
    """Times stages and, with progress bars, shows them.

    Args:
        bars: Where to show them; None shows nothing.

    Attributes:
        seconds: Wall time of each finished stage, by name.
    """

    def __init__(self, bars: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._bars = bars

    @contextmanager
    def stage(self, name: str, text: str, steps: int | None = None) -> Iterator[Bar]:
        """Time what happens inside a ``with`` block.

        Args:
            name: The stage's name in :attr:`seconds`.
            text: What its bar says.
            steps: How many steps it has; None where that is not known yet.

        Yields:
            The bar; it is full when the block ends.
        """
        begun_s = time.perf_counter()
        bar = Bar(self._bars, text, steps)
        yield bar
        bar.reach(steps or 1, steps or 1)
        self.seconds[name] = time.perf_counter() - begun_s


def standard_error_bars() -> Progress:
    """Return progress bars on standard error, so that standard output holds results alone."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
