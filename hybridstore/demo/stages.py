"""The stages of a run: timed, and shown as progress bars where somebody watches."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress


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
    def stage(self, name: str, text: str, steps: int | None = None) -> Iterator[Callable[[int], None]]:
        """Time what happens inside a ``with`` block.

        Args:
            name: The stage's name in :attr:`seconds`.
            text: What the bar says.
            steps: How many steps it has; None for a stage whose end cannot be foreseen.

        Yields:
            A function that takes how many steps were done.
        """
        begun_s = time.perf_counter()
        if self._bars is None:
            yield _ignore
        else:
            bars, task = self._bars, self._bars.add_task(text, total=steps)
            yield lambda done: bars.advance(task, done)
            bars.update(task, total=steps or 1, completed=steps or 1)
        self.seconds[name] = time.perf_counter() - begun_s


def _ignore(_done: int) -> None:
    """Take the place of a bar nobody sees."""


def standard_error_bars() -> Progress:
    """Return progress bars on standard error, so that standard output holds results alone."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
