"""A log that is shipped while others checkpoint, read, write and begin it anew: no gap, and nobody waits long."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore
from hybridstore.backup.chain import Target
from hybridstore.backup.shipper import Shipper
from hybridstore.backup.wal import HEADER_BYTES, parse_header
from hybridstore.config import DatabaseConfig
from hybridstore.hot.log_pin import LogPin
from tests.crash.shipping import CHECKPOINT_MODES, Child, Note, Ships, fill, note, settings_of

_MIB = 1 << 20
_WRITERS = 2
_BLOCKED_MAX_MS = 2_000.0
"""A foreign checkpoint that the pin kept waiting would wait for its five seconds, and all writers with it."""


def _salts(config: DatabaseConfig) -> tuple[int, int] | None:
    content = Path(f"{config.path}-wal").read_bytes()[:HEADER_BYTES]
    return parse_header(content).salts if content else None


def _poll_until_anew(shipper: Shipper, config: DatabaseConfig) -> None:
    before = _salts(config)
    end_s = (
        time.monotonic() + 90
    )  # after a reader that kept it for long, the next attempt may be a minute away
    while time.monotonic() < end_s:
        shipper.poll()
        if _salts(config) != before:
            return
        time.sleep(0.005)
    raise AssertionError("the log never began anew")


def _under_load(folder: Path, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    config = settings_of(folder / "root")
    ships = Ships(config)
    noted: list[Note] = []
    with HybridStore(config=config):
        pass
    with ExitStack() as stack:
        writers = []
        for number in range(_WRITERS):
            arguments = ("shipped_writer_process", str(config.root), f"w/{number}", "0.002")
            writers.append(Child(folder, f"writer-{number}", *arguments))
            stack.callback(writers[-1].process.wait)
            stack.callback(writers[-1].process.kill)
        shipper = stack.enter_context(ships.shipping(2))
        modes = [mode for _ in range(rounds) for mode in rng.sample(CHECKPOINT_MODES, 4)]
        works = [work for mode in modes for work in (mode, f"wait {rng.random() * 0.1:.3f}")]
        foreign = Child(folder, "foreign", "foreign_process", str(config.path), *works, awaited=False)
        stack.callback(foreign.process.wait)
        stack.callback(foreign.process.kill)
        began = {_salts(config)}
        while foreign.process.poll() is None:
            shipper.poll()
            began.add(_salts(config))
            noted.append(note(config))
            time.sleep(rng.random() * 0.05)
        slowest_ms = [float(writer.end()[-1]) for writer in writers]
        shipper.poll()
        assert (shipper.epoch, ships.gaps) == (1, [])
        holds_ms = list(shipper.holds_ms)
    done = [line.split() for line in foreign.end()]
    assert [words[0] for words in done] == modes
    ships.prove_latest(folder / "latest")
    assert ships.prove_chains() > len(noted)
    for one in rng.sample(noted, 3):
        assert ships.prove(one, folder / f"at-{one.seq}")
    print(
        f"{len(modes)} foreign checkpoints ({sum(words[1] == '0' for words in done)} of them through);"
        f" {len(began)} logs; slowest write {max(slowest_ms)} ms, holds {holds_ms}"
    )
    assert max(slowest_ms) < _BLOCKED_MAX_MS
    assert len(began) > 2


@pytest.mark.timeout(120)
def test_foreign_checkpoints_beside_a_shipper_cost_nothing(tmp_path: Path, seed: int) -> None:
    _under_load(tmp_path, seed, 4)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_foreign_checkpoints_beside_a_shipper_cost_nothing(tmp_path: Path, seed: int) -> None:
    _under_load(tmp_path, seed, 60)


@pytest.mark.parametrize("mode", CHECKPOINT_MODES)
def test_a_log_that_others_begin_anew_is_followed(tmp_path: Path, mode: str) -> None:
    """Each connection counts generations for itself, and after TRUNCATE the next may draw its salts anew."""
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with HybridStore(config=config) as store, ships.shipping() as shipper:
        began = set()
        for number in range(3):
            shipper.poll()
            shipper._pin.copy_back()
            shipper._pin.renew(lambda: None)
            ships.checkpoint(shipper, tmp_path, mode, mode)
            with HybridStore(config=config) as another:
                fill(another if number % 2 else store, 3)
            began.add(_salts(config))
            shipper.poll()
            assert (shipper.epoch, ships.gaps) == (1, [])
        assert len(began) == 3 or mode in ("PASSIVE", "FULL")
    ships.prove_latest(tmp_path / "latest")
    ships.prove_chains()


def test_it_is_known_how_far_the_log_has_come_while_writers_are_held(tmp_path: Path) -> None:
    config = settings_of(tmp_path / "root")
    with HybridStore(config=config) as store:
        pin = LogPin(config)
        try:
            fill(store, 5)
            with pin.holding_writers(1_000):
                before = pin.sizes()
                assert before.frames > before.copied
                pin.renew(lambda: None)
                assert pin.copy_back() == (before.frames, before.frames)
                assert pin.sizes() == (before.frames, before.frames)
        finally:
            pin.close()


def test_a_reader_that_keeps_the_log_makes_nobody_busy(tmp_path: Path) -> None:
    """The log cannot begin anew; it is tried again later and later, and each attempt adds a page at the most."""
    config = settings_of(tmp_path / "root", limit_mb=2)
    ships = Ships(config)
    with HybridStore(config=config) as store, ships.shipping() as shipper:
        with store.database.readers.transaction() as reader:
            reader.rows("SELECT 1 FROM balances")
            fill(store, 400, 3_000)
            shipper.poll()
            before, salts = shipper.clock_row.seq, _salts(config)
            for _ in range(200):
                shipper.poll()
                time.sleep(0.002)
            assert shipper.clock_row.seq - before <= 8
            assert _salts(config) == salts
        _poll_until_anew(shipper, config)
        assert (shipper.epoch, ships.gaps) == (1, [])
    ships.prove_latest(tmp_path / "latest")
    ships.prove_chains()


def test_a_reader_of_another_process_only_lets_the_log_grow(tmp_path: Path) -> None:
    config = settings_of(tmp_path / "root", limit_mb=2)
    ships = Ships(config)
    with HybridStore(config=config) as store, ships.shipping() as shipper:
        fill(store, 5)
        works = ("BEGIN", "SELECT count(*) FROM balances", "wait 1.5")
        reader = Child(tmp_path, "reader", "foreign_process", str(config.path), *works)
        while len(reader.lines()) < 2:
            time.sleep(0.01)
        salts, slowest_s = _salts(config), 0.0
        while reader.process.poll() is None:
            begun_s = time.monotonic()
            fill(store, 5, 3_000)
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
            shipper.poll()
            assert _salts(config) == salts or reader.process.poll() is not None
        assert slowest_s < 1.0
        reader.end()
        if _salts(config) == salts:
            _poll_until_anew(shipper, config)
        assert (shipper.epoch, ships.gaps) == (1, [])
    ships.prove_latest(tmp_path / "latest")


def test_a_commit_that_was_shipped_in_part_is_gone_on_with(tmp_path: Path) -> None:
    """A large commit is shipped in parts, and its number may be in the first of them."""
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with HybridStore(config=config) as store:
        with ships.shipping() as shipper:
            fill(store, 3)
            shipper.poll()

        def write(session: Any) -> None:
            session.execute("CREATE TABLE IF NOT EXISTS big (content)")
            for _ in range(10):
                session.execute("INSERT INTO big VALUES (randomblob(1048576))")

        for _ in range(2):
            store.database.writer.call(write)
        fill(store, 3)
        child = Child(tmp_path, "shipper", "shipper_process", str(config.root), "flushed", "1", str(1 << 40))
        child.process.wait(30)
        child.kill()
        with ships.shipping() as shipper:
            for _ in range(3):
                shipper.poll()
            assert (shipper.epoch, ships.gaps) == (1, [])
        fill(store, 3)
    ships.prove_latest(tmp_path / "latest")
    ships.prove_chains()


def test_a_number_that_does_not_follow_begins_one_chain(tmp_path: Path) -> None:
    """Somebody set the commit clock: it is told once, and not found again with each look."""
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with HybridStore(config=config) as store:
        with ships.shipping() as shipper:
            fill(store, 3)
            shipper.poll()
            last = shipper.clock_row.seq
            set_clock = "UPDATE commit_clock SET seq = seq + 7"
            Child(tmp_path, "foreign", "foreign_process", str(config.path), set_clock).end()
            for _ in range(3):
                shipper.poll()
                fill(store, 1)
            assert (shipper.epoch, len(ships.gaps)) == (2, 1)
        with ships.shipping() as shipper:
            assert shipper.epoch == 2
        store.record_balance_update("Z", Decimal(1), Decimal(0), "t")
    assert ships.repository.epochs()[-1].seq == last
    ships.prove_latest(tmp_path / "latest")
    assert ships.restored(Target(seq=last, epoch=1), tmp_path / "before")[1]


def test_a_log_is_kept_for_the_shipper_that_is_down(tmp_path: Path) -> None:
    """A bot whose log was copied back in part does not finish that while the log is small enough."""
    config = settings_of(tmp_path / "root", limit_mb=8)
    ships = Ships(config)
    with HybridStore(config=config) as store:
        with ships.shipping() as shipper:
            fill(store, 150, 3_000)
            shipper._pin.copy_back()
            fill(store, 1)
            salts = _salts(config)
        fill(store, 25, 3_000)
        time.sleep(1.2)
        fill(store, 25, 3_000)
        assert Path(f"{config.path}-wal").stat().st_size > 2 * _MIB
        assert _salts(config) == salts
        with ships.shipping() as shipper:
            assert shipper.epoch == 1
    ships.prove_latest(tmp_path / "latest")
