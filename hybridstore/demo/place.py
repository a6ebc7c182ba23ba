"""Where a demo may leave its store: an empty folder, or one an earlier demo made."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hybridstore.durable import make_directories, write_file
from hybridstore.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "made-by-hybridstore-demo.txt"
REPORT = "report.html"
_NOTE = b"hybridstore demo made this folder; hybridstore demo --overwrite deletes it.\n"
_OPERATION = "prepare the demo's folder"


def prepare_place(root: Path, *, overwrite: bool) -> Path:
    """Make the folder a demo works in.

    Args:
        root: The folder; missing, empty, or left by an earlier demo.
        overwrite: Whether what an earlier demo left is deleted.

    Returns:
        The folder's absolute path; it holds nothing but the demo's mark.

    Raises:
        Conflict: The folder holds something else, or an earlier demo's store that is to be kept.
    """
    root = root.resolve()
    if root.exists() and not root.is_dir():
        raise Conflict("this is a file, not a folder", operation=_OPERATION, path=str(root))
    if root.is_dir() and any(root.iterdir()):
        if not (root / MARKER).is_file():
            raise Conflict(
                "the folder holds files that no demo made",
                operation=_OPERATION,
                path=str(root),
                hint="give --root a new or an empty folder; nothing was touched",
            )
        if not overwrite:
            raise Conflict(
                "an earlier demo's store is here",
                operation=_OPERATION,
                path=str(root),
                hint="--overwrite deletes it first; --root puts this one elsewhere",
            )
        shutil.rmtree(root)
    make_directories(root)
    write_file(root / MARKER, _NOTE)
    return root
