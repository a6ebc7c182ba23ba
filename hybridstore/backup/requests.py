"""How somebody asks the process that ships a store for a full backup now: a file, which goes when it is done."""

from __future__ import annotations

import uuid
from pathlib import Path

from hybridstore.durable import make_directories, telling_failures, write_file

_FOLDER = "requests"


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
