"""Faults that are really made on a real store, each as its own program, crash or careless hand would make it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from hybridstore import HybridStore, ManualClock
from hybridstore.archive.leases import take_lease
from hybridstore.backup import condition as backup_condition
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.config import CONFIG_NAME, DATABASE_NAME, DatabaseConfig
from hybridstore.hot.shipped_mark import mark_shipped, unmark_shipped
from hybridstore.operations import condition
from hybridstore.operations.maintenance import run_once
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.trusted_clock import TRUSTED_CLOCK

REPOSITORY = Path(__file__).resolve().parent.parent.parent
OLD_DAYS = 40
_CRASH = """
import os, sys
from hybridstore import HybridStore
store = HybridStore(sys.argv[1], maintenance="off").open()
store.record_balance_update("ETH", 3, 0, "websocket")
os._exit(9)
"""


def now_us() -> int:
    return time.time_ns() // 1000


def build(root: Path) -> None:
    """Make a store that is well: hot rows, an archived day of two datasets, books, a backup, a finished round."""
    root.mkdir(mode=0o700)
    old_us = now_us() - OLD_DAYS * DAY_US
    with HybridStore(root) as store:
        store.record_balance_update("USDT", "1000.50", "50.25", "websocket")
        store.record_fill(
            "BTC/USDT:USDT", "buy", 100, 2, trade_id="t-1", order_id="o-1", fee=1, fee_currency="USDT"
        )
        store.record_fill(
            "BTC/USDT:USDT", "sell", 110, 1, trade_id="t-2", order_id="o-2", fee=1, fee_currency="USDT"
        )
        store.record_market_trades(
            [("BTC/USDT", number, "60000.1", "0.5", "buy", old_us + number) for number in range(50)]
        )
        store.record_market_trades([("BTC/USDT", 99, "61000", "0.5", "buy", now_us() - SECOND_US)])
    report = run_once(root)
    assert report.rows == 50
    with HybridStore(root) as store:
        store.backups.create_full()
    settle(root)
    write_condition(root, last_error=None)


def settle(root: Path) -> None:
    """Copy the log back, as whoever closes a store last that nobody ships."""
    unmark_shipped(root)
    with HybridStore(root):
        pass


def write_condition(root: Path, **fields: Any) -> None:
    """Write what the process that maintains a store wrote last."""
    now = iso(now_us())
    said = {"last_round_at": now, **fields}
    condition.write_condition(
        root, condition.Condition(pid=1, owner="service", owner_pid=None, started_at=now, rounds=1, **said)
    )


def iso(ts_us: int) -> str:
    from hybridstore.schema.types import moment

    return moment(ts_us).isoformat()


@contextmanager
def connected(path: Path) -> Iterator[apsw.Connection]:
    """Open a database as a person with a shell would."""
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close()


def execute(root: Path, *statements: str) -> None:
    """Run statements on the hot database by hand."""
    with connected(root / DATABASE_NAME) as connection:
        for statement in statements:
            connection.execute(statement)


def configure(root: Path, text: str) -> None:
    (root / CONFIG_NAME).write_text(text, encoding="utf-8")


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        (value,) = file.read(1)
        file.seek(offset)
        file.write(bytes([value ^ 4]))


def archived(root: Path) -> Path:
    (path,) = sorted((root / "archives").rglob("*.parquet"))
    return path


def age(*paths: Path, seconds: float = 7_200) -> None:
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


def crash(root: Path) -> None:
    """Have a bot write a balance and die without closing the store."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", _CRASH, str(root)], env=environment, check=False)
    assert done.returncode == 9


# -- faults -----------------------------------------------------------------------------------------------------


def database_is_text(root: Path) -> None:
    (root / DATABASE_NAME).write_bytes(b"this is no database\n" * 500)


def database_was_cut(root: Path) -> None:
    path = root / DATABASE_NAME
    os.truncate(path, path.stat().st_size - 100)


def database_of_another_program(root: Path) -> None:
    (root / DATABASE_NAME).unlink()
    with connected(root / DATABASE_NAME) as connection:
        connection.execute("CREATE TABLE tradesv3 (id INTEGER PRIMARY KEY)")
    (root / DATABASE_NAME).chmod(0o600)


def page_was_overwritten(root: Path) -> None:
    """Overwrite the page that holds the tree of an index, which only a look at every page finds."""
    with connected(root / DATABASE_NAME) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'trades' ORDER BY rootpage"
        page = connection.execute(sql).get
        page = page[0] if isinstance(page, list) else page
        page = page[0] if isinstance(page, tuple) else page
        size = connection.pragma("page_size")
    with (root / DATABASE_NAME).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x0a\x00\x00\xff\xff" * 20)


def page_with_checksum_was_changed(root: Path) -> None:
    shutil.rmtree(root)
    with HybridStore(root, config=DatabaseConfig(page_checksums=True)) as store:
        store.record_market_trades([("BTC/USDT", n, "1", "1", "buy", now_us()) for n in range(2_000)])
    path = root / DATABASE_NAME
    flip(path, path.stat().st_size - 4096 + 2000)


