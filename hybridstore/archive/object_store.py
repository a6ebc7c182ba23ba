"""Objects under a URL: an S3-compatible bucket, Google Cloud Storage, Azure, or a folder of another disk.

An object is put under a name that was never used before, and only where nothing of that name is there yet: what
renaming to a new name is for files. A store that does not keep that promise is refused before it gets anything.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hybridstore.durable import fsync_directory, fsync_file
from hybridstore.errors import ArchiveCorrupt, ArchiveUnreachable, ConfigError, MoveFailed

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

_EXTRA = "hybridstore[objects]"
_PROBE = "hybridstore-probe"
_RETRIES_MAX = 3
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_UNSAFE = "nothing would be safe there: use another service, or a newer version of it; nothing was put there"
_UNREACHABLE = (
    "check the network, the address and the credentials; nothing was lost, and the next run tries again"
)


class ObjectStore:
    """Objects below a URL. Safe in several threads.

    Args:
        url: For example ``s3://bucket/prefix``; credentials and endpoint come from the environment (``AWS_*``).

    Raises:
        ConfigError: The URL cannot be one of a store, or the library for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        """Without a slash at its end."""
        self._client = _connect(self.url)
        self._is_proven = False

    def put_new(self, name: str, content: bytes, sha256: str) -> None:
        """Put an object whose name was never used, and prove that it is there.

        Args:
            name: Its name below the URL.
            content: What it holds.
            sha256: Its hash, hexadecimal.

        Raises:
            ArchiveCorrupt: What is there is not what was put.
            ArchiveUnreachable: The store did not answer, or refused it.
            MoveFailed: It does not keep the promises that archives need.
        """
        import obstore

        with self._reaching("put", name):
            self._prove_protocol()
            # One that is there is of a put whose answer was lost; it is proven like any other.
            with suppress(obstore.exceptions.AlreadyExistsError):
                obstore.put(self._client, name, content, mode="create", use_multipart=False)
            if self.url.startswith("file:"):
                self._flush(name)
        self.check(name, len(content), sha256)

    def get(self, name: str, size_bytes: int, sha256: str) -> bytes:
        """Return what an object holds.

        Args:
            name: Its name below the URL.
            size_bytes: Its size.
            sha256: Its hash, hexadecimal.

        Raises:
            ArchiveCorrupt: It is missing, or holds something else.
            ArchiveUnreachable: The store did not answer, or refused it.
        """
        content = self.read(name)
        if len(content) != size_bytes or hashlib.sha256(content).hexdigest() != sha256:
            raise ArchiveCorrupt(
                f"the object has {len(content):,} bytes with another content than the manifest says "
                f"({size_bytes:,} bytes, SHA-256 {sha256})",
                path=self.place(name),
                hint="put it back from a backup; nobody was given any of it",
            )
        return content

    def check(self, name: str, size_bytes: int, sha256: str | None = None) -> None:
        """Prove that an object is there and whole.

        Args:
            name: Its name below the URL.
            size_bytes: Its size.
            sha256: Its hash, hexadecimal; None asks for its size alone, which reads nothing of it.

        Raises:
            ArchiveCorrupt: It is missing, or holds something else.
            ArchiveUnreachable: The store did not answer, or refused it.
        """
        import obstore

        if sha256 is not None:
            self.get(name, size_bytes, sha256)
            return
        with self._reaching("look at", name):
            found: int = obstore.head(self._client, name)["size"]
        if found != size_bytes:
            raise ArchiveCorrupt(
                f"the object has {found:,} bytes, the manifest says {size_bytes:,}",
                path=self.place(name),
                hint="put it back from a backup",
            )

    def delete(self, name: str) -> bool:
        """Delete an object.

        Args:
            name: Its name below the URL.

        Returns:
            Whether there was one.

        Raises:
            ArchiveUnreachable: The store did not answer, or refused it.
        """
        import obstore

        with self._reaching("delete", name):
            try:
                obstore.head(self._client, name)
                obstore.delete(self._client, name)
            except FileNotFoundError:
                return False
        return True

    def sizes(self, below: str) -> dict[str, int]:
        """Return the names of all objects below a folder, and their sizes in bytes.

        Args:
            below: The folder, without a slash at its end.

        Raises:
            ArchiveUnreachable: The store did not answer, or refused it.
        """
        import obstore

        with self._reaching("list", below):
            return {
                str(one["path"]): int(one["size"])
                for some in obstore.list(self._client, below)
                for one in some
            }

    def read(self, name: str) -> bytes:
        """Return what an object holds, whatever it is: who asks proves it.

        Args:
            name: Its name below the URL.

        Raises:
            ArchiveCorrupt: It is missing.
            ArchiveUnreachable: The store did not answer, or refused it.
        """
        import obstore

        with self._reaching("get", name):
            content: bytes = obstore.get(self._client, name).bytes().to_bytes()
        return content

    def place(self, name: str) -> str:
        """Return the whole URL of an object.

        Args:
            name: Its name below the URL.
        """
        return f"{self.url}/{name}"

    def _flush(self, name: str) -> None:
        """Flush an object of a folder to its device: the library does not, and the file in the root may go for it."""
        from urllib.request import url2pathname  # takes its time to import

        folder = Path(url2pathname(urlsplit(self.url).path))
        path = folder / name
        fsync_file(path)
        for parent in path.parents:  # which of them were made for it is not known
            is_own = parent == folder or folder in parent.parents
            with suppress(*(() if is_own else (OSError,))):  # others may be somebody else's
                fsync_directory(parent)

    def _prove_protocol(self) -> None:
        """Refuse a store that would overwrite what is there, or does not give back what it was given."""
        import obstore

        if self._is_proven:
            return
        name = f"{_PROBE}/{uuid.uuid4().hex}"
        obstore.put(self._client, name, b"first", mode="create", use_multipart=False)
        try:
            with suppress(obstore.exceptions.AlreadyExistsError):
                obstore.put(self._client, name, b"second", mode="create", use_multipart=False)
                raise MoveFailed(
                    f"{self.url} replaces an object that was only to be made new (it ignores If-None-Match)",
                    hint=_UNSAFE,
                )
            whole = obstore.get(self._client, name).bytes().to_bytes()
            part = obstore.get_range(self._client, name, start=1, length=3).to_bytes()
            if (whole, part) != (b"first", b"irs"):
                raise MoveFailed(
                    f"{self.url} does not give back what it was given (whole {whole!r}, bytes 1 to 3 {part!r})",
                    hint=_UNSAFE,
                )
        finally:
            obstore.delete(self._client, name)
        self._is_proven = True

    @contextmanager
    def _reaching(self, what: str, name: str) -> Iterator[None]:
        import obstore

        try:
            yield
        except FileNotFoundError as error:
            raise ArchiveCorrupt(
                "there is no such object, or no such bucket",
                operation=f"{what} an object",
                path=self.place(name),
                hint="put it back from a backup; check the bucket",
            ) from error
        except (obstore.exceptions.BaseError, OSError) as error:
            raise ArchiveUnreachable(
                _first_line(error),
                operation=f"{what} an object",
                path=self.place(name),
                hint=_UNREACHABLE,
            ) from error


