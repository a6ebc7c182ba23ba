"""A database file that ends inside a page is refused, unless its log has that page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import StoreCorrupt
from hybridstore.hot.cut_file import refuse_cut_file

_PAGE = 4096


def _open(root: Path, *, page_checksums: bool) -> HybridStore:
    config = DatabaseConfig(
        database_path=str(root / DATABASE_NAME),
        page_checksums=page_checksums,
        enable_logs=False,
        reserve_mb=0,
    )
    return HybridStore(config=config, maintenance="off")


def _record(store: HybridStore, first: int, count: int) -> None:
    store.record_market_trades(
        [("BTC/USDT", number, "60000.5", "0.25", "buy", 1_700_000_000_000_000 + number)
         for number in range(first, first + count)]
    )  # fmt: skip


@pytest.mark.parametrize("page_checksums", [True, False])
@pytest.mark.parametrize("left", [1, 512, 2048, _PAGE - 1])
def test_a_file_that_was_cut_inside_its_last_page_is_refused(
    tmp_path: Path, left: int, *, page_checksums: bool
) -> None:
    with _open(tmp_path, page_checksums=page_checksums) as store:
        _record(store, 1, 2_000)
    path = tmp_path / DATABASE_NAME
    assert path.stat().st_size % _PAGE == 0
    os.truncate(path, path.stat().st_size - _PAGE + left)
    with pytest.raises(StoreCorrupt, match="ends inside a page") as refused:
        _open(tmp_path, page_checksums=page_checksums).open()
    assert refused.value.path == str(path)


def test_a_page_that_the_log_has_may_be_missing(tmp_path: Path) -> None:
    with _open(tmp_path / "live", page_checksums=True) as store:
        _record(store, 1, 2_000)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
        expected = store.sql("SELECT count(*), sum(price) FROM market_trades").rows()
    path = tmp_path / "killed" / DATABASE_NAME
    log = path.with_name(f"{DATABASE_NAME}-wal")
    assert log.stat().st_size > 100 * _PAGE
    os.truncate(path, path.stat().st_size + 512)  # as if the next page were just being written back
    with _open(tmp_path / "killed", page_checksums=True) as store:
        assert store.sql("SELECT count(*), sum(price) FROM market_trades").rows() == expected
    refuse_cut_file(path, _PAGE)


def test_a_log_that_is_none_has_no_page(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_NAME
    path.write_bytes(bytes(_PAGE + 512))
    log = path.with_name(f"{DATABASE_NAME}-wal")
    for content in (b"", b"x" * 31, bytes(32), bytes(32) + b"\0\0\0\2" * 6 + bytes(_PAGE)):
        log.write_bytes(content)
        with pytest.raises(StoreCorrupt):
            refuse_cut_file(path, _PAGE)
