"""A whole copy of the hot database, as the beginning of a way to later moments."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, Self

import msgspec
import zstandard

from hybridstore.backup.framing import encode_note
from hybridstore.backup.pieces import Full
from hybridstore.backup.repository import Repository
from hybridstore.clock import SECOND_US
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.durable import (
    PRIVATE_FILE_MODE,
    fsync_directory,
    make_directories,
    publish_file,
    telling_failures,
    write_file,
)
from hybridstore.errors import BackupCorrupt
from hybridstore.hot.copying import Copied, copy_database, prove_database

_LEVEL = 3
_CHUNK_BYTES = 4 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def make_full(
    config: DatabaseConfig,
    backup: BackupConfig,
    repository: Repository,
    epoch: int,
    now_us: int,
    progress: OnProgress | None = None,
) -> Full:
    """Copy the hot database while others go on writing.

    Args:
        config: The store's settings.
        backup: Settings of its backups.
        repository: Where to; its lock is held.
        epoch: The chain that is being written: it was begun before, so that it goes on from any moment of the copy.
        now_us: The time, us UTC.
        progress: Called as pages are copied and packed.

    Returns:
        What is said of the copy; once that is written the copy counts.

    Raises:
        StorageFull: The backup's device is full.
        StoreCorrupt: The store is damaged: the copy was not kept.
    """
    told = progress or (lambda _what, _done, _all: None)
    folder = repository.base / "making"
    raw = folder / f"{epoch:04}-{now_us}.db"
    with telling_failures("make a full backup", folder):
        make_directories(folder)
    try:
        copied = copy_database(config, raw, lambda done, total: told("copied", done, total))
        if backup.verify_backups:
            prove_database(config, raw, quick=True)
        return keep_full(repository, raw, copied, backup, epoch, now_us, "live", told)
    finally:
        for path in folder.glob(f"{raw.name}*"):
            with suppress(OSError):
                path.unlink()


def keep_full(
    repository: Repository,
    raw: Path,
    copied: Copied,
    backup: BackupConfig,
    epoch: int,
    now_us: int,
    origin: Literal["live", "chain"],
    told: OnProgress,
) -> Full:
    """Put a database into the backups.

    Args:
        repository: Where to.
        raw: The database; nobody uses it.
        copied: What is known of it.
        backup: Settings of the backups.
        epoch: Its chain.
        now_us: The time, us UTC.
        origin: Where it comes from.
        told: Called as it is packed.

    Returns:
        What is said of it; once that is written it counts.

    Raises:
        StorageFull: The backup's device is full.
        StorageFailure: It cannot be written.
    """
    full = Full(
        store=copied.position.mark.hex(),
        epoch=epoch,
        seq=copied.position.seq,
        ts_us=copied.position.ts_us,
        created_us=now_us,
        page_bytes=copied.page_bytes,
        page_checksums=copied.page_checksums,
        raw_bytes=raw.stat().st_size,
        raw_sha256="",
        size_bytes=0,
        sha256="",
        compressed=backup.enable_compression,
        origin=origin,
    )
    final = repository.base / full.path
    said = final.with_name(f"{final.name}.json")
    with telling_failures("write a full backup", final):
        if said.exists():  # no commit was made since it
            return repository.read_full(said)
        make_directories(final.parent)
        final.unlink(missing_ok=True)  # of one that never came to count
        temporary = final.with_name(f".{final.name}.tmp")
        try:
            full = _pack(raw, temporary, full, told)
            publish_file(temporary, final)
        finally:
            temporary.unlink(missing_ok=True)
        write_file(said, encode_note(full))
        fsync_directory(said.parent)
    return full


def _pack(raw: Path, temporary: Path, full: Full, told: OnProgress) -> Full:
    content, packed = hashlib.sha256(), _Hashed(temporary)
    done = 0
    with raw.open("rb") as source, packed:
        compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=full.raw_bytes)
        while chunk := source.read(_CHUNK_BYTES):
            content.update(chunk)
            packed.write(compressor.compress(chunk) if full.compressed else chunk)
            done += len(chunk)
            told("packed", done, full.raw_bytes)
        if full.compressed:
            packed.write(compressor.flush())
    return msgspec.structs.replace(
        full, raw_sha256=content.hexdigest(), size_bytes=packed.size_bytes, sha256=packed.sha256
    )


class _Hashed:
    """A file that is hashed as it is written, and flushed at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        self._file = os.fdopen(os.open(self._path, _FLAGS, PRIVATE_FILE_MODE), "wb")
        return self

    def write(self, content: bytes) -> None:
        assert self._file is not None
        self._file.write(content)
        self._digest.update(content)
        self.size_bytes += len(content)

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._file is not None
        with self._file as file:
            if kind is None:
                file.flush()
                os.fsync(file.fileno())


def readable_fulls(repository: Repository, epoch: int | None = None) -> list[Full]:
    """Return what is said of full copies. One that cannot be read does not count: a proof names it.

    Args:
        repository: The backups.
        epoch: Of this chain; None means of all.
    """
    found = []
    for one in repository.files():
        if one.named.kind == "full" and epoch in (None, one.named.epoch):
            with suppress(BackupCorrupt):
                found.append(repository.read_full(one.path))
    return found


def is_full_due(repository: Repository, backup: BackupConfig, now_us: int) -> bool:
    """Say whether the newest chain has no full copy, or one that is older than the interval.

    Args:
        repository: The backups.
        backup: Their settings.
        now_us: The time, us UTC.

    Raises:
        BackupCorrupt: Nothing says which chains there are.
    """
    epochs = repository.epochs()
    fulls = readable_fulls(repository, epochs[-1].epoch) if epochs else []
    newest_us = max((full.created_us for full in fulls), default=None)
    return newest_us is None or now_us - newest_us >= backup.full_backup_interval_hours * 3_600 * SECOND_US
