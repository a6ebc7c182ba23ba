"""Deliberate breaks of the deletion: each must be noticed by a check that runs on what the store then holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import DAY_US
from hybridstore.errors import HybridStoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention import collector, deleter, deletion, manager, plans
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.replacement import Replacement
from hybridstore.retention.spans import Span
from hybridstore.retention.trusted_clock import Trust
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from tests.retention.aging import BEGIN_US, DUE_US, YEAR_US, live_until, times_of
from tests.tiered import all_rows, insert, make_rows, open_store

_HELD = Span(BEGIN_US + 3 * DAY_US, BEGIN_US + 6 * DAY_US)
_MAY_US = BEGIN_US + 14 * DAY_US


class Noticed(Exception):
    """What the checks below found."""


def _check(database: DatabaseManager, expected: dict[int, Any]) -> None:
    """Read everything back, prove manifest, files and log, and compare with what must be there."""
    try:
        found = all_rows(database, LEDGER)
    except (OSError, AssertionError) as error:
        raise Noticed(str(error)) from error
    if found != expected:
        raise Noticed(f"{len(found)} rows, {len(expected)} expected")
    if problems := examine(database, "scrub").problems:
        raise Noticed(problems[0])


def _life(root: Path, rng: random.Random) -> None:
    """Rows of which some are old enough, some held, some young; a clock that leaps; and a crash on the way."""
    with open_store(root) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 150, days=25))
        before = all_rows(database, LEDGER)
        times = times_of(LEDGER, before)
        live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
        clock: Any = database.clock
        clock.set(BEGIN_US + 30 * YEAR_US)
        _run(database)
        _check(database, before)
        clock.set(DUE_US)
        retention = DataRetentionManager(database)
        hold = retention.hold("ledger", *_HELD, reason="x", held_by="y")
        left = {number for number, at in times.items() if at >= _MAY_US or _HELD[0] <= at < _HELD[1]}
        expected = {number: before[number] for number in left}
        _run(database)
        _check(database, expected)
        if sum(one.rows for one in retention.certificates()) != len(before) - len(left):
            raise Noticed("the certificates do not say what went")
        clock.set(DUE_US + DAY_US // 2)
        _run(database)
        if retention.status()["replaced_files"] == 0:
            raise Noticed("files are gone before their grace is over")
        clock.set(DUE_US + 3 * DAY_US)
        _run(database)
        _check(database, expected)
        lost = set(before) - left
        hashes = database.readers.rows("SELECT count(*) FROM archived_keys")[0][0]
        if hashes != len(before) - len(lost):
            raise Noticed("keys of deleted rows are left")
        retention.release(hold.hold_id, released_by="y")
        _run(database)
        _check(database, {number: row for number, row in before.items() if times[number] >= _MAY_US})


def _run(database: DatabaseManager) -> None:
    try:
        DataRetentionManager(database).run()
    except (HybridStoreError, OSError, AttributeError) as error:
        raise Noticed(str(error)) from error


@contextmanager
def _replace_with(**changes: Any) -> Iterator[None]:
    """Change how a deletion is planned."""
    plan = deletion.plan_deletions

    def changed(*what: Any) -> list[deletion.PlannedDeletion]:
        return [
            one._replace(**{name: change(one) for name, change in changes.items()}) for one in plan(*what)
        ]

    with patch.object(plans, "plan_deletions", changed):
        yield


def _no_holds(*_what: Any) -> tuple[Span, ...]:
    return ()


def _drop_manifest_row(session: WriteSession, replacement: Replacement, *rest: Any) -> None:
    for file_id in replacement.replaced_ids:
        session.execute("DELETE FROM archive_files WHERE file_id = ?", (file_id,))


@contextmanager
def _without_certificate() -> Iterator[None]:
    def commit(
        session: WriteSession, replacement: Replacement, planned: Any, files: Sequence[ArchiveFile], gone: Any
    ) -> None:
        for file_id in replacement.replaced_ids:
            session.run("replace_file", (session.seq, file_id))
        for file in files:
            session.run("insert_archive_files", file.as_row())
        session.run("finish_replacement", ("done", 0, session.ts_us, replacement.replacement_id))

    with patch.object(deleter, "_commit_deletion", commit):
        yield


def _lossy_split(dataset: Any, rows: Any, spans: Any) -> Any:
    return _rows_within(dataset, rows, spans).slice(1)


_rows_within = deleter.rows_within
_BEFORE = deletion.deletes_before_us
MUTANTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "a day too much": lambda: patch.object(
        deletion, "deletes_before_us", lambda policy, now_us: _BEFORE(policy, now_us) + DAY_US
    ),
    "a month too late": lambda: patch.object(
        deletion, "deletes_before_us", lambda policy, now_us: _BEFORE(policy, now_us) - 31 * DAY_US
    ),
    "whole files": lambda: _replace_with(kept=lambda one: ()),
    "holds are not looked at by the plan": lambda: patch.object(deletion, "held_spans", _no_holds),
    "any clock is believed": lambda: patch.object(
        manager, "keep_trust", lambda database: Trust(database.clock.now_us())
    ),
    "no grace": lambda: patch.object(collector.Collector.collect, "__defaults__", (0,)),
    "a row is lost where files are parted": lambda: patch.object(deleter, "rows_within", _lossy_split),
    "without certificate": _without_certificate,
    "the manifest forgets": lambda: patch.object(deleter, "replace_files", _drop_manifest_row),
    "keys are kept": lambda: patch.object(collector.Collector, "_forget_keys", lambda *_what: None),
    "never collected": lambda: patch.object(collector.Collector, "collect", lambda *_what: []),
}


def test_a_deletion_that_is_not_broken_passes(tmp_path: Path, rng: random.Random) -> None:
    with nullcontext():
        _life(tmp_path, rng)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_deletion_is_noticed(tmp_path: Path, rng: random.Random, name: str) -> None:
    with MUTANTS[name](), pytest.raises(Noticed):
        _life(tmp_path, rng)
