"""Power cuts while fills, orders, balances, ledger entries and corrections of archived rows are recorded at once."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING

import apsw
import pytest

from hybridstore.config import DATABASE_NAME
from tests.crash.bot_work import account_of
from tests.crash.images import Image, crash_images
from tests.crash.mixed_work import (
    AMENDED,
    Acknowledged,
    BookReader,
    amendments,
    create_books,
    possible_states,
    tell_everything,
)
from tests.crash.mutants import MUTANTS
from tests.crash.observer import Wrong
from tests.crash.reopen import ImageFolder, integrity
from tests.crash.vfs import RecordingVFS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.bot_work import State

_IMAGES = 2_000
_SYNC_S = 0.0003
_MOVED = {"position_events"}
"""Tables part of whose rows of the first run are archived and not looked at here."""


def _examine(found: dict[str, State], image: Image, states: dict[tuple[int, str], list[State]]) -> str | None:
    """Name what is wrong with the books after a power cut; None where everything promised holds."""
    promised: Counter[str] = Counter()
    for note in image.notes:
        assert isinstance(note, Acknowledged)
        if note.full:
            promised[note.stream] = note.number
    for (run, stream), possible in states.items():
        count = promised[_label(run, stream)]
        shown = found.get(account_of(run, stream), {})
        tables = [table for table in possible[-1].keys() | shown.keys() if run or table not in _MOVED]
        if not any(
            all(shown.get(table, {}) == state.get(table, {}) for table in tables)
            for state in possible[count:]
        ):
            counts = {table: len(shown.get(table, {})) for table in tables}
            return f"run {run}, {stream}: no state after {count} or more reports; it shows {counts}"
    return None


def _cut_power(
    folder: Path, seed: int, count: int, *, mixed: bool, honest: bool = True, mutant: str | None = None
) -> tuple[int, list[str]]:
    """Record one run, return how many disks were examined and what was wrong with any of them."""
    root = folder / "root"
    create_books(root)
    reader, states = BookReader(root), possible_states()
    vfs = RecordingVFS(root, honest=honest, sync_s=_SYNC_S)
    try:
        with MUTANTS[mutant]() if mutant else nullcontext():
            asyncio.run(tell_everything(root, vfs, seed, mixed=mixed))
    finally:
        vfs.unregister()
    if mutant is None:
        _check_that_all_was_told(root, reader, states)
    images, problems, examined = ImageFolder(folder / "image"), [], 0
    for image in crash_images(vfs.operations, count=count, rng=random.Random(seed), baseline=vfs.baseline):
        try:
            with images.opened(image, DATABASE_NAME) as connection:
                problem = _examine(reader.read(connection), image, states)
                if problem is None and examined % 20 == 0 and (check := integrity(connection)) != "ok":
                    problem = check
        except (Wrong, apsw.Error, ArithmeticError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problems.append(f"point {image.point} of {len(vfs.operations)} ({image.strategy}): {problem}")
        examined += 1
    images.close()
    return examined, problems


def _check_that_all_was_told(
    root: Path, reader: BookReader, states: dict[tuple[int, str], list[State]]
) -> None:
    """Without a power cut everything is there: the disks are of a run in which all this happened."""
    connection = apsw.Connection(str(root / DATABASE_NAME))
    everything = [Acknowledged(_label(*which), len(states[which]) - 1, full=True) for which in states]
    whole = Image(0, "everything", {}, everything)
    assert _examine(reader.read(connection), whole, states) is None
    ((superseded,),) = connection.execute("SELECT count(*) FROM superseded_rows").fetchall()
    connection.close()
    assert superseded == sum(len(changes) for stream in AMENDED for _, changes in amendments(stream))


def _label(run: int, stream: str) -> str:
    return stream if run else f"amended {stream}"


@pytest.mark.parametrize("mutant", ["supersede without inserting", "insert without superseding"])
def test_a_correction_of_an_archived_row_that_is_half_done_is_noticed(
    tmp_path: Path, seed: int, mutant: str
) -> None:
    _, problems = _cut_power(tmp_path, seed, 100, mixed=False, mutant=mutant)
    assert any("deposit" in problem for problem in problems)


@pytest.mark.parametrize("mixed", [False, True], ids=["all full", "full among normal"])
def test_what_is_promised_of_everything_survives_power_cuts(
    tmp_path: Path, seed: int, *, mixed: bool
) -> None:
    examined, problems = _cut_power(tmp_path, seed, _IMAGES // 2, mixed=mixed)
    assert examined == _IMAGES // 2
    assert not problems, (len(problems), problems[0])


def test_a_disk_whose_syncs_do_nothing_is_noticed(tmp_path: Path, seed: int) -> None:
    _, problems = _cut_power(tmp_path, seed, 200, mixed=False, honest=False)
    assert any("no state after" in problem for problem in problems)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_what_is_promised_of_everything_survives_many_power_cuts(tmp_path: Path, seed: int) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, problems = _cut_power(folder, seed + number, _IMAGES, mixed=bool(number % 2))
        assert not problems, (number, len(problems), problems[0])
        shutil.rmtree(folder)
