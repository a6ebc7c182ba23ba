"""Renaming and widening columns of a user's dataset: table, files and whatever else mentions them, in one commit.

Every archived file is written anew, one after the other, and proven; then one transaction changes the table, makes the
new files count in the place of the old ones and remembers the declaration. Until then everything is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.errors import ArchiveCorrupt, Conflict, InvalidValue
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import is_declared, remember_declaration
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.replacement import Replacement, facts_of, replace_files
from hybridstore.retention.replacer import Order, Replacer
from hybridstore.retention.steps import record
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.evolution import evolving_statements
from hybridstore.schema.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

_PROVEN = ("id_min", "id_max", "time_min_us", "time_max_us", "row_count")


class Evolution(Record, frozen=True, gc=False):
    """What a change of a declaration did, or would do.

    Attributes:
        dataset: Whose.
        files: Archived files that are written anew.
        rows: Their rows.
        size_bytes: Their size; as much room is needed until they are deleted a day later.
        dry_run: Whether nothing was changed.
    """

    dataset: str
    files: int
    rows: int
    size_bytes: int
    dry_run: bool


class Evolver:
    """Changes declarations of a store whose mover lock is held.

    Args:
        database: The open store.
        replacer: Replaces files.
    """

    def __init__(self, database: DatabaseManager, replacer: Replacer) -> None:
        self._database = database
        self._replacer = replacer

    def evolve(
        self,
        name: str,
        change: Callable[[Dataset], Dataset],
        *,
        dry_run: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evolution:
        """Change a declaration and all that is stored under it.

        Args:
            name: The dataset.
            change: Makes the new declaration of the stored one: the same columns in order, renamed or widened.
            dry_run: Only say what there is to do.
            progress: Called with rows written anew and rows in all.

        Returns:
            What was done.

        Raises:
            InvalidValue: It is no dataset of a user, or cannot be changed in this way.
            Conflict: Rows of it that were just deleted could still be brought back, or another program gave it more
                columns meanwhile.
            ArchiveCorrupt: A file is missing or changed; nothing was changed.
            StorageFull: There is no room for the new files; nothing was changed.
        """
        before = self._database.registry[name]
        if name in Registry():
            raise InvalidValue(
                f"dataset {name} is one of the store's own",
                hint="only columns of your own datasets can change",
            )
        after = change(before)
        files = [file for file in self._replacer.files() if file.dataset == name]
        rows = sum(file.row_count for file in files)
        answer = Evolution(name, len(files), rows, sum(file.size_bytes for file in files), dry_run)
        self._refuse_while_undoable(name)
        if dry_run:
            return answer
        if files:
            self._rewrite(before, after, files, progress)
        else:
            self._database.writer.call(_change_table, before, after, durability="full")
        self._adopt(after)
        return answer

    def _refuse_while_undoable(self, name: str) -> None:
        found = self._database.readers.rows(self._database.statements["replacements_to_collect"], (1 << 62,))
        for replacement in (Replacement(*row) for row in found):
            if replacement.dataset == name and replacement.kind == "delete":
                raise Conflict(
                    f"rows of {name} were deleted that a legal hold could still bring back, under their old columns",
                    hint="do it a day after the deletion, when a run has destroyed them",
                )

    def _rewrite(
        self,
        before: Dataset,
        after: Dataset,
        files: list[ArchiveFile],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        span = min(file.start_us for file in files), max(file.end_us for file in files)
        order = Order("evolve", before.name, files[0].tier, *span, tuple(files))
        total, done = order.row_count, 0

        def change(rows: pa.Table) -> pa.Table:
            nonlocal done
            done += rows.num_rows
            if progress:
                progress(done, total)
            return rows.rename_columns(list(after.stored_names)).cast(arrow_schema(after))

        def commit(session: WriteSession, replacement: Replacement, new: list[ArchiveFile]) -> None:
            _prove(before, after, files, new)
            detail = {
                "dataset": before.name,
                "columns": dict(_changes(before, after)),
                "files": facts_of(new),
                "replaces": facts_of(files),
            }
            replace_files(session, replacement, new, detail)
            _change_declaration(session, before, after)

        self._replacer.rewrite(order, after, change, commit)

    def _adopt(self, after: Dataset) -> None:
        own = {name: one for name, one in self._database.registry.items() if name not in Registry()}
        self._database.adopt(Registry((own | {after.name: after}).values()))


def _prove(before: Dataset, after: Dataset, files: list[ArchiveFile], new: list[ArchiveFile]) -> None:
    """Compare each new file with the one it replaces."""
    names = dict(zip(before.column_names, after.column_names, strict=True))
    for old, one in zip(files, new, strict=True):
        sums: dict[str, str] = msgspec.json.decode(old.sums)
        told: dict[str, str] = msgspec.json.decode(one.sums)
        is_same = all(getattr(old, name) == getattr(one, name) for name in _PROVEN)
        if not is_same or any(told[names[name]] != value for name, value in sums.items()):
            raise ArchiveCorrupt(
                f"what was written anew of {before.name} does not add up to what there was",
                path=old.path,
                hint="nothing was changed; run hybridstore verify --mode scrub",
            )


def _change_table(session: WriteSession, before: Dataset, after: Dataset) -> None:
    _change_declaration(session, before, after)
    record(session, "evolve", {
        "dataset": before.name, "columns": dict(_changes(before, after)), "files": [], "replaces": [],
    })  # fmt: skip


def _change_declaration(session: WriteSession, before: Dataset, after: Dataset) -> None:
    if not is_declared(session, before):
        raise Conflict(
            f"another program gave {before.name} more columns meanwhile",
            operation="change columns",
            hint="nothing was changed; do it again",
        )
    session.memory.clear()  # what this process's writer remembers of its rows
    for statement in evolving_statements(before, after):
        session.execute(statement)
    names = dict(zip(before.column_names, after.column_names, strict=True))
    if before.column_names != after.column_names:
        versions: list[Any] = session.execute(session.sql["versions_of_dataset"], (before.name,)).fetchall()
        for number, old, new in versions:
            session.run("rename_version", (_renamed_row(old, names), _renamed_row(new, names), number))
    remember_declaration(session, after)


def _renamed_row(text: str, names: dict[str, str]) -> str:
    values: dict[str, Any] = msgspec.json.decode(text)
    return msgspec.json.encode({names.get(name, name): value for name, value in values.items()}).decode()


def _changes(before: Dataset, after: Dataset) -> Iterator[tuple[str, str]]:
    """Say what of each column changed: its old name, and what it is now."""
    for one, other in zip(before.columns, after.columns, strict=True):
        if one != other:
            yield one.name, f"{other.name} {other.type.name}{' or absent' if other.nullable else ''}"
