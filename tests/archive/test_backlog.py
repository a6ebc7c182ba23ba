"""Archived rows in commit order: through windows of any size, only so far as they count, never a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from hybridstore.archive.backlog import Backlog, Stored
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import ArchiveCorrupt
from hybridstore.hot.feed_token import NUMBER_MAX, Place
from hybridstore.schema.internal import ARCHIVE_FILES
from hybridstore.store import HybridStore

NOW_US = 20_600 * DAY_US
PATH = ARCHIVE_FILES.column_names.index("path")
VISIBLE = ARCHIVE_FILES.column_names.index("visible_through")


@pytest.fixture
def store(tmp_path: Path, rng: Random) -> Iterator[HybridStore]:
    """Return a store whose market trades and candles of many days are archived, in several files a day."""
    clock = ManualClock(NOW_US)
    with HybridStore(tmp_path / "root", clock=clock) as opened:
        number = 0
        for _ in range(3):
            for _ in range(20):
                trades, candles = [], []
                for _ in range(rng.randint(1, 9)):
                    number += 1
                    moment = NOW_US - rng.randint(8, 15) * DAY_US + number * 60_000_000
                    trades.append(("BTC/USDT", number, 1, 1, "buy", moment))
                    candles.append(("BTC/USDT", "1m", moment, 1, 1, 1, 1, number))
                opened.record_market_trades(trades)
                opened.record_candles(candles)
            opened.retention.run()
            clock.advance(1_000_000)
        yield opened


def files_of(store: HybridStore, dataset: str) -> list[Stored]:
    return store.database.readers.rows(store.database.statements["manifest_of_dataset"], (dataset,))


def read_all(store: HybridStore, dataset: str, rng: Random, window_rows: int) -> list[Stored]:
    """Read in steps of random size; the files come in any order each time."""
    declared = store.database.registry[dataset]
    backlog = Backlog(store.root, window_rows)
    files = files_of(store, dataset)
    through = Place(NUMBER_MAX if declared.provisional else 0, NUMBER_MAX)
    place, found = Place(0, 0), []
    while place < through:
        rng.shuffle(files)
        rows_max = rng.randint(1, 20)
        rows, place = backlog.rows(declared, files, place, through, rows_max)
        assert len(rows) <= rows_max
        found += rows
    return found


@pytest.mark.parametrize("window_rows", [1, 7, 50, 10_000])
@pytest.mark.parametrize("dataset", ["market_trades", "candles"])
def test_windows_of_any_size_give_every_row_once_in_order(
    store: HybridStore, rng: Random, dataset: str, window_rows: int
) -> None:
    declared = store.database.registry[dataset]
    found = read_all(store, dataset, rng, window_rows)
    expected = store.scan(dataset).collect()
    assert len(found) == len({row[0] for row in found}) == expected.height > 100
    committed = declared.stored_names.index("recorded_at")
    assert found == sorted(found, key=lambda row: (row[committed] if declared.provisional else 0, row[0]))


def test_of_a_file_that_is_being_published_only_what_counts(store: HybridStore) -> None:
    declared = store.database.registry["market_trades"]
    file = list(files_of(store, "market_trades")[0])
    backlog = Backlog(store.root)
    through = Place(0, NUMBER_MAX)
    whole, _ = backlog.rows(declared, [tuple(file)], Place(0, 0), through, 1_000)
    file[VISIBLE] = whole[len(whole) // 2][0]
    part, reached = backlog.rows(declared, [tuple(file)], Place(0, 0), through, 1_000)
    assert part == whole[: len(whole) // 2 + 1]
    assert reached == through
    last = whole[len(whole) // 2]
    assert backlog.newest(declared, [tuple(file)], NUMBER_MAX) == [(last[0], last[-1])]
    assert backlog.newest(declared, [tuple(file)], whole[0][0]) == [(whole[0][0], whole[0][-1])]
    assert backlog.newest(declared, [tuple(file)], whole[0][0] - 1) == []


@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_file_is_an_error_and_never_a_shorter_answer(store: HybridStore, *, missing: bool) -> None:
    path = store.root / files_of(store, "market_trades")[3][PATH]
    if missing:
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with (
        store.subscribe(["market_trades"], from_start=True, timeout_s=0) as events,
        pytest.raises(ArchiveCorrupt, match=path.name),
    ):
        list(events)
