"""A moment of the store for somebody's own DuckDB: views in this process, or a folder of Parquet files for any other.

Neither follows the store: both show one moment, and go on showing it. Another DuckDB never opens the hot database: in
this process another SQLite library would end the locks of the first, and elsewhere it could not know which files count.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hybridstore.analytics.gate import QUERIES
from hybridstore.analytics.snapshot import Contents, Snapshot
from hybridstore.durable import make_directories, telling_failures, write_file
from hybridstore.errors import ConfigError, InvalidValue, NotFound
from hybridstore.named_sql import load_named_sql
from hybridstore.records import Record
from hybridstore.schema.arrow import numbers_table
from hybridstore.schema.duckdb import view_select
from hybridstore.schema.sqlite import quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

INIT_SQL = "init.sql"
_HANDED = "handed_over"
"""What the block create_handed_table calls what was handed over."""


class Moment(Record, frozen=True, gc=False):
    """A folder that holds a moment of a store.

    Attributes:
        folder: Where.
        init_sql: The file another DuckDB begins with.
        seq: Number of the last commit that it knows of.
        datasets: How many it shows.
        files: Parquet files in it.
        size_bytes: Their size; files that are second names of archived ones take no room of their own.
    """

    folder: str
    init_sql: str
    seq: int
    datasets: int
    files: int
    size_bytes: int


def show_in(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> int:
    """Make a view of every dataset in a DuckDB of its own.

    Args:
        connection: Its connection; it may read the archives.
        snapshot: The moment.

    Returns:
        Commit since which all archived files that it shows count.
    """
    newest_seq = 0
    for contents in known_contents(snapshot):
        tables, select = _parts(contents)
        for name, table in tables.items():
            connection.register(_HANDED, table)
            connection.execute(QUERIES["create_handed_table"].format(name=name))
            connection.unregister(_HANDED)
        connection.execute(QUERIES["create_shown_view"].format(name=contents.dataset.name, select=select))
        newest_seq = max(newest_seq, snapshot.archived_seq(contents.dataset.name))
    return newest_seq


def known_contents(snapshot: Snapshot) -> list[Contents]:
    """Return what a moment shows of every dataset that it knows; of an earlier one some keep no history.

    Args:
        snapshot: The moment.
    """
    found = []
    for name in snapshot.datasets:
        try:
            found.append(snapshot.contents(name))
        except (InvalidValue, NotFound):
            if not snapshot.is_earlier:
                raise
    return found


def write_moment(
    snapshot: Snapshot, folder: Path, on_dataset: Callable[[str], None] = lambda _name: None
) -> Moment:
    """Write a moment into a folder that any DuckDB can read.

    Args:
        snapshot: The moment.
        folder: Where; it is made, or empty.
        on_dataset: Called with the name of each dataset before it is written.

    Returns:
        What was written. Archived files are in it under a second name where the file system can do that, else copied.

    Raises:
        ConfigError: The folder is not empty, or is a file.
        StorageFull: There is no room for it.
        StorageFailure: It cannot be written.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is there and not empty", operation="write a moment", hint="name a new folder"
        )
    written: list[Path] = []
    statements = ["SET TimeZone = 'UTC'", *load_named_sql(__package__, "macros.sql").values()]
    with telling_failures("write a moment", folder):
        make_directories(folder)
        known = known_contents(snapshot)
        for contents in known:
            on_dataset(contents.dataset.name)
            statements += _written(contents, folder, written)
        script = ";\n".join(statements) + ";\n"
        write_file(folder / INIT_SQL, script.encode())
    size_bytes = sum(path.stat().st_size for path in written)
    return Moment(str(folder), str(folder / INIT_SQL), snapshot.seq, len(known), len(written), size_bytes)


def _written(contents: Contents, folder: Path, written: list[Path]) -> list[str]:
    """Write a dataset's rows; return the statements that show them."""
    import pyarrow.parquet as pq

    dataset, shown, statements = contents.dataset, [], []
    for number, file in enumerate(contents.files):
        target = folder / f"{dataset.name}-{number}.parquet"
        _put(Path(file.path), target)
        written.append(target)
        shown.append(file._replace(path=target.as_posix()))
    tables, select = _parts(contents._replace(files=shown))
    for name, table in tables.items():
        target = folder / f"{name.replace(' ', '-')}.parquet"
        pq.write_table(table, target, compression="zstd")
        written.append(target)
        path = quote_text(target.as_posix())
        statements.append(QUERIES["create_file_view"].format(name=name, path=path))
    return [*statements, QUERIES["create_shown_view"].format(name=dataset.name, select=select)]


def _parts(contents: Contents) -> tuple[dict[str, pa.Table], str]:
    """Return the relations that the view of a dataset needs, by name, and what it selects."""
    name = contents.dataset.name
    hot, gone = f"hot rows of {name}", f"rows of {name} that do not count"
    tables = {hot: contents.rows}
    if contents.superseded:
        tables[gone] = numbers_table(contents.superseded)
    select = view_select(
        contents.dataset,
        contents.files,
        hot,
        superseded=gone if contents.superseded else (),
        known_us=contents.known_us,
    )
    return tables, select


def _put(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # archived files never change, so a second name is as good as a copy
    except OSError:
        shutil.copyfile(source, target)
