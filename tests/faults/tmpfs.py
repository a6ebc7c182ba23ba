"""A real file system of a few MiB, to fill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """Mount a small tmpfs; skips the test, saying why, where that is not possible.

    Args:
        folder: An empty folder to mount it on.
        size_mib: Its size, MiB.

    Yields:
        The folder.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a small tmpfs: Linux only")
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        pytest.skip("needs a small tmpfs: mounting one needs root, mount and umount")
    command = [mount, "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    if mounted.returncode:
        pytest.skip(f"needs a small tmpfs: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, "--lazy", str(folder)], check=True, timeout=10)


class Filler:
    """A file that takes all the space there is.

    Args:
        path: Where, on the file system to fill.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self, left_kib: int = 0) -> None:
        """Write until nothing more fits.

        Args:
            left_kib: How much to leave after all, KiB.
        """
        with self._path.open("ab", buffering=0) as file:
            for size_bytes in (1 << 16, 1 << 12, 1 << 9, 1):
                _write_all(file.fileno(), bytes(size_bytes))
            file.truncate(file.tell() - left_kib * 1024)

    def free(self) -> None:
        """Give the space back."""
        self._path.unlink(missing_ok=True)


def _write_all(descriptor: int, block: bytes) -> None:
    while True:
        try:
            if os.write(descriptor, block) < len(block):
                return
        except OSError:
            return
