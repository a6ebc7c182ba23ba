"""The last commit of a store, known outside its database: so a store that lost commits says so when it is opened.

A flipped bit in the write-ahead log silently ends the log there, and a database file that is put back from an old copy
looks like any other. ``<root>/.watermark`` holds how far the store had come; where the database ends earlier, the loss
is written to ``<root>/.loss.json`` and told until somebody accepts it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybridstore.durable import write_file
from hybridstore.hot.guard_report import GuardReport
from hybridstore.records import Record
from hybridstore.schema.types import moment

WATERMARK_NAME = ".watermark"
LOSS_NAME = ".loss.json"
_SLOT_BYTES = 256
"""Less than a sector, so that a slot is written as a whole; two of them, so that one is always whole."""
_SLOTS = 2
_log = logging.getLogger("hybridstore")


class Position(NamedTuple):
    """How far a store has come.

    Attributes:
        mark: Hexadecimal, by which a store is known for ever.
        seq: Number of its last commit.
        ts_us: Time of that commit, us UTC.
    """

    mark: str
    seq: int
    ts_us: int


class Loss(Record, frozen=True, gc=False):
    """A store that was opened and did not hold what it had held.

    Attributes:
        expected_mark: Mark of the store that was there.
        expected_seq: Its last commit that was known.
        expected_at: The time of that commit, ISO 8601.
        found_mark: Mark of the store that was found.
        found_seq: Its last commit.
        found_at: The time of that commit, ISO 8601.
        noticed_at: When it was noticed, ISO 8601.
        durability: The store's setting at that time.
    """

    expected_mark: str
    expected_seq: int
    expected_at: str
    found_mark: str
    found_seq: int
    found_at: str
    noticed_at: str
    durability: str

    def sentence(self) -> str:
        """Say what was lost.

        Returns:
            A sentence with both commits and their times.
        """
        if self.expected_mark != self.found_mark:
            return (
                f"another store's database was put here: until {self.noticed_at} it had been the store "
                f"{self.expected_mark[:8]} with commit {self.expected_seq} of {self.expected_at}, now it is "
                f"{self.found_mark[:8]} with commit {self.found_seq} of {self.found_at}"
            )
        why = (
            " (written with durability 'normal', so a power cut may do this)"
            if self.durability == "normal"
            else ""
        )
        return (
            f"acknowledged commits are lost: the store had reached commit {self.expected_seq} of {self.expected_at} "
            f"and ended at commit {self.found_seq} of {self.found_at} when it was opened at {self.noticed_at}, "
            f"{self.expected_seq - self.found_seq} fewer{why}"
        )


class Watermark:
    """The two files beside a database. Several processes share them.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / WATERMARK_NAME
        self._loss_path = root / LOSS_NAME
        self._known: Position | None = None
        self._error: OSError | None = None
        self._unwritten: tuple[Loss, ...] = ()
        self._lock = threading.Lock()

    def read(self) -> Position | None:
        """Read how far the store had come.

        Returns:
            The newer of the slots that are whole; None where there is none.
        """
        try:
            found = _read(self._path)
        except OSError as error:
            self._error = error
            return None
        return None if found is None else found[1]

    def compare(
        self, before: Position | None, now: Position, durability: str, noticed_us: int
    ) -> Loss | None:
        """Compare what the store holds with what it held, and remember a loss until it is accepted.

        Args:
            before: What :meth:`read` returned before ``now`` was read: other processes may be committing.
            now: What the store holds.
            durability: The store's setting.
            noticed_us: The time, us UTC.

        Returns:
            The loss, if there is one.
        """
        if before is None or (before.mark == now.mark and before.seq <= now.seq):
            self.write(now)
            return None
        loss = Loss(
            expected_mark=before.mark,
            expected_seq=before.seq,
            expected_at=moment(before.ts_us).isoformat(),
            found_mark=now.mark,
            found_seq=now.seq,
            found_at=moment(now.ts_us).isoformat(),
            noticed_at=moment(noticed_us).isoformat(timespec="seconds"),
            durability=durability,
        )
        known = self.losses()
        if all((one.expected_mark, one.expected_seq) != before[:2] for one in known):  # two opened it at once
            content = msgspec.json.format(msgspec.json.encode([*known, loss]), indent=1)
            try:
                write_file(self._loss_path, content)
            except OSError as error:  # the next opening compares again, and tries again
                self._error, self._unwritten = error, (loss,)
                return loss
        self._put(now, goes_back=True)  # the loss is on the device: from here on the store counts anew
        return loss

    def write(self, now: Position) -> None:
        """Write how far the store has come; an older position changes nothing. Does not wait for the device.

        Args:
            now: A position whose commits are durable.
        """
        if self._known is None or now != self._known:
            self._put(now, goes_back=False)

    def flush(self) -> None:
        """Bring what was written to the device."""
        with contextlib.suppress(OSError), self._path.open("r+b") as file:
            os.fsync(file.fileno())

    def losses(self) -> tuple[Loss, ...]:
        """Return the losses that nobody has accepted yet.

        Returns:
            Oldest first.
        """
        try:
            written = msgspec.json.decode(self._loss_path.read_bytes(), type=tuple[Loss, ...])
        except FileNotFoundError:
            written = ()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("%s cannot be read: %s", self._loss_path, error)
            written = ()
        return written + self._unwritten

    def accept(self) -> tuple[Loss, ...]:
        """Stop telling of the losses there are.

        Returns:
            What was accepted.
        """
        accepted = self.losses()
        self._loss_path.unlink(missing_ok=True)
        self._unwritten = ()
        for loss in accepted:
            _log.info("accepted: %s", loss.sentence())
        return accepted

    def tell(self) -> None:
        """Write every loss that was not accepted to the log of the program."""
        for report in self.reports():
            if report.state != "ok":
                _log.warning("%s", report.sentence())

    def reports(self) -> list[GuardReport]:
        """Say how it stands.

        Returns:
            One report a loss, or one that says there is none.
        """
        reports = [
            GuardReport(
                "watermark",
                "alarm" if loss.expected_mark == loss.found_mark else "warning",
                loss.sentence(),
                f"put the right database back or restore a backup; where what is there shall count, call "
                f"database.accept_loss() or remove {self._loss_path}",
            )
            for loss in self.losses()
        ]
        if self._error is not None:
            message = f"{self._path} cannot be written: {self._error.strerror}"
            remedy = "check free space and permissions; until then a loss of commits may go unnoticed"
            reports.append(GuardReport("watermark", "warning", message, remedy))
        return reports or [
            GuardReport("watermark", "ok", "the store holds every commit it is known to have made")
        ]

    def _put(self, now: Position, *, goes_back: bool) -> None:
        with self._lock:
            try:
                found = _read(self._path)
                if found is None:
                    write_file(self._path, _slot(1, now) + b" " * _SLOT_BYTES)
                elif goes_back or (found[1].mark == now.mark and found[1].seq < now.seq):
                    count = found[0] + 1
                    with self._path.open("r+b", buffering=0) as file:
                        file.seek((count - 1) % _SLOTS * _SLOT_BYTES)
                        file.write(_slot(count, now))
            except OSError as error:
                self._error = error
            else:
                self._error, self._known = None, now


def _slot(count: int, position: Position) -> bytes:
    text = f"{count} {position.mark} {position.seq} {position.ts_us} ".encode()
    return (text + f"{zlib.crc32(text):08x}".encode()).ljust(_SLOT_BYTES - 1) + b"\n"


def _read(path: Path) -> tuple[int, Position] | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    found = [
        slot
        for start in range(0, _SLOTS * _SLOT_BYTES, _SLOT_BYTES)
        if (slot := _parse(content[start : start + _SLOT_BYTES])) is not None
    ]
    return max(found, default=None)


def _parse(slot: bytes) -> tuple[int, Position] | None:
    text, _, checksum = slot.rstrip().rpartition(b" ")
    if checksum != f"{zlib.crc32(text + b' '):08x}".encode():
        return None
    try:
        count, mark, seq, ts_us = text.decode("ascii").split()
        return int(count), Position(mark, int(seq), int(ts_us))
    except ValueError:  # whole, and of another version
        return None
