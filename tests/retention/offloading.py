"""Stores whose cold and frozen files lie in an object store on loopback, and looks at both places."""

from __future__ import annotations

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.object_store import ObjectStore
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.failures import Failures
from hybridstore.retention.offload import Offloader
from hybridstore.schema.dataset import Dataset
from tests.objects import ObjectServer
from tests.retention.aging import BEGIN_US
from tests.tiered import Row, all_rows

COLD_US = BEGIN_US + 100 * DAY_US


class Killed(BaseException):
    """What ends a run here: no handler for errors may see it, as none runs after a kill."""


def rows_of(database: DatabaseManager, dataset: Dataset) -> dict[int, Row]:
    """Return all rows; what is elsewhere is fetched as any reader does."""
    FileVerifier(database.root).paths(files_of(database))
    return all_rows(database, dataset)


def files_of(database: DatabaseManager) -> list[ArchiveFile]:
    statement = database.statements["manifest_of_dataset"]
    return [
        ArchiveFile.from_row(row)
        for dataset in database.registry.tiered
        for row in database.readers.rows(statement, (dataset.name,))
    ]


def objects_of(server: ObjectServer) -> set[str]:
    return set(ObjectStore(server.url).sizes(""))


def evict(database: DatabaseManager, *, certain: bool = True) -> int:
    """Delete copies as if nothing was used for an hour."""
    failures = Failures()
    freed = Offloader(database, failures).evict(grace_s=-60)
    assert (failures.errors == []) is certain
    return freed
