"""What is recorded: one ordered list of these over all files below one root.

Names are paths below the root with forward slashes; the root itself is the folder "".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Create:
    """A name was given to a new, empty file."""

    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """A folder was made."""

    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A file got another name in the same folder, in one step."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A name was removed."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written at an offset; nothing is durable yet."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file's length was set; nothing is durable yet."""

    inode: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync of one file returned. It covers what was logged before it began."""

    inode: int
    flags: int
    began: int


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """A sync of a folder returned: the names in it as they were when it began are durable."""

    folder: str
    began: int


@dataclass(frozen=True, slots=True)
class Note:
    """The application was told something (a commit acknowledged) at this place of the order."""

    payload: object


Operation = Create | MakeFolder | Rename | Delete | Write | Truncate | Sync | SyncFolder | Note