@lru_cache(maxsize=16)
def _opened(url: str, _environment: tuple[str | None, ...]) -> ObjectStore:
    return ObjectStore(url)


def object_store(url: str) -> ObjectStore:
    """Return the store of a URL; one of a process for each.

    Args:
        url: See :class:`ObjectStore`.

    Raises:
        ConfigError: The URL cannot be one of a store, or the library for it is not installed.
    """
    return _opened(url.rstrip("/"), tuple(os.environ.get(name) for name in _ENDPOINTS))


def _connect(url: str) -> Client:
    from_url = _library()
    if url.lower().startswith("memory:"):
        raise ConfigError(
            f"{url!r} is no URL for objects: what is put there is gone with the process",
            hint="give the URL of a bucket, for example 's3://bucket/prefix', or of a folder: 'file:///mnt/archive'",
        )
    options: dict[str, Any] = {}
    if not url.startswith("file:"):
        options["retry_config"] = {"max_retries": _RETRIES_MAX}
        options["client_options"] = {
            "connect_timeout": "10s",
            "timeout": "120s",
            # Who names an endpoint without encryption means it: a server of the own network or machine.
            "allow_http": any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS),
        }
    else:
        options["mkdir"] = True
    try:
        client: Client = from_url(url, **options)
    except Exception as error:
        raise ConfigError(
            f"{url!r} is no URL for objects: {_first_line(error)}",
            hint="give the URL of a bucket, for example 's3://bucket/prefix', or of a folder: 'file:///mnt/archive'",
        ) from error
    return client


def _library() -> Callable[..., Any]:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ConfigError(
            "objects under a URL need a library that is not installed", hint=f"pip install '{_EXTRA}'"
        ) from error
    found: Callable[..., Any] = from_url
    return found


def _first_line(error: BaseException) -> str:
    """What a library says, without the structures it prints below."""
    return str(error).partition("\n")[0].strip() or type(error).__name__
