"""Moves or deletes in one store while ``shim.c`` writes down every file call of the process, whoever makes it.

``python -m tests.crash.shim_process REQUEST``; REQUEST is a JSON object (see :class:`Request`).
"""

from __future__ import annotations

import itertools
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.crash.deleting import delete_everything
from tests.crash.moving import move_everything
from tests.crash.mutants import DELETION_MUTANTS, MUTANTS
from tests.crash.shim import Shim
from tests.crash.stock import stock_rows

_TOLD = ("corrected", "held", "over")
"""Steps after which the application was told something that must be true from then on."""


class Request(msgspec.Struct, frozen=True):
    """What is to be recorded.

    Attributes:
        root: The store's folder.
        log: The file that takes the log, outside of it.
        work: "move" or "delete".
        seed: Of the stock, for a move.
        rows_a_day: Of the stock, for a move.
        mutant: The deliberate break of the protocol to work with.
        die_at: The number of the step at which the process ends, from 1; None to live.
    """

    root: str
    log: str
    work: str
    seed: int
    rows_a_day: int
    mutant: str | None = None
    die_at: int | None = None


def run(request: Request) -> None:
    """Do it.

    Args:
        request: What.
    """
    import pyarrow.parquet  # noqa: F401  what it loads is not part of the record

    root = Path(request.root)
    shim = Shim(root, skips_syncs=True)
    mutants = MUTANTS | DELETION_MUTANTS

    steps = itertools.count(1)

    def note(step: str) -> None:
        if next(steps) == request.die_at:
            os._exit(0)
        if step in _TOLD:
            shim.note(step)

    shim.record(Path(request.log))
    try:
        with mutants[request.mutant]() if request.mutant else nullcontext():
            if request.work == "delete":
                delete_everything(root, note)
            else:
                move_everything(root, note, expected=stock_rows(request.seed, request.rows_a_day))
    finally:
        shim.stop()


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=Request))
