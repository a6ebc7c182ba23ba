"""A real ext4 file system in a file, whose power can be cut: what the kernel had not written by then is lost.

EXT4_IOC_SHUTDOWN with "no log flush" stops the file system where it is: nothing of the page cache or of the journal
that is not on the device gets there any more. Mounted again it recovers as after a power cut.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_SIZE_MIB = 48
_WAIT_S = 30


def make_disk(image: Path) -> None:
    """Make an empty file system; skips the test, saying why, where that is not possible.

    Args:
        image: The file that shall hold it.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("cutting the power of a file system needs ext4: Linux only")
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.ext4", "mount", "umount"))):
        pytest.skip("cutting the power of a file system needs root, mkfs.ext4, mount and umount")
    with image.open("wb") as file:
        file.truncate(_SIZE_MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, timeout=_WAIT_S)  # noqa: S607  Debian's


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount a file system; skips the test, saying why, where that is not possible.

    Args:
        image: The file that holds it.
        folder: An empty folder to mount it on.

    Yields:
        The folder.
    """
    command = ["mount", "-o", "loop", str(image), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_WAIT_S)
    if done.returncode:
        pytest.skip(f"cutting the power of a file system needs loop devices: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=_WAIT_S)  # noqa: S607  Debian's


def cut_power_of(folder: Path) -> None:
    """Stop a mounted ext4 where it is.

    Args:
        folder: Where it is mounted.
    """
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(descriptor)
