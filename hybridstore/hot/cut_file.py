"""A database file that ends inside a page: SQLite takes the rest of it for zeros and proves no checksum of it.

Rows of that page would be wrong or missing without an error. After a power cut the file may rightly end so, while the
page is written back from the log: then the log has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from hybridstore.errors import StoreCorrupt

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")


def refuse_cut_file(path: Path, page_size: int) -> None:
    """Refuse a database whose last page is not all there, neither in its file nor in its log.

    Args:
        path: The database.
        page_size: Size of its pages, bytes.

    Raises:
        StoreCorrupt: It ends inside a page.
    """
    size_bytes = path.stat().st_size
    pages, rest_bytes = divmod(size_bytes, page_size)
    if rest_bytes and pages + 1 not in _logged_pages(path.with_name(f"{path.name}-wal"), page_size):
        raise StoreCorrupt(
            f"the file ends inside a page: {size_bytes:,} bytes are {pages:,} pages and {rest_bytes:,} bytes",
            operation="open the hot store",
            path=str(path),
            hint="it was cut; restore a backup",
        )


def _logged_pages(log: Path, page_size: int) -> Iterator[int]:
    """Return the numbers of the pages in a log; see https://www.sqlite.org/fileformat2.html#the_write_ahead_log."""
    if not log.exists():
        return
    with log.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        salts = _HEADER.unpack(header)[4:6]
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            number, _, *frame_salts, _, _ = _FRAME.unpack(frame)
            if tuple(frame_salts) != salts:  # of before the log began anew
                return
            yield number
            file.seek(page_size, 1)
