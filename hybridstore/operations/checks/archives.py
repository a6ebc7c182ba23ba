"""The archived files against the manifest, the audit log, and rows that would count twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import read_ids
from hybridstore.errors import ArchiveError, ArchiveUnreachable, HybridStoreError
from hybridstore.operations.condition import is_maintained
from hybridstore.operations.findings import Ailment, Case, ailment
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.sweep import doubt, find_leftovers, sweep
from hybridstore.retention.verification import Mode, audit_problem, problems_of, prove_object, read_kept
from hybridstore.schema.sqlite import ids_between

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hybridstore.archive.manifest import ArchiveFile
    from hybridstore.hot.database import DatabaseManager

_NAMED = 3
"""Files of one finding that are named; all are counted."""


def check_files(case: Case) -> list[Ailment]:
    """Look at every file of the manifest: its size, and, thoroughly, its hash."""
    database, told = case.database, []
    verifier = FileVerifier(database.root)
    for file in read_kept(database).files:
        path = database.root / file.path
        rows = f"{file.row_count:,} rows of {file.dataset}"
        mode: Mode = "full" if case.thorough else "quick"
        if file.offloaded_at is not None and not case.asks_objects:
            continue
        if file.offloaded_at is not None:  # what lies here is a copy, made anew when it is asked for
            try:
                prove_object(file, mode)
            except ArchiveUnreachable as error:
                told.append(ailment("archive-unreachable", f"{error.message}: {rows}", error.hint))
            except ArchiveError as error:
                remedy = "put the object back; hybridstore verify names every one that is wrong"
                told.append(ailment("archive-damaged", f"{error}: {rows}", remedy))
            continue
        for problem in problems_of(database, verifier, file, mode):
            code = "archive-damaged" if path.exists() else "archive-missing"
            told.append(ailment(code, f"{problem}: {rows}", "hybridstore backup heal"))
    return told


def check_audit(case: Case) -> list[Ailment]:
    """Prove the chain of the audit log, and that the manifest is what it tells."""
    problem = audit_problem(read_kept(case.database))
    if problem is None:
        return []
    remedy = "find who changed the database; compare it with a backup: hybridstore backup restore latest DIR"
    return [ailment("audit-broken", f"the audit log is {problem}", remedy)]


def check_leftovers(case: Case) -> list[Ailment]:
    """Look for files under archives/ that count for nothing."""
    database, told = case.database, []
    found = find_leftovers(database)
    if found.given_up:
        can_sweep = doubt(database) is None
        told.append(
            ailment(
                "archive-stray",
                f"{_named(database, found.given_up)} of moves that were given up",
                "the next run deletes them: hybridstore run --once",
                fix="delete them, and note it in the audit log" if can_sweep else None,
                repair=partial(_sweep, database) if can_sweep else None,
            )
        )
    if found.strange:
        told.append(
            ailment(
                "archive-strange",
                f"{_named(database, found.strange)} that the manifest does not know",
                "see whose they are: of a newer copy of the database, put that back; of nobody, delete them",
            )
        )
    return told


def _named(database: DatabaseManager, paths: Sequence[Path]) -> str:
    names = ", ".join(path.relative_to(database.root).as_posix() for path in sorted(paths)[:_NAMED])
    return f"{len(paths):,} files ({names}{', ...' if len(paths) > _NAMED else ''})"


def _sweep(database: DatabaseManager) -> str:
    return f"{len(sweep(database)):,} files were deleted"


def check_moves(case: Case) -> list[Ailment]:
    """Look for moves and replacements that began and did not end, while nobody maintains the store."""
    database = case.database
    if is_maintained(database.root):
        return []
    with database.readers.transaction() as transaction:
        moves = len(transaction.rows(database.statements["open_moves"]))
        replacements = len(transaction.rows(database.statements["open_replacements"]))
    if not moves and not replacements:
        return []
    return [
        ailment(
            "move-open",
            f"{moves} moves and {replacements} merges or deletions have begun and not ended, and nobody is at work",
            "hybridstore run --once finishes them",
            fix="finish those whose rows have begun to count, and take the others back",
            repair=partial(_finish, DataRetentionManager(database, case.settings.retention)),
        )
    ]


def _finish(retention: DataRetentionManager) -> str:
    finished, taken_back = retention.finish_open()
    return f"{finished} moves were finished, {taken_back} moves, merges and deletions were taken back"


def check_twice(case: Case) -> list[Ailment]:
    """Look for rows that are in the hot store and in an archived file that counts."""
    if not case.thorough:
        return []
    database, told = case.database, []
    for file in read_kept(database).files:
        path = database.root / file.path
        if file.visible_through is not None or file.dataset not in database.registry or not path.exists():
            continue
        twice = _twice(database, file, path)
        if twice:
            told.append(
                ailment(
                    "rows-twice",
                    f"{len(twice):,} rows of {file.dataset} are in the hot store and in {file.path}, the first has id "
                    f"{min(twice)}",
                    "stop the bot; see who wrote them; hybridstore backup restore takes the store back to before",
                )
            )
    return told


def _twice(database: DatabaseManager, file: ArchiveFile, path: Path) -> set[int]:
    hot = {row[0] for row in database.readers.rows(ids_between(file.dataset), (file.id_min, file.id_max))}
    if not hot:
        return hot
    try:
        return hot.intersection(read_ids(path).tolist())
    except (ArchiveError, HybridStoreError, OSError, ValueError):  # a damaged file is another check's finding
        return set()


CHECKS = (check_files, check_audit, check_leftovers, check_moves, check_twice)
