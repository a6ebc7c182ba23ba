"""The file that the newest commits are appended to, flushed with each look at the log."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hybridstore.backup.batch import Batch, decode, encode
from hybridstore.backup.framing import TailRecord, encode_head, encode_record
from hybridstore.backup.pieces import LogPosition, Tail
from hybridstore.durable import PRIVATE_FILE_MODE, fsync_directory, make_directories, telling_failures

_LEVEL = 1
"""What is appended soon becomes part of a segment, which is compressed better."""
_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)


class TailFile:
    """A tail that is being written. Everything in it is in memory, too, compressed: it can be written again.

    Args:
        base: The folder of the backups.
        head: Its head.
        records: What it holds already.
    """

    def __init__(self, base: Path, head: Tail, records: list[TailRecord] | None = None) -> None:
        self.head = head
        self.path = base / head.path
        self._records = list(records or ())
        self._unwritten: list[TailRecord] = []
        self._descriptor: int | None = None

    @property
    def end(self) -> LogPosition:
        """Where in the log it ends."""
        return self._records[-1].end if self._records else self.head.begin

    @property
    def raw_bytes(self) -> int:
        """Size of what it holds, before compression."""
        return sum(record.raw_bytes for record in self._records)

    @property
    def frames(self) -> int:
        """Frames that it holds."""
        return sum(len(batch.numbers) for batch in self.batches())

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return not self._records

    def add(self, batch: Batch, end: LogPosition) -> None:
        """Add frames; they count once :meth:`flush` returns.

        Args:
            batch: The frames.
            end: Where in the log they end.
        """
        self._unwritten.append(TailRecord(end, batch.raw_bytes, encode(batch, _LEVEL)))

    def flush(self) -> None:
        """Append what was added, and flush it to the device. Where that fails nothing of it counts.

        Raises:
            StorageFull: There is no space.
            StorageFailure: The file cannot be written.
        """
        with telling_failures("append to the backup", self.path):
            try:
                if self._descriptor is None:
                    self._write_anew()
                else:
                    _write(self._descriptor, b"".join(map(encode_record, self._unwritten)))
                    os.fsync(self._descriptor)
            except BaseException:
                # Nobody knows what of it is on the device: it is written anew, as a whole, under the same name.
                self.close()
                self._unwritten.clear()
                raise
        self._records += self._unwritten
        self._unwritten.clear()

    def batches(self) -> list[Batch]:
        """Return what it holds, in the order of the log."""
        return [decode(record.content, record.raw_bytes, compressed=True) for record in self._records]

    def close(self) -> None:
        """Close the file; it stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def remove(self) -> None:
        """Close the file and remove it: a segment holds what it held."""
        self.close()
        with telling_failures("remove a tail", self.path):
            self.path.unlink(missing_ok=True)

    def _write_anew(self) -> None:
        make_directories(self.path.parent)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        content = encode_head(self.head) + b"".join(
            encode_record(record) for record in (*self._records, *self._unwritten)
        )
        try:
            descriptor = os.open(temporary, _FLAGS | os.O_TRUNC, PRIVATE_FILE_MODE)
            try:
                _write(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(self.path)
        except BaseException:
            with suppress(OSError):  # it takes space that may be what is missing
                temporary.unlink(missing_ok=True)
            raise
        fsync_directory(self.path.parent)
        self._descriptor = os.open(self.path, _FLAGS | os.O_APPEND, PRIVATE_FILE_MODE)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
