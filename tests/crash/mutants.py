"""Deliberate breaks of the move protocol. The harnesses are worth something only if they notice each of them."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hybridstore import durable
from hybridstore.archive import writing
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.hot import ledger, rows
from hybridstore.retention import deleter, merger, mover, replacer, steps
from hybridstore.retention import round as retention_round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from hybridstore.hot.database import DatabaseManager
    from hybridstore.hot.session import WriteSession
    from hybridstore.retention.deletion import PlannedDeletion
    from hybridstore.retention.merging import PlannedMerge
    from hybridstore.retention.replacement import Replacement
    from hybridstore.retention.steps import Move, Step, StepResult
    from hybridstore.schema.dataset import Dataset

_GAP_S = 0.01
"""How long a broken protocol leaves its wrong state standing: what a loaded machine would do to it."""


def _commit_between(session: WriteSession) -> None:
    session.execute("COMMIT")
    time.sleep(_GAP_S)
    session.execute("BEGIN IMMEDIATE")


def _purge(session: WriteSession, dataset: Dataset, move: Move, step: Step) -> int:
    return session.run(f"purge_{dataset.name}", {**move.unit, "above": step.above, "through": step.through})


class _NoPurge:
    """A session whose purges delete nothing but claim to have deleted what was expected."""

    def __init__(self, session: WriteSession, step: Step) -> None:
        self._session = session
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, name: str, parameters: Any = ()) -> int:
        return self._step.row_count if name.startswith("purge_") else self._session.run(name, parameters)


def _publish_then_delete(
    session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step
) -> StepResult:
    result = steps.publish(_NoPurge(session, step), dataset, move, file, step)  # type: ignore[arg-type]
    _commit_between(session)
    _purge(session, dataset, move, step)
    return result


def _delete_then_publish(
    session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step
) -> StepResult:
    _purge(session, dataset, move, step)
    _commit_between(session)
    return steps.publish(_NoPurge(session, step), dataset, move, file, step)  # type: ignore[arg-type]


def _delete_wider(
    session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step
) -> StepResult:
    result = steps.publish(session, dataset, move, file, step)
    session.execute(f"DELETE FROM {dataset.name} WHERE id > ? AND id <= ?", (step.above, step.through))
    return result


@contextmanager
def _publishing(publish: Callable[..., StepResult]) -> Iterator[None]:
    with patch.object(mover, "publish", publish):
        yield


def _no_merges() -> Any:
    """What is broken in a move shall not be found by the merge that follows it."""
    return patch.object(retention_round.Round, "_merge", lambda *_what: None)


@contextmanager
def _renamed_after_commit() -> Iterator[None]:
    """The file gets its name once the manifest counts on it, not before."""
    waiting: dict[Path, Path] = {}

    def remember(temporary: Path, final: Path) -> None:
        waiting[final] = temporary

    def read_ids(path: Path) -> Any:
        return writing.read_ids(waiting.get(path, path))

    def publish(
        session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step
    ) -> StepResult:
        result = steps.publish(session, dataset, move, file, step)
        _commit_between(session)
        for final, temporary in list(waiting.items()):
            durable.publish_file(temporary, final)
            del waiting[final]
        return result

    with ExitStack() as broken:
        broken.enter_context(patch.object(writing, "publish_file", remember))
        broken.enter_context(patch.object(mover, "read_ids", read_ids))
        broken.enter_context(_publishing(publish))
        broken.enter_context(_no_merges())
        yield


@contextmanager
def _without_file_fsync() -> Iterator[None]:
    with patch.object(writing, "fsync_file", lambda _path: None):
        yield


@contextmanager
def _without_folder_fsync() -> Iterator[None]:
    with patch.object(durable, "fsync_directory", lambda _path: None):
        yield


@contextmanager
def lossy_device() -> Iterator[None]:
    """No mutant but a fault: the device loses the last row of every file. The product must notice."""
    real = writing._write_parquet

    def lose(path: Path, dataset: Dataset, rows: pa.Table, *rest: Any) -> Any:
        return real(path, dataset, rows.slice(0, max(rows.num_rows - 1, 1)), *rest)

    with patch.object(writing, "_write_parquet", lose):
        yield


@contextmanager
def _without_verification() -> Iterator[None]:
    """Nobody reads back what a lossy device kept, and nobody counts what a step purges."""

    def publish(
        session: WriteSession, dataset: Dataset, move: Move, file: ArchiveFile, step: Step
    ) -> StepResult:
        result = steps.publish(_NoPurge(session, step), dataset, move, file, step)  # type: ignore[arg-type]
        _purge(session, dataset, move, step)
        return result

    with ExitStack() as broken:
        broken.enter_context(lossy_device())
        broken.enter_context(patch.object(writing, "_read_back", lambda *_what: None))
        broken.enter_context(_publishing(publish))
        broken.enter_context(_no_merges())
        yield


@contextmanager
def _keys_remembered_after_publishing() -> Iterator[None]:
    remember, publish = mover.Mover._remember_keys, mover.Mover._publish
    waiting: list[tuple[Any, ...]] = []

    def publish_and_remember(self: mover.Mover, *what: Any) -> None:
        publish(self, *what)
        while waiting:
            remember(self, *waiting.pop())

    with (
        patch.object(mover.Mover, "_remember_keys", lambda _self, *what: waiting.append(what)),
        patch.object(mover.Mover, "_publish", publish_and_remember),
    ):
        yield


@contextmanager
def _superseding(*, old: bool, new: bool, apart: bool = False) -> Iterator[None]:
    """An archived row's correction takes the old row out of count, records the new one, or both apart."""

    def supersede_row(
        session: WriteSession, dataset: Dataset, found: tuple[Any, ...], row: Sequence[Any]
    ) -> None:
        if old:
            session.run("insert_superseded_rows", (dataset.name, found[0], session.seq))
        if apart:
            _commit_between(session)
        if new:
            session.run(f"insert_{dataset.name}", row)
            new_row_id = session.connection.last_insert_rowid()
            rows.keep_version(session, dataset, found, row, new_row_id, rows.key_of(dataset, row))

    with (
        patch.object(rows, "supersede_row", supersede_row),
        patch.object(ledger, "supersede_row", supersede_row),
    ):
        yield


