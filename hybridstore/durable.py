"""Files that are whole or absent: atomic writes that reach the device, and SHA-256 of what is there.

Neither Parquet writers nor ``os.replace`` make a file durable by themselves. A new file survives a power cut only
after fsync of the file, the rename, and fsync of the directory (and of every directory created on the way).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from hybridstore.errors import StorageFailure, StorageFull

_HASH_CHUNK_BYTES = 1 << 20
FULL_ERRNOS = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What a system call says when there is no room: the device, a limit on file sizes, or a quota."""
PRIVATE_FILE_MODE = stat.S_IRUSR | stat.S_IWUSR
"""Files hold somebody's books: readable by their owner alone."""
PRIVATE_DIR_MODE = stat.S_IRWXU


def fsync_file(path: Path) -> None:
    """Flush a file's content to the device.

    Args:
        path: The file; it must exist.
    """
    # Windows refuses to flush a handle opened read-only.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directory(path: Path) -> None:
    """Flush a directory's entries to the device.

    Windows cannot open a directory for flushing; NTFS journals its entries, so there is nothing to do there.

    Args:
        path: The directory; it must exist.
    """
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Create a directory with its missing parents, private to the owner, each entry durable in its parent.

    Args:
        path: The directory to have.
    """
    if path.is_dir():
        # Whoever made it may have died before flushing its entry. Parents are older: each was flushed before the
        # next was made. A parent this user may not read is not one this package made.
        with contextlib.suppress(PermissionError):
            fsync_directory(path.parent)
        return
    if path.parent != path:  # a drive that does not exist is its own parent
        make_directories(path.parent)
    path.mkdir(mode=PRIVATE_DIR_MODE, exist_ok=True)
    fsync_directory(path.parent)


def publish_file(temporary: Path, final: Path) -> None:
    """Give a finished, fsynced file its final name, durably. The name must never have been used before.

    Args:
        temporary: The written file, in the folder of ``final``.
        final: The name under which readers will look for it.

    Raises:
        FileExistsError: ``final`` exists: a published file is never replaced.
    """
    if final.exists():
        raise FileExistsError(f"refusing to replace the published file {final}")
    temporary.rename(final)
    fsync_directory(final.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that after a crash either the old or the new content is there.

    Args:
        path: The file; its folder must exist.
        content: What it shall hold.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append a line to a file, and flush it. One that a crash left unfinished is ended first.

    Args:
        path: The file; its folder exists.
        line: Without the newline.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end:
            os.lseek(descriptor, end - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                line = b"\n" + line
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(error: OSError, operation: str, path: Path) -> StorageFull | StorageFailure:
    """Turn the failure to write a file into an error that says what to do.

    Args:
        error: What the system said.
        operation: What was being done.
        path: The file.

    Returns:
        The error to raise.
    """
    if error.errno in FULL_ERRNOS:
        return StorageFull(
            "no space left on the device",
            operation=operation,
            path=str(path),
            hint="free space on its device and do it again; nothing was lost",
        )
    return StorageFailure(
        f"{type(error).__name__}: {error.strerror or error}",
        operation=operation,
        path=str(path),
        hint="check the device, the folder's permissions and the system log",
    )


@contextlib.contextmanager
def telling_failures(operation: str, path: Path) -> Iterator[None]:
    """Turn what the system says of files into errors that say what to do.

    Args:
        operation: What is being done.
        path: What it is about, where the system does not name the file.

    Yields:
        Nothing.

    Raises:
        StorageFull: There is no space.
        StorageFailure: A file cannot be read or written.
    """
    try:
        yield
    except ConnectionError:  # of whoever is told how far it is: no file
        raise
    except OSError as error:
        # Where a file is copied or gets another name, it is the new one that there is no space for.
        full = error.errno in FULL_ERRNOS and isinstance(error.filename2, str)
        named = error.filename2 if full else error.filename if isinstance(error.filename, str) else None
        raise write_error(error, operation, Path(named or path)) from error


def sha256_file(path: Path) -> str:
    """Hash a file's whole content.

    Args:
        path: The file.

    Returns:
        The SHA-256 as 64 lowercase hexadecimal digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
