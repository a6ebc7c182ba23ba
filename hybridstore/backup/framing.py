"""How a file of a backup begins, and how a tail is appended to (pure). Formats: docs/formats/backup.md."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple, TypeVar

import msgspec

from hybridstore.backup.pieces import LogPosition, Segment, Tail
from hybridstore.errors import BackupCorrupt

_MAGIC = b"HSBACKUP"
_LENGTH = struct.Struct("<II")
_RECORD = struct.Struct("<5IQ")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD_MAX_BYTES = 1 << 16
HeadT = TypeVar("HeadT", Segment, Tail)
NoteT = TypeVar("NoteT", bound=msgspec.Struct)


def encode_head(head: Segment | Tail) -> bytes:
    """Return the head of a file.

    Args:
        head: What it says.

    Returns:
        Magic, length and CRC-32 of what follows (u32 little-endian each), and that as JSON.
    """
    text = msgspec.json.encode(head)
    return _MAGIC + _LENGTH.pack(len(text), zlib.crc32(text)) + text


HEAD_MIN_BYTES = len(_MAGIC) + _LENGTH.size


def head_bytes(start: bytes) -> int:
    """Return how long the head of a file is.

    Args:
        start: Its first :data:`HEAD_MIN_BYTES` bytes.

    Returns:
        Its length with these.

    Raises:
        BackupCorrupt: It is not one of ours.
    """
    if len(start) < HEAD_MIN_BYTES or start[: len(_MAGIC)] != _MAGIC:
        raise BackupCorrupt("it does not begin as a file of a backup")
    length, _ = _LENGTH.unpack_from(start, len(_MAGIC))
    if length > _HEAD_MAX_BYTES:
        raise BackupCorrupt("its head is damaged")
    return HEAD_MIN_BYTES + int(length)


def decode_head(content: bytes, kind: type[HeadT]) -> HeadT:
    """Read the head of a file.

    Args:
        content: The head, whole.
        kind: What it is the head of.

    Returns:
        What it says.

    Raises:
        BackupCorrupt: It is damaged.
    """
    length, crc = _LENGTH.unpack_from(content, len(_MAGIC))
    text = content[HEAD_MIN_BYTES:]
    if len(text) != length or zlib.crc32(text) != crc:
        raise BackupCorrupt("its head is damaged")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BackupCorrupt(f"its head is of another version: {error}") from error


class _Sealed(msgspec.Struct, frozen=True):
    """What a note says, with the CRC-32 of it as it stands there."""

    crc32: str
    says: msgspec.Raw


def encode_note(note: msgspec.Struct) -> bytes:
    """Return a note as it is written: JSON in one line, which tells when a byte of it was changed.

    Args:
        note: What it says.

    Returns:
        An object of ``crc32``, eight hexadecimal digits, and ``says``, whose bytes they are of.
    """
    says = msgspec.json.encode(note)
    return msgspec.json.encode(_Sealed(f"{zlib.crc32(says):08x}", msgspec.Raw(says)))


def decode_note(content: bytes, kind: type[NoteT]) -> NoteT:
    """Read a note.

    Args:
        content: As :func:`encode_note` made it.
        kind: What it says.

    Returns:
        What it says.

    Raises:
        BackupCorrupt: It is damaged, or of another version.
    """
    try:
        sealed = msgspec.json.decode(content, type=_Sealed)
        if f"{zlib.crc32(sealed.says):08x}" != sealed.crc32:
            raise BackupCorrupt("it is damaged: its checksum is wrong")
        return msgspec.json.decode(sealed.says, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupCorrupt(f"it is damaged: {error}") from error


class TailRecord(NamedTuple):
    """What one append to a tail holds.

    Attributes:
        end: Where in the log it ends.
        raw_bytes: Size of its batch before compression.
        content: The batch, zstd.
    """

    end: LogPosition
    raw_bytes: int
    content: bytes


def encode_record(record: TailRecord) -> bytes:
    """Return a record as it is appended.

    Args:
        record: The record.

    Returns:
        Length and CRC-32 of what follows (u32 little-endian each); salts and checksums (four u32), size before
        compression (u32), frames before its end (u64), content.
    """
    end = record.end
    body = (
        _RECORD.pack(end.salt1, end.salt2, end.sum1, end.sum2, record.raw_bytes, end.frames) + record.content
    )
    return _LENGTH.pack(len(body), zlib.crc32(body)) + body


def decode_records(body: bytes) -> tuple[list[TailRecord], int]:
    """Read the records of a tail.

    Args:
        body: Everything behind its head.

    Returns:
        The records, and how many bytes at the end are no whole record: of one that was being written when its
        process died.

    Raises:
        BackupCorrupt: One is damaged that has others behind it.
    """
    found: list[TailRecord] = []
    at = 0
    while at < len(body):
        content = _record_at(body, at)
        if content is None:
            rest = body[at:]
            if _has_record_behind(rest):
                raise BackupCorrupt(f"record {len(found)} of the tail is damaged and others follow it")
            return found, len(rest)
        salt1, salt2, sum1, sum2, raw_bytes, frames = _RECORD.unpack_from(content)
        end = LogPosition(salt1, salt2, frames, sum1, sum2)
        found.append(TailRecord(end, raw_bytes, content[_RECORD.size :]))
        at += _LENGTH.size + len(content)
    return found, 0


def _record_at(body: bytes, at: int) -> bytes | None:
    if len(body) - at < _LENGTH.size + _RECORD.size:
        return None
    length, crc = _LENGTH.unpack_from(body, at)
    content = body[at + _LENGTH.size : at + _LENGTH.size + length]
    if length < _RECORD.size or len(content) != length or zlib.crc32(content) != crc:
        return None
    return content


def _has_record_behind(rest: bytes) -> bool:
    """Look for a whole record at every later place: the length of a damaged one may be what is damaged."""
    at = rest.find(_ZSTD_MAGIC, _LENGTH.size + _RECORD.size + 1)
    while at >= 0:
        start = at - _LENGTH.size - _RECORD.size
        if start > 0 and _record_at(rest, start) is not None:
            return True
        at = rest.find(_ZSTD_MAGIC, at + 1)
    return False