@contextmanager
def _replacing(*, old_first: bool) -> Iterator[None]:
    """A merge's file begins to count in one transaction, and those it replaces count no more from another on."""

    def take_out(session: WriteSession, replacement: Replacement) -> None:
        for file_id in replacement.replaced_ids:
            session.run("replace_file", (session.seq, file_id))

    def commit(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> None:
        if old_first:
            take_out(session, replacement)
            _commit_between(session)
        for file in files:
            counted = ArchiveFile(**{**file.to_dict(), "created_seq": session.seq})
            session.run("insert_archive_files", counted.as_row())
        if not old_first:
            _commit_between(session)
            take_out(session, replacement)
        done = ("done", sum(file.row_count for file in files), session.ts_us, replacement.replacement_id)
        session.run("finish_replacement", done)

    with patch.object(merger, "commit_merge", commit):
        yield


@contextmanager
def _merged_in_part() -> Iterator[None]:
    """A merge loses the last of its files and nobody compares."""
    read = replacer.Replacer._read

    def read_less(self: replacer.Replacer, dataset: Dataset, files: Sequence[ArchiveFile]) -> pa.Table:
        return read(self, dataset, files[:-1])

    with (
        patch.object(replacer.Replacer, "_read", read_less),
        patch.object(merger, "check_whole", lambda *_what: None),
    ):
        yield


@contextmanager
def _collected_before_replacing() -> Iterator[None]:
    """The files a merge replaces are deleted before it is committed that they count no more."""
    check = merger.check_whole

    def delete(planned: PlannedMerge, file: ArchiveFile) -> None:
        check(planned, file)
        for root in _ROOTS:
            for part in planned.files:
                (root / part.path).unlink(missing_ok=True)

    init = replacer.Replacer.__init__

    def remember(self: replacer.Replacer, database: DatabaseManager, *rest: Any, **named: Any) -> None:
        _ROOTS.add(database.root)
        init(self, database, *rest, **named)

    with (
        patch.object(merger, "check_whole", delete),
        patch.object(replacer.Replacer, "__init__", remember),
    ):
        yield


@contextmanager
def _parting(*, old_first: bool) -> Iterator[None]:
    """What stays of a file begins to count in one transaction, and the file counts no more from another on."""

    def commit(
        session: WriteSession, replacement: Replacement, planned: Any, files: list[ArchiveFile], gone: Any
    ) -> None:
        def take_out() -> None:
            for file_id in replacement.replaced_ids:
                session.run("replace_file", (session.seq, file_id))

        if old_first:
            take_out()
            _commit_between(session)
        for file in files:
            counted = ArchiveFile(**{**file.to_dict(), "created_seq": session.seq})
            session.run("insert_archive_files", counted.as_row())
        if not old_first:
            _commit_between(session)
            take_out()
        session.run("finish_replacement", ("done", 0, session.ts_us, replacement.replacement_id))

    with patch.object(deleter, "_commit_deletion", commit):
        yield


@contextmanager
def _destroyed_at_once() -> Iterator[None]:
    """The bytes of what is deleted go before a hold can bring them back."""
    delete = deleter.Deleter.delete

    def delete_and_destroy(self: deleter.Deleter, planned: PlannedDeletion) -> int:
        rows = delete(self, planned)
        (self._database.root / planned.file.path).unlink()
        return rows

    with patch.object(deleter.Deleter, "delete", delete_and_destroy):
        yield


_ROOTS: set[Path] = set()
MUTANTS: dict[str, Callable[[], Any]] = {
    "publish and delete in two transactions": lambda: _publishing(_publish_then_delete),
    "delete before publish": lambda: _publishing(_delete_then_publish),
    "rename after commit": _renamed_after_commit,
    "no fsync of the file": _without_file_fsync,
    "no fsync of the folder": _without_folder_fsync,
    "delete wider than the file": lambda: _publishing(_delete_wider),
    "no verification": _without_verification,
    "remember keys after publishing": _keys_remembered_after_publishing,
    "supersede without inserting": lambda: _superseding(old=True, new=False),
    "insert without superseding": lambda: _superseding(old=False, new=True),
    "supersede in a transaction of its own": lambda: _superseding(old=True, new=True, apart=True),
    "replaced before the new file counts": lambda: _replacing(old_first=True),
    "replaced after the new file counts": lambda: _replacing(old_first=False),
    "merge less than all": _merged_in_part,
    "delete what is merged before it is replaced": _collected_before_replacing,
}
"""By name, a context manager that breaks the protocol in this process while it is entered."""
DELETION_MUTANTS: dict[str, Callable[[], Any]] = {
    "delete before what stays counts": lambda: _parting(old_first=True),
    "delete after what stays counts": lambda: _parting(old_first=False),
    "destroy at once": _destroyed_at_once,
}
"""The same of a deletion."""
SEEN_BY_POWER_CUTS = tuple(MUTANTS)
SEEN_BY_KILLS = (
    "publish and delete in two transactions",
    "delete before publish",
    "rename after commit",
    "delete wider than the file",
    "no verification",
    "remember keys after publishing",
    "supersede without inserting",
    "insert without superseding",
    "supersede in a transaction of its own",
    "replaced before the new file counts",
    "replaced after the new file counts",
    "merge less than all",
    "delete what is merged before it is replaced",
)
"""A kill leaves the page cache, so what was not flushed is not missed."""
