"""One moment over hot rows and archives: exact totals, each row once, files verified, several threads."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.archive.writing import Target, write_archive
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import ArchiveCorrupt, QueryFailed, StoreClosed
from hybridstore.hot.session import WriteSession
from hybridstore.hot.transfer import read_rows
from hybridstore.retention.steps import Move, Step, claim, publish
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore
from tests.analytics.ticks import FIRST_DAY, SYMBOLS, Tick, archive, make_ticks, notional, record

REPOSITORY = Path(__file__).resolve().parents[2]
COUNT = "SELECT count(*) FROM market_trades"
TOTALS = (
    "SELECT symbol, count(*), sum(price), sum(amount), sum(dmul(price, amount)), min(traded_at), max(trade_id)"
    " FROM market_trades GROUP BY symbol ORDER BY symbol"
)


def totals(ticks: list[Tick]) -> list[tuple[object, ...]]:
    """Return what TOTALS must answer, counted in plain Decimal."""
    expected: list[tuple[object, ...]] = []
    for symbol in SYMBOLS:
        own = [tick for tick in ticks if tick.symbol == symbol]
        expected.append((
            symbol,
            len(own),
            sum((tick.price for tick in own), Decimal(0)),
            sum((tick.amount for tick in own), Decimal(0)),
            notional(own),
            moment(min(tick.traded_us for tick in own)),
            max(tick.trade_id for tick in own),
        ))  # fmt: skip
    return expected


def archived_files(store: HybridStore) -> list[Path]:
    return sorted((store.root / "archives").rglob("*.parquet"))


def test_totals_are_exact_before_and_after_the_move(store: HybridStore, ticks: list[Tick]) -> None:
    record(store, ticks)
    before = store.sql(TOTALS).rows()
    moved = archive(store, 3)

    assert 0 < moved < len(ticks)
    assert before == totals(ticks)
    assert store.sql(TOTALS).rows() == before


def test_late_rows_and_a_second_move_are_counted_once(
    tiered: HybridStore, ticks: list[Tick], rng: Random
) -> None:
    late = [tick._replace(trade_id=tick.trade_id + 10_000) for tick in make_ticks(rng, 50, range(4))]
    record(tiered, late)
    assert tiered.sql(TOTALS).rows() == totals(ticks + late)
    archive(tiered, 5)

    assert tiered.database.readers.rows(COUNT) == [(0,)]
    assert tiered.sql(TOTALS).rows() == totals(ticks + late)


def test_a_file_being_published_counts_up_to_its_limit(store: HybridStore, ticks: list[Tick]) -> None:
    """Stop a move after each publishing step and ask; then let it go on."""
    record(store, ticks)
    dataset = store.database.registry["market_trades"]
    start_us = FIRST_DAY * DAY_US
    unit = {"start_us": start_us, "end_us": start_us + DAY_US}
    with store.database.readers.transaction() as transaction:
        rows = read_rows(transaction, dataset, start_us=start_us, end_us=start_us + DAY_US)
    ids = rows.column("id").to_pylist()
    target = Target("file-1", "warm", unit["start_us"], unit["end_us"], 1)
    file = write_archive(store.root, dataset, rows, target, lambda _step: None)
    move = Move(
        "move-1",
        dataset.name,
        "warm",
        **unit,
        max_id=ids[-1],
        state="claimed",
        file_id="file-1",
        path=file.path,
    )
    store.database.writer.call(claim, move)
    assert store.sql(TOTALS).rows() == totals(ticks)
    thirds = [0, len(ids) // 3, 2 * len(ids) // 3, len(ids)]
    for above, through in itertools.pairwise(thirds):
        step = Step(
            ids[above - 1] if above else 0, ids[through - 1], through - above, last=through == len(ids)
        )
        store.database.writer.call(publish, dataset, move, file, step)
        assert store.sql(TOTALS).rows() == totals(ticks)
        assert store.scan("market_trades").select("id").collect().height == len(ticks)
        assert store.database.readers.rows(COUNT) == [(len(ticks) - through,)]


@pytest.mark.parametrize(
    "name", ["balances", "trades", "positions", "marks", "portfolio_daily", "market_trades"]
)
def test_an_empty_dataset_has_its_columns_and_types(store: HybridStore, name: str) -> None:
    dataset = store.database.registry[name]
    table = store.sql(f"SELECT * FROM {name}").arrow()

    assert table.num_rows == 0
    expected = arrow_schema(dataset)
    assert table.schema.names == expected.names
    assert [str(field.type) for field in table.schema] == [str(field.type) for field in expected]
    assert store.scan(name).collect().columns == expected.names


def test_every_dataset_can_be_asked(store: HybridStore) -> None:
    for name in store.database.registry.public:
        assert store.sql(f"SELECT count(*) FROM {name}").rows() == [(0,)]


def test_archived_rows_have_the_types_of_hot_ones(tiered: HybridStore) -> None:
    everything = tiered.sql("SELECT * FROM market_trades").arrow()
    assert [str(field.type) for field in everything.schema] == [
        str(field.type) for field in arrow_schema(tiered.database.registry["market_trades"])
    ]


def test_a_snapshot_does_not_move(tiered: HybridStore, ticks: list[Tick], rng: Random) -> None:
    with tiered.snapshot() as snapshot:
        seq = snapshot.seq
        assert snapshot.sql(COUNT).rows() == [(len(ticks),)]
        record(
            tiered,
            [tick._replace(trade_id=tick.trade_id + 10_000) for tick in make_ticks(rng, 9, range(4, 6))],
        )
        archive(tiered, 5)
        assert tiered.sql(COUNT).rows() == [(len(ticks) + 9,)]
        assert snapshot.sql(TOTALS).rows() == totals(ticks)
        assert snapshot.scan("market_trades").collect().height == len(ticks)
        assert snapshot.sql("SELECT count(*) FROM candles").rows() == [(0,)]
        assert snapshot.seq == seq
        assert snapshot.ts_us > 0
    with tiered.snapshot() as later:
        assert later.seq > seq
        assert later.ts_us > snapshot.ts_us


def test_a_question_lets_the_moment_go_before_it_runs(tiered: HybridStore) -> None:
    """A long question must not keep the write-ahead log from shrinking."""
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(tiered.database.readers.statistics()["active_connections"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    tiered.sql("SELECT count(*) FROM market_trades, range(400000) WHERE trade_id * range % 7 = 3")
    done.set()
    watcher.join()

    assert len(seen) >= 4, "the question was over too soon to be watched"
    assert seen.count(0) > len(seen) / 2, seen


def test_parameters_are_values_and_never_sql(tiered: HybridStore, ticks: list[Tick]) -> None:
    tick = ticks[0]
    query = (
        "SELECT count(*) FROM market_trades WHERE symbol = $symbol AND price = $price AND trade_id = $number"
    )
    found = tiered.sql(query, symbol=tick.symbol, price=tick.price, number=tick.trade_id)
    hostile = tiered.sql("SELECT $text AS text", text="'; DROP TABLE trades; --")

    assert found.rows() == [(1,)]
    assert hostile.rows() == [("'; DROP TABLE trades; --",)]


def test_a_parameter_may_be_named_like_an_argument(store: HybridStore) -> None:
    assert store.sql("SELECT $timeout_s, $params", timeout_s=1, params=2).rows() == [(1, 2)]


def test_a_changed_file_is_an_error_that_names_it(tiered: HybridStore) -> None:
    path = archived_files(tiered)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    for ask in (lambda: tiered.sql(COUNT), lambda: tiered.scan("market_trades").collect()):
        with pytest.raises(ArchiveCorrupt, match="SHA-256") as caught:
            ask()
        assert caught.value.path is not None
        assert path.name in caught.value.path
    assert tiered.sql("SELECT count(*) FROM candles").rows() == [(0,)]


def test_a_missing_file_is_an_error_that_names_it(tiered: HybridStore) -> None:
    assert tiered.sql(COUNT).rows() == [(600,)]
    path = archived_files(tiered)[-1]
    path.unlink()

    with pytest.raises(ArchiveCorrupt, match="missing") as caught:
        tiered.sql(COUNT)
    assert path.name in str(caught.value)


def test_a_file_taken_away_while_it_is_read_is_no_wrong_question(tiered: HybridStore) -> None:
    """The engine's own error would blame the question; the answer is which file is gone."""

    class Thief(FileVerifier):
        """Checks files as ever, and takes one away right after the first check."""

        stolen = False

        def paths(self, files: Iterable[ArchiveFile]) -> list[str]:
            """Check files, then remove the last one, once."""
            paths = super().paths(files)
            if paths and not self.stolen:
                self.stolen = True
                Path(paths[-1]).unlink()
            return paths

    tiered.analytics._verifier = Thief(tiered.root)
    with pytest.raises(ArchiveCorrupt, match="missing"):
        tiered.sql("SELECT sum(price) FROM market_trades")


