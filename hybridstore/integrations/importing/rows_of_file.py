"""Rows of a file, with every digit that it holds: CSV, JSON, JSON lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from hybridstore.errors import InvalidValue, NotFound, StorageFailure

FileRow = Mapping[str, Any]
_SAMPLE = 64 * 1024
_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_BATCH = 5_000


def header_of(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns; of JSON those of its first row.

    Args:
        path: The file.

    Returns:
        The names.

    Raises:
        InvalidValue: It has no rows, or no form that is known.
        NotFound: There is no such file.
    """
    if path.suffix.lower() == ".parquet":
        return tuple(_parquet(path).schema_arrow.names)
    first = next(read_rows(path), None)
    if first is None:
        raise InvalidValue(f"{path.name} holds no rows", path=str(path))
    return tuple(first[1])


def read_rows(path: Path) -> Iterator[tuple[int, FileRow]]:
    """Read a file.

    Args:
        path: The file; its suffix says what it is.

    Yields:
        The number of each row, from 1, and its values by column. Numbers are text, int or Decimal.

    Raises:
        InvalidValue: It cannot be read as what its suffix says; the line is named.
        NotFound: There is no such file.
        StorageFailure: The system cannot read it.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InvalidValue(
            f"{path.name}: suffix {suffix!r}", hint=f"one of {', '.join(_SUFFIXES)}", path=str(path)
        )
    if suffix == ".parquet":
        rows: Iterator[FileRow] = _of_parquet(path)
    else:
        rows = _of_text(path, suffix)
    yield from enumerate(rows, 1)


def _of_text(path: Path, suffix: str) -> Iterator[FileRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if suffix in {".csv", ".tsv"}:
                yield from _of_csv(path, file)
            elif suffix == ".json":
                yield from _of_json(path, file)
            else:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _object(path, _json(path, line, f"line {number}"), f"line {number}")
    except FileNotFoundError:
        raise NotFound("there is no such file", path=str(path)) from None
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"{path.name} is not UTF-8: {error}", path=str(path), hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise StorageFailure(error.strerror or str(error), operation="read rows", path=str(path)) from error


def _of_csv(path: Path, file: TextIO) -> Iterator[FileRow]:
    try:
        dialect: Any = csv.Sniffer().sniff(file.read(_SAMPLE), delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    file.seek(0)
    reader = csv.reader(file, dialect)
    header = [name.strip() for name in next(reader, [])]
    if len(set(header)) < len(header) or "" in header:
        raise InvalidValue(
            f"{path.name}: two columns have one name, or one has none: {header}", path=str(path)
        )
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            raise InvalidValue(
                f"{path.name}, line {reader.line_num}: {len(values)} values for {len(header)} columns",
                path=str(path),
                hint="mend the line, or export the file again; nothing of it was recorded twice by trying again",
            )
        yield dict(zip(header, (value.strip() for value in values), strict=True))


def _of_json(path: Path, file: TextIO) -> Iterator[FileRow]:
    found = _json(path, file.read(), "the file")
    if not isinstance(found, list):
        raise InvalidValue(
            f"{path.name} is no JSON array of objects", path=str(path), hint="or name it .jsonl"
        )
    for number, row in enumerate(found, 1):
        yield _object(path, row, f"row {number}")


def _json(path: Path, text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=str)
    except ValueError as error:
        raise InvalidValue(f"{path.name}, {where}: no JSON: {error}", path=str(path)) from None


def _object(path: Path, row: Any, where: str) -> FileRow:
    if not isinstance(row, dict):
        raise InvalidValue(f"{path.name}, {where}: no JSON object", path=str(path))
    return row


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise NotFound("there is no such file", path=str(path)) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidValue(f"{path.name} is no Parquet file: {error}", path=str(path)) from error


def _of_parquet(path: Path) -> Iterator[FileRow]:
    for batch in _parquet(path).iter_batches(_BATCH):
        for row in batch.to_pylist():
            yield {
                name: Decimal(repr(value)) if isinstance(value, float) else value
                for name, value in row.items()
            }