def log_was_flipped(root: Path) -> None:
    """Flip a bit of a commit in the log of a bot that crashed: SQLite drops it without a word."""
    mark_shipped(root, b"seeded")
    with HybridStore(root) as store:
        store.record_balance_update("ETH", 3, 0, "websocket")
        store.record_balance_update("ETH", 4, 0, "websocket")
    log = root / f"{DATABASE_NAME}-wal"
    flip(log, log.stat().st_size - 2000)


def old_copy_was_put_back(root: Path) -> None:
    copy = (root / DATABASE_NAME).read_bytes()
    with HybridStore(root) as store:
        store.record_balance_update("ETH", 3, 0, "websocket")
    (root / DATABASE_NAME).write_bytes(copy)


def log_grew(root: Path) -> None:
    configure(root, "[database]\nwal_limit_mb = 1\nwal_checkpoint_mb = 1000\n")
    mark_shipped(root, b"seeded")
    with HybridStore(root, config=DatabaseConfig(wal_checkpoint_mb=1000, wal_limit_mb=1000)) as store:
        rows = [("BTC/USDT", n, "1.5", "1", "buy", now_us()) for n in range(100, 15_100)]
        store.record_market_trades(rows)
    unmark_shipped(root)


def move_was_killed(root: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(name: str) -> None:
        if name == "verified":
            raise Killed

    with HybridStore(root) as store:
        at_us = now_us() - (OLD_DAYS + 1) * DAY_US
        store.record_market_trades([("ETH/USDT", n, "1", "1", "buy", at_us + n) for n in range(10)])
        try:
            DataRetentionManager(store.database).run(on_step=kill)
        except Killed:
            return
    raise AssertionError("the move was not begun")


def move_was_given_up(root: Path) -> None:
    """Leave the file of a move that was killed and taken back."""

    class Killed(BaseException):
        pass

    def kill(name: str) -> None:
        if name == "named":
            raise Killed

    known = set((root / "archives").rglob("*.parquet"))
    with HybridStore(root) as store:
        at_us = now_us() - (OLD_DAYS + 1) * DAY_US
        store.record_market_trades([("ETH/USDT", n, "1", "1", "buy", at_us + n) for n in range(10)])
        manager = DataRetentionManager(store.database)
        try:
            manager.run(on_step=kill)
        except Killed:
            (path,) = set((root / "archives").rglob("*.parquet")) - known
            content = path.read_bytes()
        manager.run()
    path.write_bytes(content)
    age(path)


def strange_file(root: Path) -> None:
    path = archived(root).with_name("market_trades-warm-1-2-x.parquet")
    shutil.copy(archived(root), path)
    age(path)


def audit_was_edited(root: Path) -> None:
    execute(
        root,
        "UPDATE audit_log SET detail = replace(detail, 'market_trades', 'market_tradez') WHERE entry = 1",
    )


def row_came_back(root: Path) -> None:
    execute(root, "UPDATE market_trades SET id = 7 WHERE trade_id = 99")


def balance_was_edited(root: Path) -> None:
    execute(root, "UPDATE ledger_balances SET amount = '12345' WHERE asset = 'USDT'")


def backup_was_flipped(root: Path) -> None:
    (path,) = (root / "backups").glob("*/full/*.db.zst")
    flip(path, path.stat().st_size // 2)


def backups_say(**fields: Any) -> Callable[[Path], None]:
    """Return a fault of the backups, told as the process that makes them tells it."""

    def seed(root: Path) -> None:
        base = root / "backups"
        said = backup_condition.read_condition(base)
        assert said is not None
        backup_condition.write_condition(base, msgspec.structs.replace(said, **fields))

    return seed


def backups_are_old(root: Path) -> None:
    with HybridStore(root) as store:
        store.backups.create_full()
    settle(root)
    backups_say(proven_us=now_us() - 5 * DAY_US)(root)


def commits_nobody_ships(root: Path) -> None:
    with HybridStore(root) as store:
        store.record_balance_update("ETH", 3, 0, "websocket")


def reader_died(root: Path) -> None:
    lease = take_lease(root, 3, "a copy", days_max=7)
    lease._lock.release()
    (root / "leases" / f"{lease.facts.lease_id}.lock").touch()


def clock_was_ahead(root: Path) -> None:
    with HybridStore(root, clock=ManualClock(now_us() + 3_600 * SECOND_US)) as store:
        store.record_balance_update("ETH", 3, 0, "websocket")


def clock_leapt(root: Path) -> None:
    execute(
        root,
        f"INSERT INTO settings VALUES ('{TRUSTED_CLOCK}', '{now_us() - 100 * DAY_US}') "
        f"ON CONFLICT (setting) DO UPDATE SET value = excluded.value",
    )


def equity_without_price(root: Path) -> None:
    with HybridStore(root) as store:
        store.record_balance_update("DOGE", 3, 0, "websocket")
        store.record_portfolio_snapshot()


def temporary_files(root: Path) -> None:
    paths = [root / ".maintenance.json.77-1.tmp", root / "backups" / ".repo.json.77-1.tmp"]
    for path in paths:
        path.write_bytes(b"half")
    age(*paths)


def cache_grew(root: Path) -> None:
    configure(root, "[analytics]\nresult_cache_mb = 1\n")
    folder = root / "cache" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.arrow").write_bytes(bytes(2 << 20))
