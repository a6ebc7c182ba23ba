"""Brings copies of backups back from below a URL, into a folder that can be restored from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from hybridstore.archive.object_store import ObjectStore, object_store
from hybridstore.backup.framing import decode_note, encode_note
from hybridstore.backup.mirror import FOLDER, NOTES, Notes, path_of
from hybridstore.backup.newest import FETCHED_NAME
from hybridstore.backup.pieces import Named, read_name
from hybridstore.backup.repository import EPOCHS_NAMES
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories, telling_failures, write_file
from hybridstore.errors import ArchiveCorrupt, BackupCorrupt, ConfigError, InvalidValue, NotFound
from hybridstore.records import Record

OnBytes = Callable[[int, int], None]
_ARCHIVED = re.compile(r"archives/(?P<prefix>[0-9a-f]{2})/(?P=prefix)[0-9a-f]{62}\.parquet")
_NOTED = re.compile(r"[a-z][a-z.-]{0,40}")
_TEMPORARY_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


class Fetched(Record, frozen=True, gc=False):
    """Backups that were brought back.

    Attributes:
        base: The folder.
        series: By what name they were known.
        files: Files that were brought.
        size_bytes: Their size.
        kept: Files that were there already.
    """

    base: str
    series: str
    files: int
    size_bytes: int
    kept: int


class _Source(msgspec.Struct, frozen=True):
    """Where a folder of backups was brought from: what was backed up last there it does not know.

    Attributes:
        url: Below which URL it was.
        series: By what name.
    """

    url: str
    series: str


class _File(NamedTuple):
    """A file of a series.

    Attributes:
        path: Relative to the folder of the backups.
        objects: Its pieces in their order, and their sizes.
    """

    path: str
    objects: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.objects)


def list_series(url: str) -> list[str]:
    """Return which series of backups there are below a URL, oldest first. A folder that was begun anew is another one.

    Args:
        url: As it was given for the copies.

    Raises:
        ArchiveUnreachable: The store did not answer, or refused it.
        ConfigError: The URL cannot be one of a store, or the library for it is not installed.
    """
    return sorted({name.split("/")[1] for name in object_store(url).sizes(FOLDER) if name.count("/") > 1})


def fetch(
    url: str,
    base: Path,
    *,
    series: str | None = None,
    since: date | None = None,
    on_bytes: OnBytes | None = None,
) -> Fetched:
    """Bring backups into a folder. What is there already stays, so that one that was interrupted goes on.

    Args:
        url: As it was given for the copies.
        base: The folder; only one of the same series may be there.
        series: Which one; None means the newest.
        since: Only what moments of this day and later need, UTC; None brings everything.
        on_bytes: Called with the bytes brought so far, and all there are.

    Returns:
        What was brought.

    Raises:
        NotFound: There are no backups, or no such series.
        BackupCorrupt: What says what belongs to it is damaged.
        ConfigError: The folder holds other backups.
        InvalidValue: There are backups of several stores, and it is not said which are meant.
        ArchiveUnreachable: The store did not answer, or refused it.
        StorageFull: There is no space.
    """
    store, known = object_store(url), list_series(url)
    if series is None and len({one.partition("-")[2] for one in known}) > 1:
        raise InvalidValue(
            "backups of several stores are below this URL",
            operation="fetch backups",
            hint=f"say which series is meant, the newest is the last: {', '.join(known)}",
        )
    chosen = series or (known[-1] if known else None)
    if chosen is None or chosen not in known:
        raise NotFound(
            "there are no backups below this URL" if not known else f"there is no series {series!r} there",
            path=url,
            hint=f"there are: {', '.join(known)}" if known else "check the URL and the credentials",
        )
    below = f"{FOLDER}/{chosen}"
    sizes = {name.removeprefix(f"{below}/"): size for name, size in store.sizes(below).items()}
    notes = _newest_notes(store, below, sizes)
    _refuse_others(base, notes)
    files = _wanted(_files(sizes), since)
    done, total, brought = 0, sum(file.size_bytes for file in files), []
    for file in files:
        if not _has(base, file):
            _bring(store, below, base, file)
            brought.append(file)
        done += file.size_bytes
        if on_bytes is not None:
            on_bytes(done, total)
    for name, content in notes.files.items():  # last: until then it is no folder of backups
        if _NOTED.fullmatch(name):
            with telling_failures("fetch backups", base / name):
                write_file(base / name, content)
    size_bytes = sum(file.size_bytes for file in brought)
    with telling_failures("fetch backups", base):
        write_file(base / FETCHED_NAME, encode_note(_Source(url, chosen)) + b"\n")
    return Fetched(str(base), chosen, len(brought), size_bytes, len(files) - len(brought))


def _newest_notes(store: ObjectStore, below: str, sizes: dict[str, int]) -> Notes:
    failed: BackupCorrupt | None = None
    for name in sorted((name for name in sizes if name.startswith(f"{NOTES}/")), reverse=True):
        try:
            return decode_note(store.read(f"{below}/{name}"), Notes)
        except BackupCorrupt as error:
            failed = failed or BackupCorrupt(error.message, path=store.place(f"{below}/{name}"))
    raise failed or BackupCorrupt(
        "nothing says which chains of backups there are", path=store.place(f"{below}/{NOTES}")
    )


def _refuse_others(base: Path, notes: Notes) -> None:
    """Refuse a folder that holds other backups: two series in one cannot be told apart."""
    for name in EPOCHS_NAMES:
        with telling_failures("fetch backups", base), suppress(FileNotFoundError):
            first = (base / name).read_bytes().partition(b"\n")[0]
            if first != notes.files.get(name, b"").partition(b"\n")[0]:
                raise ConfigError(
                    "the folder holds other backups",
                    path=str(base),
                    hint="give a folder that does not exist yet",
                )


def _files(sizes: dict[str, int]) -> list[_File]:
    objects: dict[str, list[tuple[str, int]]] = {}
    for name in sorted(sizes):  # pieces come in the order of their numbers
        objects.setdefault(path_of(name), []).append((name, sizes[name]))
    found = [_File(path, tuple(pieces)) for path, pieces in objects.items()]
    there = {file.path for file in found}
    # A copy without its description was still being put there.
    return [
        file
        for file in found
        if _is_ours(file.path) and not (_is_copy(file.path) and f"{file.path}.json" not in there)
    ]


def _is_ours(path: str) -> bool:
    """Say whether a name is one that a backup has; nothing else is written anywhere."""
    if _ARCHIVED.fullmatch(path):
        return True
    folder, _, rest = path.partition("/")
    kind, _, name = rest.partition("/")
    named = _named(name)
    return (
        re.fullmatch(r"\d{8}", folder) is not None
        and named is not None
        and (kind == "full" if named.kind == "full" else kind == "incremental" and named.kind == "segment")
    )


def _is_copy(path: str) -> bool:
    return read_name(f"{PurePosixPath(path).name}.json") is not None


def _named(name: str) -> Named | None:
    return read_name(name) or read_name(f"{name}.json")


def _wanted(files: list[_File], since: date | None) -> list[_File]:
    """Leave out what is older than the newest full copy of before a day."""
    if since is None:
        return files
    day = since.strftime("%Y%m%d")
    named = {file.path: _named(PurePosixPath(file.path).name) for file in files}
    fulls = sorted(
        ((one.epoch, one.number), path[:8] < day)
        for path, one in named.items()
        if one is not None and one.kind == "full"
    )
    before = [place for place, is_before in fulls if is_before]
    if not before:
        return files
    return [
        file for file in files if (one := named[file.path]) is None or (one.epoch, one.seq_last) >= before[-1]
    ]


def _has(base: Path, file: _File) -> bool:
    try:
        return (base / file.path).stat().st_size == file.size_bytes
    except OSError:
        return False


def _bring(store: ObjectStore, below: str, base: Path, file: _File) -> None:
    target = base / file.path
    with telling_failures("fetch backups", target):
        make_directories(target.parent)
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with os.fdopen(os.open(temporary, _TEMPORARY_FLAGS, PRIVATE_FILE_MODE), "wb") as out:
                for name, size in file.objects:
                    content = store.read(f"{below}/{name}")
                    if len(content) != size:
                        raise ArchiveCorrupt(
                            f"the object has {len(content):,} bytes, and was said to have {size:,}",
                            path=store.place(f"{below}/{name}"),
                        )
                    out.write(content)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
