"""Images on a real file system, opened the way any program would open the store after the power came back."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.crash.images import Image


class ImageFolder:
    """A folder that holds one image at a time.

    Args:
        path: The folder; it is created, and removed with ``close``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, image: Image) -> None:
        """Replace what the folder holds by an image.

        Args:
            image: The files to write.
        """
        for old in [path for path in self.path.rglob("*") if path.is_file()]:
            old.unlink()
        for name, content in image.files.items():
            file = self.path / name
            if not file.parent.is_dir():
                file.parent.mkdir(parents=True)
            file.write_bytes(content)

    @contextmanager
    def opened(self, image: Image, database: str) -> Iterator[apsw.Connection]:
        """Write an image and open its database with SQLite's default VFS, which recovers it.

        Args:
            image: The files to write.
            database: The database's file name.

        Yields:
            A connection; it is closed without a checkpoint, because the image is thrown away.
        """
        self.write(image)
        connection = apsw.Connection(str(self.path / database), vfs=_DEFAULT_VFS)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("synchronous", "off")
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path)


_DEFAULT_VFS = apsw.vfs_names()[0]
"""The operating system's own, whatever other VFS a test registers."""


def integrity(connection: apsw.Connection) -> str:
    """Return ``"ok"``, or what SQLite's integrity check found.

    Args:
        connection: On the database to check.
    """
    return "; ".join(str(row[0]) for row in connection.execute("PRAGMA integrity_check"))
