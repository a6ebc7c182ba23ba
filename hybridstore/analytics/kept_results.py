"""Results of expensive questions, kept on disk: asked again of the same rows, they are read instead of computed.

A result is found by the question, its parameters, and what the store shows of each dataset it is about: archived files
by their SHA-256, rows of them that do not count, and hot rows by what tells them from those of any other moment. So it
is the answer of exactly these rows, or it is not found. What asks for the time or for chance is not kept. A file that
was damaged is noticed by its own hash, and the question asked anew.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from hybridstore.analytics.gate import Question, nodes
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.results import RESULT_AGE_MAX_S, RESULT_SUFFIX, RESULTS
from hybridstore.durable import make_directories, write_file
from hybridstore.schema.dataset import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

UNSTABLE = frozenset({
    "age", "current_catalog", "current_connection_id", "current_database", "current_date", "current_localtime",
    "current_localtimestamp", "current_query", "current_query_id", "current_role", "current_schema", "current_schemas",
    "current_setting", "current_time", "current_timestamp", "current_transaction_id", "current_user", "currval",
    "error", "gen_random_uuid", "get_current_time", "get_current_timestamp", "getvariable", "in_search_path",
    "localtime", "localtimestamp", "nextval", "now", "random", "session_user", "setseed", "setval", "sleep_ms", "stats",
    "today", "transaction_timestamp", "txid_current", "user", "uuid", "uuidv4", "uuidv7", "vector_type", "write_log",
})  # fmt: skip
"""Functions whose value is another one each time, and names that stand for such without being called."""
_PLAIN = (str, int, float, bool, Decimal, date, datetime, type(None))
_VERSION = 1
_log = logging.getLogger(__name__)


class State(NamedTuple):
    """What a moment shows of a dataset.

    Attributes:
        dataset: Its declaration.
        files: Its archived files.
        superseded: Rows of them that do not count.
        hot: What tells its hot rows from those of any other moment.
    """

    dataset: Dataset
    files: Sequence[ArchiveFile]
    superseded: Sequence[int]
    hot: Sequence[int]


class KeptResults:
    """Results under ``<root>/cache/results``. Safe in several threads and processes.

    Args:
        root: The store's folder.
        limit_bytes: What they may take together; 0 keeps none.
        from_s: How long a question must have taken for its result to be kept, seconds.
    """

    def __init__(self, root: Path, limit_bytes: int, from_s: float) -> None:
        self._folder = root / RESULTS
        self._limit_bytes = limit_bytes
        self._from_s = from_s
        self._trimming = threading.Lock()

    def key(
        self, question: Question, params: Mapping[str, object], known_us: int | None, states: Sequence[State]
    ) -> str | None:
        """Return what a result is found by.

        Args:
            question: The question.
            params: Its parameters.
            known_us: The earlier moment it is asked as of, us UTC; None: the present.
            states: Each dataset it is about.

        Returns:
            The key; None where the answer may be another one next time, or nothing is kept.
        """
        if not self._limit_bytes or not _is_stable(question) or not _are_plain(list(params.values())):
            return None
        told = hashlib.sha256()
        for part in (_VERSION, duckdb.__version__, question.sql, sorted(params.items()), known_us):
            told.update(f"{part!r}\n".encode())
        for dataset, files, superseded, hot in states:
            shown = [(file.sha256, file.column_count, file.visible_through) for file in files]
            columns = [(column.name, column.type) for column in dataset.columns]
            told.update(f"{(dataset.name, columns, shown, tuple(superseded), tuple(hot))!r}\n".encode())
        return told.hexdigest()

    def find(self, key: str) -> pa.Table | None:
        """Return a result that was kept.

        Args:
            key: By which it is found.

        Returns:
            The result; None where there is none, or none that is whole.
        """
        import pyarrow as pa

        path = self._folder / f"{key}{RESULT_SUFFIX}"
        try:
            if time.time() - path.stat().st_mtime > RESULT_AGE_MAX_S:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        digest, body = content[:32], memoryview(content)[32:]
        if hashlib.sha256(body).digest() != digest:
            _log.warning("a kept result is damaged, the question is asked anew: %s", path)
            with suppress(OSError):
                path.unlink()
            return None
        return pa.ipc.open_stream(pa.py_buffer(body)).read_all()

    def keep(self, key: str, table: pa.Table, took_s: float) -> None:
        """Keep a result, where it is worth it; a full disk keeps none, and is no error.

        Args:
            key: By which it will be found.
            table: The result.
            took_s: How long it took, seconds.
        """
        if took_s < self._from_s or table.nbytes > self._limit_bytes // 4:
            return
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(
            sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
        ) as writer:
            writer.write_table(table)
        body = sink.getvalue().to_pybytes()
        try:
            make_directories(self._folder)
            write_file(self._folder / f"{key}{RESULT_SUFFIX}", hashlib.sha256(body).digest() + body)
            self._trim()
        except OSError as error:
            _log.info("a result is not kept: %s", error)

    def _trim(self) -> None:
        """Delete the oldest, until the rest fits."""
        with self._trimming:
            found = []
            for path in self._folder.glob(f"*{RESULT_SUFFIX}"):
                with suppress(OSError):  # another process trims, too
                    status = path.stat()
                    found.append((status.st_mtime_ns, status.st_size, path))
            excess = sum(size for _, size, _ in found) - self._limit_bytes
            for _, size, path in sorted(found):
                if excess <= 0:
                    return
                with suppress(OSError):  # on Windows somebody may be reading it
                    path.unlink()
                    excess -= size


def _is_stable(question: Question) -> bool:
    """Say whether asking the same rows again gives the same answer."""
    if not question.datasets:  # nothing expensive
        return False
    for node in nodes(question.tree):
        if "sample" in node:
            return False
        names: list[Any] = [node.get("function_name"), *node.get("column_names", ())]
        if any(isinstance(name, str) and name.lower() in UNSTABLE for name in names):
            return False
    return not question.sql.startswith("EXPLAIN")


def _are_plain(values: Sequence[object]) -> bool:
    return all(
        _are_plain(value) if isinstance(value, list | tuple) else isinstance(value, _PLAIN)
        for value in values
    )
