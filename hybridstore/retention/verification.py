"""Proof of what is kept: the hot store's file, the manifest, every archived file, and the audit chain.

``quick`` looks at what there is (sizes, chain, manifest), ``full`` also hashes every file and object and checks the
database's pages, ``scrub`` also reads every row back and compares counts, ranges and exact sums with the manifest. All
problems are named, not only the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.object_store import object_store
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import exact_sums
from hybridstore.durable import telling_failures
from hybridstore.errors import ArchiveError, InvalidValue, StorageFailure, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.records import Record
from hybridstore.retention.audit import AuditEntry, audit_head, broken_entry, manifest_problem
from hybridstore.retention.steps import AUDIT_HEAD
from hybridstore.schema.dataset import ROW_ID, Dataset

if TYPE_CHECKING:
    import pyarrow as pa

Mode: TypeAlias = Literal["quick", "full", "scrub"]
_MIB = 1 << 20


class Verification(Record, frozen=True, gc=False):
    """What was proven.

    Attributes:
        mode: quick, full or scrub.
        files: Files of the manifest that were looked at.
        size_bytes: Their size.
        rows: Their rows, as the manifest says.
        audit_entries: Entries of the audit log.
        elapsed_s: How long it took.
        problems: What is wrong, a sentence each; empty where everything is as it should be.
    """

    mode: str
    files: int
    size_bytes: int
    rows: int
    audit_entries: int
    elapsed_s: float
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class _Kept(Record, frozen=True, gc=False):
    """The books of one moment."""

    head: str | None
    entries: list[AuditEntry]
    files: list[ArchiveFile]


def read_kept(database: DatabaseManager) -> _Kept:
    """Read manifest and audit log of one moment.

    Args:
        database: The open store.

    Returns:
        The end of the log as it is noted elsewhere, its entries, and the files that count.
    """
    statements = database.statements
    with database.readers.transaction() as transaction:
        head = transaction.rows(statements["find_settings"], (AUDIT_HEAD,))
        return _Kept(
            head[0][1] if head else None,
            [AuditEntry(*row) for row in transaction.rows(statements["audit_entries"])],
            [
                ArchiveFile.from_row(row)
                for dataset in database.registry.tiered
                for row in transaction.rows(statements["manifest_of_dataset"], (dataset.name,))
            ],
        )


def audit_problem(kept: _Kept) -> str | None:
    """Say what is wrong with the audit log.

    Args:
        kept: The books.

    Returns:
        The end of a sentence about it; None where it is whole.
    """
    broken = broken_entry(kept.entries)
    counting = {file.file_id: file.sha256 for file in kept.files if file.visible_through is None}
    if broken is not None:
        return f"broken at entry {broken}: it does not follow from the one before"
    if audit_head(kept.entries[-1] if kept.entries else None) != kept.head:
        ended = kept.head.partition(" ")[0] if kept.head else "none"
        return f"not whole: it ends at entry {len(kept.entries) or 'none'} and had ended at entry {ended}"
    problem = manifest_problem(kept.entries, counting)
    return None if problem is None else f"not whole: {problem}"


def examine(
    database: DatabaseManager,
    mode: Mode = "full",
    *,
    rate_mib_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Verification:
    """Prove what is kept, and name everything that is wrong.

    Args:
        database: The open store.
        mode: ``quick``: sizes, manifest, audit chain; ``full``: also hashes and the database's pages; ``scrub``: also
            every row's values by count, range and exact sums.
        rate_mib_s: Read files no faster than this, MiB/s, so that others are not held up; None reads at full speed.
        progress: Called with bytes done and bytes in all.
        stop: Asked before each file; True ends it there, with what was found so far.

    Returns:
        What was proven.

    Raises:
        InvalidValue: There is no such mode, or the rate is not positive.
    """
    if mode not in get_args(Mode):
        raise InvalidValue(f"mode={mode!r}", hint=f"use one of {', '.join(get_args(Mode))}")
    if rate_mib_s is not None and not rate_mib_s > 0:
        raise InvalidValue(f"rate_mib_s={rate_mib_s!r}", hint="give a positive number of MiB a second")
    begun_s = time.monotonic()
    kept = read_kept(database)
    problems: list[str] = []
    if (problem := audit_problem(kept)) is not None:
        problems.append(f"the audit log is {problem}")
    if mode != "quick":
        problems += page_problems(database)
    looked_at, done_bytes = [], 0
    total_bytes = sum(file.size_bytes for file in kept.files)
    verifier = FileVerifier(database.root)
    for file in kept.files:
        if stop and stop():
            break
        problems += problems_of(database, verifier, file, mode)
        looked_at.append(file)
        done_bytes += file.size_bytes
        if progress:
            progress(done_bytes, total_bytes)
        if rate_mib_s is not None:
            time.sleep(max(0.0, begun_s + done_bytes / _MIB / rate_mib_s - time.monotonic()))
    return Verification(
        mode,
        len(looked_at),
        done_bytes,
        sum(file.row_count for file in looked_at),
        len(kept.entries),
        round(time.monotonic() - begun_s, 3),
        tuple(problems),
    )


def page_problems(database: DatabaseManager) -> list[str]:
    """Have SQLite read every page of the hot database.

    Args:
        database: The open store.

    Returns:
        What is wrong, a sentence each.
    """
    try:
        told = [str(row[0]) for row in database.readers.rows("PRAGMA quick_check(20)")]
    except StoreCorrupt as error:  # a page so broken that the check itself ends
        return [str(error)]
    return [f"{database.path}: {text}" for text in told if text != "ok"]


def problems_of(
    database: DatabaseManager, verifier: FileVerifier, file: ArchiveFile, mode: Mode
) -> Iterator[str]:
    """Prove one file of the manifest.

    Args:
        database: The open store.
        verifier: Of the store.
        file: The file.
        mode: How much.

    Yields:
        What is wrong, a sentence each.
    """
    path = database.root / file.path
    if file.offloaded_at is not None:
        try:
            prove_object(file, mode)
        except ArchiveError as error:
            yield str(error)
            return
        if not path.exists():  # it is a copy, and need not be there
            return
    if mode == "quick":
        try:
            size_bytes = path.stat().st_size
        except OSError as error:
            yield f"{path}: {error.strerror}"
            return
        if size_bytes != file.size_bytes:
            yield f"{path}: {size_bytes:,} bytes, the manifest says {file.size_bytes:,}"
        return
    try:
        verifier.prove(file)
        if mode == "scrub":
            with telling_failures(f"read {file.dataset}", path):
                yield from _differences(database.registry[file.dataset], file, path)
    except (ArchiveError, StorageFailure) as error:  # a bad sector is the problem of one file
        yield str(error)


def prove_content(verifier: FileVerifier, file: ArchiveFile) -> None:
    """Hash what is kept of a file: its object where there is one, else the file itself.

    Args:
        verifier: Of the store.
        file: A file of the manifest.

    Raises:
        ArchiveCorrupt: It is missing or changed.
        ArchiveUnreachable: Its object store does not answer.
    """
    if file.offloaded_at is None:
        verifier.prove(file)
    else:
        prove_object(file, "full")


def prove_object(file: ArchiveFile, mode: Mode) -> None:
    """Prove the object of a file: that it is there with its size, or by a hash of all of it.

    Args:
        file: A file that lies in an object store.
        mode: How much.

    Raises:
        ArchiveCorrupt: It is missing or changed.
        ArchiveUnreachable: Its object store does not answer.
    """
    assert file.url is not None
    object_store(file.url).check(file.path, file.size_bytes, None if mode == "quick" else file.sha256)


def _differences(dataset: Dataset, file: ArchiveFile, path: Any) -> Iterator[str]:
    """Compare a file's rows with what the manifest says of them."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        rows: pa.Table = parquet.read()
    assert dataset.tiering is not None
    ids = pc.min_max(rows.column(ROW_ID)).as_py()
    times = pc.min_max(rows.column(dataset.tiering.time).cast("int64")).as_py()
    found = {
        "row_count": rows.num_rows,
        "id_min": ids["min"],
        "id_max": ids["max"],
        "time_min_us": times["min"],
        "time_max_us": times["max"],
    }
    for name, value in found.items():
        if value != getattr(file, name):
            yield f"{path}: {name} is {value}, the manifest says {getattr(file, name)}"
    if pc.count_distinct(rows.column(ROW_ID)).as_py() != rows.num_rows:
        yield f"{path}: a row is in it twice"
    told: dict[str, str] = msgspec.json.decode(file.sums)
    declared = [name for name in told if name in rows.column_names]
    sums = exact_sums(dataset, rows.select(declared), declared)
    for name in declared:
        if sums[name] != told[name]:
            yield f"{path}: the sum of {name} is {sums[name]}, the manifest says {told[name]}"
