"""A SQLite VFS that lets everything through to the real file system and writes down what power cuts leave.

It sits below SQLite and above the operating system's own VFS, so it works wherever apsw does. Shared memory
(-shm) and locks are inherited: several connections of the process see each other as they always do, and the
-shm file is no part of an image because SQLite rebuilds it.
"""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from tests.crash.operations import Create, Delete, Note, Operation, Sync, SyncFolder, Truncate, Write

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NUMBERS = itertools.count(1)
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
_TEMPORARY = (
    apsw.SQLITE_OPEN_DELETEONCLOSE
    | apsw.SQLITE_OPEN_TEMP_DB
    | apsw.SQLITE_OPEN_TEMP_JOURNAL
    | apsw.SQLITE_OPEN_TRANSIENT_DB
    | apsw.SQLITE_OPEN_SUBJOURNAL
)


class RecordingVFS(apsw.VFS):
    """Log every write, truncation, sync, creation and deletion of the files in one folder.

    Args:
        folder: The folder of the database. Files already in it count as durable; no connection may be open on
            them.
        honest: False makes a mutant whose syncs do nothing, to prove that the harness notices.
        sync_s: How long a sync takes, in seconds: long enough for writers to queue up behind it.
    """

    def __init__(self, folder: Path, *, honest: bool = True, sync_s: float = 0.0) -> None:
        self.name = f"recording-{next(_NUMBERS)}"
        self.honest = honest
        self.sync_s = sync_s
        self.operations: list[Operation] = []
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self.baseline = {
            path.name: path.read_bytes()
            for path in sorted(self._folder.iterdir())
            if path.is_file() and not path.name.endswith("-shm")
        }
        self._inodes = {name: -number for number, name in enumerate(self.baseline, start=1)}
        self._inode_numbers = itertools.count(1)
        super().__init__(self.name, "")

    def note(self, payload: object) -> None:
        """Write down that the application has been told something.

        Args:
            payload: What; ``Image.notes`` gives it back.
        """
        self.operations.append(Note(payload))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open a file; those of the folder are recorded."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or flags[0] & _TEMPORARY or Path(path).resolve().parent != self._folder:
            return apsw.VFSFile("", name, flags)
        with self._lock:
            existed = Path(path).exists()
            file = RecordingFile(self, name, flags)
            short = Path(path).name
            if not existed or short not in self._inodes:
                self._inodes[short] = next(self._inode_numbers)
                self.operations.append(Create(short, self._inodes[short]))
            file.inode = self._inodes[short]
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's signature
        """Delete a file; the name is durably gone only once the folder has been synced."""
        super().xDelete(filename, syncdir)
        path = Path(filename)
        if path.resolve().parent != self._folder:
            return
        with self._lock:
            self._inodes.pop(path.name, None)
            self.operations.append(Delete(path.name))
            if syncdir and self.honest:
                self.operations.append(SyncFolder("", len(self.operations)))


class RecordingFile(apsw.VFSFile):
    """One open file of a ``RecordingVFS``.

    Args:
        vfs: Where to log.
        name: As SQLite gave it.
        flags: Input and output open flags.
    """

    inode: int

    def __init__(self, vfs: RecordingVFS, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._vfs = vfs
        # SQLite's Unix VFS syncs the folder with the first sync of a journal or WAL it opened to create.
        self._folder_sync_due = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, logged first: a power cut may come while it is under way."""
        self._vfs.operations.append(Write(self.inode, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Set the length, logged first."""
        self._vfs.operations.append(Truncate(self.inode, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Sync, logged once it has returned; it covers only what was logged before it began.

        The real sync is left out: the disks of this harness are the model's, and the time a sync takes is a
        setting.
        """
        operations = self._vfs.operations
        began = len(operations)
        time.sleep(self._vfs.sync_s)
        if not self._vfs.honest:
            return
        operations.append(Sync(self.inode, flags, began))
        if self._folder_sync_due:
            operations.append(SyncFolder("", began))
            self._folder_sync_due = False
