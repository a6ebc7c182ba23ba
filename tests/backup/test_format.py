"""A backup is restored by a program that knows docs/formats/backup.md, SQLite, zstd and JSON, and nothing of ours."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import zstandard

from hybridstore import HybridStore
from hybridstore.config import DATABASE_NAME, BackupConfig


def note(line: bytes) -> Any:
    """Read a note."""
    text = line.decode().strip()
    says = text[text.index('"says":') + 7 : -1]
    sealed = json.loads(text)
    assert f"{zlib.crc32(says.encode()):08x}" == sealed["crc32"]
    return sealed["says"]


def head_of(content: bytes) -> tuple[Any, bytes]:
    """Read the head of a segment or tail; return it and what follows."""
    assert content[:8] == b"HSBACKUP"
    length, crc = struct.unpack_from("<II", content, 8)
    head = content[16 : 16 + length]
    assert zlib.crc32(head) == crc
    return json.loads(head), content[16 + length :]


def unpack(content: bytes, raw_bytes: int) -> bytes:
    """Decompress a batch."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)[:raw_bytes]


def batches_of(path: Path) -> list[bytes]:
    """Return what a segment or tail holds, not compressed."""
    head, body = head_of(path.read_bytes())
    if path.suffix == ".tail":
        found = []
        while body:
            length, crc = struct.unpack_from("<II", body)
            record = body[8 : 8 + length]
            assert zlib.crc32(record) == crc
            raw_bytes = struct.unpack_from("<I", record, 16)[0]
            found.append(unpack(record[28:], raw_bytes))
            body = body[8 + length :]
        return found
    assert hashlib.sha256(body).hexdigest() == head["sha256"]
    assert len(body) == head["size_bytes"]
    return [unpack(body, head["raw_bytes"]) if head["compressed"] else body]


def restore(base: Path, epoch: int, seq: int, target: Path) -> None:
    """Put the database of a commit together."""
    notes = [note(path.read_bytes()) for path in base.glob("*/full/*.json")]
    full = max(
        (one for one in notes if one["epoch"] == epoch and one["seq"] <= seq), key=lambda one: one["seq"]
    )
    (source,) = (path for path in base.glob(f"*/full/{epoch:04}-{full['seq']}.db*") if path.suffix != ".json")
    packed = source.read_bytes()
    assert hashlib.sha256(packed).hexdigest() == full["sha256"]
    image = bytearray(
        zstandard.ZstdDecompressor().decompressobj().decompress(packed) if source.suffix == ".zst" else packed
    )
    files = sorted(base.glob(f"*/incremental/{epoch:04}-*"), key=lambda path: path.name[5:13])
    before = "0" * 64
    for path in files:
        head, _ = head_of(path.read_bytes())
        assert head["previous"] == before
        before = head.get("sha256", "")
        for batch in batches_of(path):
            apply(batch, image, seq, skip=path.suffix != ".tail" and head["seq_last"] <= full["seq"])
    target.write_bytes(image)


def apply(batch: bytes, image: bytearray, seq: int, *, skip: bool) -> None:
    """Write the pages of wanted commits."""
    if skip:  # all of it is in the full copy
        return
    frames, commits, page_bytes = struct.unpack_from("<3I", batch)
    numbers = struct.unpack_from(f"<{frames}I", batch, 12)
    sizes = struct.unpack_from(f"<{frames}I", batch, 12 + 4 * frames)
    ends = struct.unpack_from(f"<{commits}q", batch, 12 + 8 * frames)
    seqs = struct.unpack_from(f"<{commits}q", batch, 12 + 8 * frames + 8 * commits)
    pages = 12 + 8 * frames + 24 * commits
    assert len(batch) == pages + frames * page_bytes
    wanted = sum(one <= seq for one in seqs)
    for index in range(ends[wanted - 1] if wanted else 0):
        place = (numbers[index] - 1) * page_bytes
        image[len(image) :] = bytes(max(place + page_bytes - len(image), 0))
        image[place : place + page_bytes] = batch[
            pages + index * page_bytes : pages + (index + 1) * page_bytes
        ]
    if wanted:
        del image[sizes[ends[wanted - 1] - 1] * page_bytes :]


@pytest.mark.parametrize("compressed", [True, False])
def test_any_commit_is_restored_by_the_document_alone(root: Path, tmp_path: Path, compressed: bool) -> None:  # noqa: FBT001
    backup = BackupConfig(enable_compression=compressed)
    noted: dict[int, str] = {}
    with HybridStore(root, backup=backup) as store:
        store.backups.create_full()
        for number in range(9):
            store.record_balance_update(f"C{number % 3}", number, 0, "test")
            if number == 4:
                store.backups.create_full()
            if number == 5:
                with closing(apsw.Connection(str(root / DATABASE_NAME))) as foreign:
                    foreign.execute("CREATE TABLE foreign_one AS SELECT * FROM balance_history")
            seq = store.get_system_status()["commit_seq"]
            noted[seq] = balances(root / DATABASE_NAME)
            store.backups.create_incremental()
        store.backups.create_full()
        store.record_balance_update("last", 1, 0, "test")
        seq = store.get_system_status()["commit_seq"]
        noted[seq] = balances(root / DATABASE_NAME)
        store.backups.create_incremental()
    lines = (root / "backups" / "epochs.jsonl").read_bytes().splitlines()
    assert [note(line)["epoch"] for line in lines] == [1]
    assert lines == (root / "backups" / "epochs-copy.jsonl").read_bytes().splitlines()
    for seq, held in noted.items():
        target = tmp_path / f"{seq}.db"
        restore(root / "backups", 1, seq, target)
        assert balances(target) == held
        with closing(apsw.Connection(str(target))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT seq FROM commit_clock").fetchall() == [(seq,)]


def balances(path: Path) -> str:
    """Return what a database holds of balances, and its tables, read by a plain SQLite."""
    with closing(apsw.Connection(str(path))) as connection:
        rows = connection.execute("SELECT * FROM balance_history ORDER BY 1").fetchall()
        tables = connection.execute("SELECT name FROM sqlite_schema ORDER BY 1").fetchall()
    return hashlib.sha256(msgspec.json.encode((rows, tables))).hexdigest()