def test_a_closed_store_answers_nothing(tmp_path: Path) -> None:
    store = HybridStore(tmp_path / "root").open()
    analytics = store.analytics
    analytics.sql("SELECT 1")
    store.close()

    with pytest.raises(StoreClosed):
        analytics.sql("SELECT 1")
    with pytest.raises(StoreClosed):
        store.sql("SELECT 1")


@pytest.mark.parametrize("folder", ["plain", "with space", "it's", "[a-z]x", "st*r", "q?", "%2e", "ü{b}"])
def test_any_folder_may_be_a_root(tmp_path: Path, folder: str, rng: Random) -> None:
    try:
        (tmp_path / folder).mkdir()
    except OSError:
        pytest.skip(f"this file system has no folder named {folder!r}")
    ticks = make_ticks(rng, 60, range(3))
    with HybridStore(tmp_path / folder, clock=ManualClock(FIRST_DAY * DAY_US)) as store:
        record(store, ticks)
        archive(store, 1)
        assert store.sql(COUNT).rows() == [(60,)]
        assert store.scan("market_trades").collect().height == 60


def test_a_relative_root_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: Random) -> None:
    monkeypatch.chdir(tmp_path)
    with HybridStore("here", clock=ManualClock(FIRST_DAY * DAY_US)) as store:
        record(store, make_ticks(rng, 60, range(3)))
        archive(store, 1)
        assert store.sql(COUNT).rows() == [(60,)]


