"""Merging archived files: days into a month, months into a year, late rows into what is there.

Rows that were superseded stay what they are: a merge neither adds nor loses one.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.session import WriteSession
from hybridstore.retention.merging import PlannedMerge
from hybridstore.retention.replacement import Replacement, replace_files
from hybridstore.retention.replacer import Order, Replacer
from hybridstore.schema.types import EXACT


def merge(replacer: Replacer, planned: PlannedMerge) -> ArchiveFile:
    """Do one merge.

    Args:
        replacer: Replaces files.
        planned: What becomes one, and where.

    Returns:
        The file that counts now; for what is raised see :meth:`Replacer.replace`.
    """
    order = Order("merge", planned.dataset, planned.tier, planned.start_us, planned.end_us, planned.files)
    (file,) = replacer.replace(
        order, lambda rows: [rows], lambda files: check_whole(planned, files[0]), commit_merge
    )
    return file


def commit_merge(session: WriteSession, replacement: Replacement, files: list[ArchiveFile]) -> None:
    """Make a merged file count in the place of its parts.

    Args:
        session: The write transaction.
        replacement: The replacement.
        files: The file.
    """
    (file,) = files
    replace_files(session, replacement, files, {
        "dataset": file.dataset, "tier": file.tier, "file_id": file.file_id, "path": file.path,
        "rows": file.row_count, "sha256": file.sha256, "start_us": file.start_us, "end_us": file.end_us,
        "replaces": replacement.replaced_ids,
    })  # fmt: skip


def check_whole(planned: PlannedMerge, file: ArchiveFile) -> None:
    """Compare the new file's books with those of the files it was made of.

    Args:
        planned: What became one.
        file: The new file.

    Raises:
        ArchiveCorrupt: They differ.
    """
    sums, found = sums_of(planned.files), sums_of([file])
    wrong = [name for name in found if sums.get(name, Decimal(0)) != found[name]]
    if file.row_count != planned.row_count or wrong:
        raise ArchiveCorrupt(
            f"{planned.dataset}: the merged file has {file.row_count:,} rows, its parts {planned.row_count:,}"
            + (f"; the sums of {', '.join(wrong)} differ" if wrong else ""),
            path=file.path,
            hint="nothing was changed; compare the parts with a backup",
        )


def sums_of(files: Iterable[ArchiveFile]) -> dict[str, Decimal]:
    """Add up the sums of files.

    Args:
        files: Files of one dataset.

    Returns:
        By column; one that only some files have counts as 0 in the others.
    """
    sums: dict[str, Decimal] = {}
    for file in files:
        for name, text in msgspec.json.decode(file.sums, type=dict[str, str]).items():
            sums[name] = EXACT.add(sums.get(name, Decimal(0)), Decimal(text))
    return sums
