"""Showing something again and again, until Ctrl-C: in place on a terminal, a line each time for programs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from hybridstore.cli.printing import write_text
from hybridstore.errors import HybridStoreError
from hybridstore.operations.signals import obey_signals
from hybridstore.reports.plain import json_text

_SLICE_S = 0.5
"""On Windows a signal does not end a wait; so waits are short."""


def watch(
    read: Callable[[], Any],
    show: Callable[[Any], RenderableType],
    *,
    interval_s: float,
    times: int | None,
    json: bool,
) -> None:
    """Show something again and again, until Ctrl-C or the reader of the lines ends.

    Args:
        read: Reads it anew.
        show: Turns it into what a terminal shows.
        interval_s: Seconds between two looks.
        times: How often; None means for ever.
        json: A line of JSON each time.
    """
    with obey_signals() as stop:
        if json:
            with suppress(BrokenPipeError):
                for found in _each(read, interval_s, times, stop):
                    write_text(json_text(found), None)
                    sys.stdout.flush()
                return
            # What is still buffered has no reader any more; Python would complain of it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        with Live(console=Console(), auto_refresh=False, transient=False) as live:
            for found in _each(read, interval_s, times, stop):
                live.update(show(found), refresh=True)


def _each(read: Callable[[], Any], interval_s: float, times: int | None, stop: threading.Event) -> Any:
    number = 0
    while True:
        try:
            yield read()
        except HybridStoreError:
            if number == 0:  # what never worked is an error; a busy moment later is not
                raise
        number += 1
        left_s = interval_s
        while left_s > 0 and number != times and not stop.wait(min(left_s, _SLICE_S)):
            left_s -= _SLICE_S
        if stop.is_set() or number == times:
            return
