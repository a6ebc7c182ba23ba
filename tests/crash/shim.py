"""The library of ``shim.c``: building it, starting a process under it, and telling it what to do from inside."""

from __future__ import annotations

import ctypes
import enum
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("shim.c")
_REPOSITORY = Path(__file__).parents[2]
_BUILD_S = 60
SHORT_WRITE = -1
"""In the place of an errno: half of the bytes are written, and no error is told."""


class Kind(enum.IntFlag):
    """Kinds of calls; the numbers are those of ``shim.c``."""

    OPEN = 1
    WRITE = 2
    READ = 4
    TRUNCATE = 8
    SYNC = 16
    RENAME = 32
    UNLINK = 64
    MKDIR = 128
    CREATE = 256
    """An open that makes a file; it is an OPEN, too."""


class Fired(NamedTuple):
    """What the library did since it was armed.

    Attributes:
        seen: How many calls of the kinds there were.
        fired: How many of them failed.
        first: The first that did: the call and the path below the root.
    """

    seen: int
    fired: int
    first: str


def build_shim(folder: Path) -> Path:
    """Compile the library; skips the test, saying why, where that is not possible.

    Args:
        folder: Where to put it.

    Returns:
        Its path.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("needs LD_PRELOAD: Linux only")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("needs glibc: the names of its calls are those tests/crash/shim.c stands in for")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (gcc) to build tests/crash/shim.c")
    library = folder / "shim.so"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-U_FORTIFY_SOURCE",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
    ]
    built = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_BUILD_S)
    assert built.returncode == 0, built.stderr
    return library


def run_under(library: Path, arguments: Sequence[str], timeout_s: float) -> str:
    """Run Python in a process under the library.

    Args:
        library: From :func:`build_shim`.
        arguments: Of the interpreter.
        timeout_s: How long it may take.

    Returns:
        What it printed.
    """
    child = subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(_REPOSITORY),
            "PYTHONIOENCODING": "utf-8",
            "LD_PRELOAD": str(library),
        },
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        out, errors = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, errors = child.communicate()
        raise AssertionError(
            f"the child hangs; it printed {out[-2_000:]!r} and {errors[-2_000:]!r}"
        ) from None
    assert child.returncode == 0, f"exit {child.returncode}\n{out[-2_000:]}\n{errors[-8_000:]}"
    return out


class Shim:
    """The library of this process, which must have been started under it.

    Args:
        root: The folder below which calls are seen.
        skips_syncs: Whether what is flushed need not reach the device: a process that is not killed does not notice.
    """

    def __init__(self, root: Path, *, skips_syncs: bool = False) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_fired_at.restype = ctypes.c_char_p
        self._library.shim_seen.restype = self._library.shim_fired.restype = ctypes.c_long
        self._library.shim_count.restype = ctypes.c_long
        self._library.shim_watch(os.fsencode(root))
        self._library.shim_skip_syncs(int(skips_syncs))

    def arm(self, number: int, error: int, kinds: Kind, *, lasts: bool = False) -> None:
        """Let a call fail.

        Args:
            number: Which one, from 1.
            error: The errno, or :data:`SHORT_WRITE`.
            kinds: Which calls are counted.
            lasts: Whether all after it fail, too.
        """
        self._library.shim_arm(ctypes.c_long(number), error, int(kinds), int(lasts))

    def disarm(self) -> Fired:
        """Let nothing fail from now on; say what did."""
        self._library.shim_disarm()
        first: bytes = self._library.shim_fired_at()
        return Fired(self._library.shim_seen(), self._library.shim_fired(), os.fsdecode(first))

    def count(self, kinds: Kind) -> int:
        """Return how many calls there were since it was armed.

        Args:
            kinds: Of which kinds.
        """
        return int(self._library.shim_count(int(kinds)))

    def record(self, log: Path) -> None:
        """Begin to write down what happens to files.

        Args:
            log: Where; see :mod:`tests.crash.shim_log`.
        """
        assert self._library.shim_record(os.fsencode(log)) >= 0

    def note(self, text: str) -> None:
        """Write down that the application has been told something.

        Args:
            text: What.
        """
        self._library.shim_note(text.encode())

    def stop(self) -> None:
        """End the log."""
        self._library.shim_stop()
