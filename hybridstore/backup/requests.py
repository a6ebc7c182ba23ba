"""How somebody asks the process that backs a store up, and waits for it: a file, which goes when it is done."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from hybridstore.backup.condition import read_condition
from hybridstore.backup.full import readable_fulls
from hybridstore.backup.pieces import Full
from hybridstore.backup.repository import Repository
from hybridstore.config import DatabaseConfig
from hybridstore.durable import make_directories, telling_failures, write_file
from hybridstore.errors import BackupError
from hybridstore.hot.copying import live_position

_FOLDER = "requests"
_ASK_EVERY_S = 0.1


def ask_for_full(base: Path) -> Path:
    """Ask for a full backup.

    Args:
        base: The folder of the backups.

    Returns:
        A file that goes when it is done.

    Raises:
        StorageFull: There is no space.
        StorageFailure: It cannot be written.
    """
    path = base / _FOLDER / uuid.uuid4().hex
    with telling_failures("ask for a backup", path):
        make_directories(path.parent)
        write_file(path, b"full")
    return path


def open_requests(base: Path) -> list[Path]:
    """Return what was asked for and is not done.

    Args:
        base: The folder of the backups.
    """
    folder = base / _FOLDER
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def answer_request(request: Path) -> None:
    """Say that it is done.

    Args:
        request: What :func:`open_requests` returned.
    """
    request.unlink(missing_ok=True)


def have_full_made(repository: Repository, wait_s: float) -> Full:
    """Ask the process that backs a store up for a full backup, and wait for it.

    Args:
        repository: The backups.
        wait_s: How long to wait, s.

    Returns:
        The newest one.

    Raises:
        BackupError: It was not made in time; the words of that process are in the message.
        StorageFull: There is no space to ask.
    """
    base = repository.base
    request, end_s = ask_for_full(base), time.monotonic() + wait_s
    while request.exists():
        if time.monotonic() > end_s:
            request.unlink(missing_ok=True)
            raise BackupError(
                f"the process that backs the store up made no copy in {wait_s:g} s{_its_words(base)}",
                operation="make a full backup",
                path=str(base),
            )
        time.sleep(_ASK_EVERY_S)
    return max(readable_fulls(repository), key=lambda full: (full.created_us, full.seq))


def wait_until_shipped(config: DatabaseConfig, repository: Repository, wait_s: float = 60.0) -> int:
    """Wait until what is committed now is in the backups, where another process ships it.

    Args:
        config: The store's settings.
        repository: The backups.
        wait_s: How long to wait, s.

    Returns:
        The last commit that is safe.

    Raises:
        BackupError: It was not shipped in time; the words of that process are in the message.
        StoreError: The store cannot be read.
    """
    base, position, end_s = repository.base, live_position(config), time.monotonic() + wait_s
    while (condition := read_condition(base)) is None or condition.seq < position.seq:
        if time.monotonic() > end_s:
            raise BackupError(
                f"commit {position.seq} was not shipped in {wait_s:g} s{_its_words(base)}",
                operation="back up",
                path=str(base),
            )
        time.sleep(_ASK_EVERY_S)
    return condition.seq


def _its_words(base: Path) -> str:
    condition = read_condition(base)
    said = condition and (condition.error or condition.work_error)
    return f": {said}" if said else ""
