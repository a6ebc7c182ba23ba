"""Verification: whatever was changed is named, all of it, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import Mode, examine
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, insert, make_rows, open_store

MODES: tuple[Mode, ...] = ("quick", "full", "scrub")


def archive(database: DatabaseManager, rng: random.Random) -> list[Path]:
    """Archive days of two datasets, merge one of them, and return the files that count."""
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=2))
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=2))
    manager = DataRetentionManager(database)
    manager.run()
    (merge, *_) = manager.plan_merges(NOW_US + 60 * DAY_US)
    assert merge.dataset == "ledger"
    manager.run(NOW_US + 60 * DAY_US, on_replace_step=None)
    rows = database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL ORDER BY dataset")
    return [database.root / row[0] for row in rows]


def change(database: DatabaseManager, sql: str) -> None:
    def write(session: WriteSession) -> None:
        session.execute(sql)

    database.writer.call(write)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_whole_holds(tmp_path: Path, rng: random.Random, mode: Mode) -> None:
    with open_store(tmp_path) as database:
        files = archive(database, rng)
        steps: list[tuple[int, int]] = []
        found = examine(database, mode, progress=lambda done, total: steps.append((done, total)))
    size_bytes = sum(path.stat().st_size for path in files)
    assert (found.holds, found.problems) == (True, ())
    assert (found.mode, found.files, found.rows, found.size_bytes) == (mode, 2, 100, size_bytes)
    assert found.audit_entries == 6
    assert steps[-1] == (size_bytes, size_bytes)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: list[tuple[Callable[[Path], object], set[Mode], str]] = [
    (flip, {"full", "scrub"}, "content changed"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), {"quick", "full", "scrub"}, "the manifest says"),
    (lambda path: path.unlink(), {"quick", "full", "scrub"}, "No such file"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("damage", "seen_by", "said"), DAMAGES, ids=["flip", "cut", "delete"])
def test_every_damaged_file_is_named(
    tmp_path: Path,
    rng: random.Random,
    damage: Callable[[Path], object],
    seen_by: set[Mode],
    said: str,
    mode: Mode,
) -> None:
    with open_store(tmp_path) as database:
        files = archive(database, rng)
        for path in files:
            damage(path)
        problems = examine(database, mode).problems
    if mode not in seen_by:
        assert problems == ()
        return
    assert len(problems) == len(files), "all of them, not only the first"
    for path, problem in zip(files, problems, strict=True):
        assert str(path) in problem
        assert said in problem


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE archive_files SET row_count = row_count + 1 WHERE tier = 'cold'", "row_count is"),
        ("UPDATE archive_files SET id_max = id_max + 1 WHERE tier = 'cold'", "id_max is"),
        ("UPDATE archive_files SET time_min_us = 0 WHERE tier = 'cold'", "time_min_us is"),
        ("UPDATE archive_files SET sums = replace(sums, ':\"', ':\"1') WHERE tier = 'cold'", "the sum of"),
    ],
)
def test_books_that_do_not_fit_a_file_are_found_by_reading_it(
    tmp_path: Path, rng: random.Random, sql: str, said: str
) -> None:
    with open_store(tmp_path) as database:
        archive(database, rng)
        change(database, sql)
        assert examine(database, "full").holds, "the hash is right"
        problems = examine(database, "scrub").problems
    assert problems
    assert all(said in problem for problem in problems)


def test_a_changed_audit_log_is_found_in_every_mode(tmp_path: Path, rng: random.Random) -> None:
    with open_store(tmp_path) as database:
        archive(database, rng)
        change(database, "UPDATE audit_log SET detail = replace(detail, 'warm', 'cold') WHERE entry = 2")
        for mode in MODES:
            assert examine(database, mode).problems == (
                "the audit log is broken at entry 2: it does not follow from the one before",
            )


def test_a_broken_page_of_the_database_is_found(tmp_path: Path, rng: random.Random) -> None:
    with open_store(tmp_path) as database:
        archive(database, rng)
        ((page,),) = database.readers.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'legal_holds'")
        ((page_size,),) = database.readers.rows("PRAGMA page_size")
        path = database.path
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"\x7f" * page_size)
    with open_store(tmp_path) as database:
        problems = examine(database, "full").problems
        assert examine(database, "quick").holds
    assert problems
    assert all(str(path) in problem for problem in problems)


def test_it_can_be_slowed_down_and_stopped(tmp_path: Path, rng: random.Random) -> None:
    with open_store(tmp_path) as database:
        files = archive(database, rng)
        first_bytes = files[0].stat().st_size
        rate_mib_s = sum(path.stat().st_size for path in files) / (1 << 20) / 0.2
        slow = examine(database, "full", rate_mib_s=rate_mib_s)
        asked = iter([False, True])
        stopped = examine(database, "full", stop=lambda: next(asked))
        with pytest.raises(InvalidValue, match="rate_mib_s=0"):
            examine(database, rate_mib_s=0)
        with pytest.raises(InvalidValue, match="mode='deep'"):
            examine(database, "deep")  # type: ignore[arg-type]  # the point
    assert slow.elapsed_s >= 0.2
    assert (stopped.files, stopped.size_bytes, stopped.holds) == (1, first_bytes, True)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (
            (
                "DELETE FROM archive_files WHERE file_id ="
                " (SELECT min(file_id) FROM archive_files WHERE replaced_seq IS NULL)"
            ),
            "counts, and it does not",
        ),
        (
            (
                "UPDATE archive_files SET replaced_seq = 1 WHERE file_id ="
                " (SELECT min(file_id) FROM archive_files WHERE replaced_seq IS NULL)"
            ),
            "counts, and it does not",
        ),
        (
            (
                "UPDATE archive_files SET replaced_seq = NULL WHERE file_id ="
                " (SELECT min(file_id) FROM archive_files WHERE replaced_seq IS NOT NULL)"
            ),
            "was replaced, and it counts",
        ),
    ],
    ids=["taken out", "replaced by nothing", "brought back"],
)
def test_a_manifest_that_does_not_follow_from_the_log_is_found(
    tmp_path: Path, rng: random.Random, statement: str, complaint: str
) -> None:
    with open_store(tmp_path) as database:
        archive(database, rng)
        assert examine(database, "quick").holds
        change(database, statement)
        problems = examine(database, "quick").problems
        assert any(complaint in problem for problem in problems)
        with pytest.raises(StoreCorrupt, match=complaint):
            DataRetentionManager(database).verify()
