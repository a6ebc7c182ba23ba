"""Says that the write-ahead log of a store is backed up as it grows, and must not be thrown away before it was read.

``<root>/.shipped`` is written by whoever ships the log, and stays when that process ends: the next one goes on where it
stopped, if the log is still there. So while it is there, nobody empties the log because it could be emptied, but only
when it becomes too large: then the backups have a gap, and say so.
"""

from __future__ import annotations

from pathlib import Path

from hybridstore.durable import write_file

SHIPPED_NAME = ".shipped"


def mark_shipped(root: Path, said: bytes) -> None:
    """Say that the log of a store is backed up.

    Args:
        root: The store's folder.
        said: Where to and since when, for whoever wonders.

    Raises:
        OSError: It cannot be written.
    """
    path = root / SHIPPED_NAME
    if not path.exists() or path.read_bytes() != said:
        write_file(path, said)


def shipped_to(root: Path) -> bytes | None:
    """Return what was said when the log was last begun to be backed up; None where it never was.

    Args:
        root: The store's folder.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return (root / SHIPPED_NAME).read_bytes()
    except FileNotFoundError:
        return None


def is_shipped(root: Path) -> bool:
    """Say whether the log of a store is backed up.

    Args:
        root: The store's folder.

    Returns:
        Whether somebody began to, and nobody ended it.
    """
    return (root / SHIPPED_NAME).exists()


def unmark_shipped(root: Path) -> None:
    """Say that the log of a store is not backed up any more.

    Args:
        root: The store's folder.
    """
    (root / SHIPPED_NAME).unlink(missing_ok=True)