def test_a_linked_root_is_found(tmp_path: Path, rng: Random) -> None:
    (tmp_path / "real").mkdir()
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"links cannot be made here: {error}")
    with HybridStore(tmp_path / "link", clock=ManualClock(FIRST_DAY * DAY_US)) as store:
        record(store, make_ticks(rng, 60, range(3)))
        archive(store, 1)
        assert store.sql(COUNT).rows() == [(60,)]


@contextlib.contextmanager
def running(*loops: Callable[[], None]) -> Iterator[None]:
    threads = [threading.Thread(target=loop) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def test_readers_beside_a_writer_and_a_mover_see_every_row_once(
    store: HybridStore, rng: Random, seed: int
) -> None:
    """Rows of one commit come in tens and never go away, whatever moves meanwhile."""
    wrong: list[str] = []
    stop = threading.Event()
    distinct = "SELECT count(*), count(DISTINCT trade_id), count(DISTINCT id) FROM market_trades"

    def read() -> None:
        before = 0
        while not stop.is_set():
            count, numbers, ids = store.sql(distinct).rows()[0]
            scanned = store.scan("market_trades").select("id").collect()["id"]
            if count % 10 or count < before or numbers != count or ids != count:
                wrong.append(f"{before} -> {count}, {numbers} numbers, {ids} ids")
            if scanned.n_unique() != len(scanned) or len(scanned) < count:
                wrong.append(f"{len(scanned)} scanned after {count}")
            before = count

    with running(read, read, read):
        try:
            for batch in range(30):
                ticks = make_ticks(rng, 10, range(6))
                record(
                    store, [tick._replace(trade_id=batch * 10 + number) for number, tick in enumerate(ticks)]
                )
                if batch % 5 == 4:
                    archive(store, batch // 5)
        finally:
            stop.set()
    assert wrong == []
    assert store.sql(COUNT).rows() == [(300,)]


def test_first_questions_of_several_threads_share_one_session(store: HybridStore) -> None:
    found: list[int] = []
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        found.append(id(store.analytics))

    with running(ask, ask, ask, ask):
        pass
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_manifest_row_reads_like_the_file(tiered: HybridStore) -> None:
    with tiered.snapshot() as snapshot:
        files = [ArchiveFile.from_row(row) for row in snapshot._hot.manifest("market_trades")]
    assert [tiered.root / file.path for file in files] == archived_files(tiered)


def test_an_overflowing_product_says_how_to_multiply(tiered: HybridStore) -> None:
    with pytest.raises(QueryFailed, match="dmul"):
        tiered.sql(
            "SELECT sum((6180560000000 / 1e8)::DECIMAL(18, 8) * amount * 1000000.00000000) FROM market_trades"
        )


def test_a_wrong_type_is_a_failed_question_and_the_session_goes_on(tiered: HybridStore) -> None:
    with pytest.raises(QueryFailed, match="Conversion"):
        tiered.sql("SELECT symbol::INTEGER FROM market_trades")
    assert tiered.sql(COUNT).rows() == [(600,)]


def test_a_commit_between_two_questions_shows_in_the_second(store: HybridStore) -> None:
    def insert(session: WriteSession) -> None:
        session.execute(session.sql["insert_market_trades"], ("A/B", 1, 10**8, 10**8, "buy", DAY_US, DAY_US))

    assert store.sql(COUNT).rows() == [(0,)]
    store.database.writer.call(insert)
    assert store.sql(COUNT).rows() == [(1,)]


def test_a_question_imports_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    """Arrow looks for pandas on some of its ways: where it is installed, that takes longer than the question."""
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.py").write_text(
        f"open({str(tmp_path / 'imported')!r}, 'w').close()\n__version__ = '9.9.9'\n", encoding="utf-8"
    )
    asked = (
        "import sys; from hybridstore import HybridStore\n"
        "with HybridStore(sys.argv[1]) as store:\n"
        "    print(store.sql('SELECT count(*) FROM market_trades').rows())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path / "store")],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(REPOSITORY)))},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[(0,)]\n"), done.stderr
    assert not (tmp_path / "imported").exists()
