"""What happens to files beside the database, in the same order as what happens to the database.

Python's own file calls (mkdir, rename, unlink, fsync) are watched while a recording runs. A library that writes a
file by itself (pyarrow does) is not seen writing, but that changes nothing: bytes are durable only when somebody
fsyncs the file, and that call is seen. What the file holds at a rename, without an fsync, is logged as written but
not durable; a file that nobody ever fsynced or renamed does not survive at all.
"""

from __future__ import annotations

import itertools
import os
import stat
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.crash.operations import Create, Delete, MakeFolder, Rename, Sync, SyncFolder, Truncate, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.vfs import RecordingVFS

_FIRST_INODE = 1_000_000
"""Far from the numbers the VFS gives."""


class Died(BaseException):
    """The process ends here. No handler of the product catches it, as none would run after SIGKILL."""


class FileRecorder:
    """Logs what Python does to the files below a store's root, the database's own files excepted.

    Args:
        vfs: Whose log takes it.
        root: The store's folder.
    """

    def __init__(self, vfs: RecordingVFS, root: Path) -> None:
        self._operations = vfs.operations
        self._root = root.resolve()
        self._files: dict[str, tuple[int, bytes]] = {}
        self._inode = _FIRST_INODE
        self._take_what_is_there()

    @contextmanager
    def recording(self, die_after: int | None = None) -> Iterator[None]:
        """Watch the calls of this process until the block ends.

        Args:
            die_after: The number of the watched call after which the process "dies": :class:`Died` is raised.
        """
        watched: dict[str, Callable[[Any], Any]] = {
            "mkdir": self._mkdir,
            "rename": self._rename,
            "replace": self._rename,
            "unlink": self._unlink,
            "remove": self._unlink,
            "fsync": self._fsync,
        }
        left = itertools.count(-1 if die_after is None else die_after, -1)

        def mortal(call: Callable[..., None]) -> Callable[..., None]:
            def call_and_die(*arguments: Any, **options: Any) -> None:
                call(*arguments, **options)
                if next(left) == 1:
                    raise Died

            return call_and_die

        with ExitStack() as patches:
            for name, make in watched.items():
                patches.enter_context(patch.object(os, name, mortal(make(getattr(os, name)))))
            yield

    def _take_what_is_there(self) -> None:
        """What was there before the recording is durable."""
        for folder, folders, files in os.walk(self._root):
            names = [self._name(Path(folder, name)) for name in folders]
            self._operations += [MakeFolder(name) for name in names if name]
            for name in filter(None, (self._name(Path(folder, file)) for file in files)):
                inode = self._take_content(name)
                self._operations.append(Sync(inode, 0, len(self._operations)))
            parent = Path(folder).relative_to(self._root).as_posix()
            self._operations.append(SyncFolder("" if parent == "." else parent, len(self._operations)))

    def _name(self, path: Any) -> str | None:
        """Return a path as the log names it; None where it is not the log's concern."""
        full = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow the file that is being renamed
        if not full.is_relative_to(self._root):
            return None
        name = full.relative_to(self._root).as_posix()
        return None if name.startswith("trading_bot.db") else name

    def _mkdir(self, real: Callable[..., None]) -> Callable[..., None]:
        def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
            real(path, *arguments, **options)
            if name := self._name(path):
                self._operations.append(MakeFolder(name))

        return mkdir

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def rename(source: Any, target: Any, *arguments: Any, **options: Any) -> None:
            old, new = self._name(source), self._name(target)
            if old is not None and new is not None:
                self._take_content(old)
            real(source, target, *arguments, **options)
            if old is not None and new is not None:
                self._operations.append(Rename(old, new))
                self._files[new] = self._files.pop(old)

        return rename

    def _unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def unlink(path: Any, *arguments: Any, **options: Any) -> None:
            real(path, *arguments, **options)
            name = self._name(path)
            if name is not None and self._files.pop(name, None) is not None:
                self._operations.append(Delete(name))

        return unlink

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            status = os.fstat(descriptor)
            path = self._find(status)
            if path is None:
                real(descriptor)
                return
            name = path.relative_to(self._root).as_posix()
            began = len(self._operations)
            if stat.S_ISDIR(status.st_mode):
                self._operations.append(SyncFolder("" if name == "." else name, began))
                return
            inode = self._take_content(name)
            self._operations.append(Sync(inode, 0, len(self._operations)))

        return fsync

    def _find(self, status: os.stat_result) -> Path | None:
        """Return which path below the root an open file is."""
        if os.path.samestat(self._root.stat(), status):
            return self._root
        for folder, folders, files in os.walk(self._root):
            for name in (*folders, *files):
                path = Path(folder, name)
                if os.path.samestat(path.stat(), status):
                    return None if name.startswith("trading_bot.db") else path
        return None

    def _take_content(self, name: str) -> int:
        """Log what a file holds now as written; return its inode."""
        content = (self._root / name).read_bytes()
        if name not in self._files:
            self._inode += 1
            self._operations.append(Create(name, self._inode))
            self._files[name] = (self._inode, b"")
        inode, before = self._files[name]
        if content != before:
            self._operations += (Truncate(inode, len(content)), Write(inode, 0, content))
            self._files[name] = (inode, content)
        return inode
