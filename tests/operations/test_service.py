"""The service: one a root, round after round; a round that fails is told and tried again."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import msgspec
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import Settings, load_settings
from hybridstore.errors import StoreBusy
from hybridstore.operations.condition import (
    CONDITION_NAME,
    is_maintained,
    maintenance_lock,
    maintenance_status,
    maintenance_warnings,
    read_condition,
)
from hybridstore.operations.maintenance import run_once
from hybridstore.operations.service import serve
from hybridstore.retention.progress import MoveReport
from hybridstore.sections import MaintenanceConfig
from tests.tiered import OWN, insert, make_rows, open_store


@pytest.fixture
def settings(tmp_path: Path, rng: random.Random) -> Settings:
    """Return the settings of a store with 80 old rows, which is maintained without a pause."""
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 80, days=2))
    return msgspec.structs.replace(load_settings(tmp_path), maintenance=MaintenanceConfig(interval_s=0.01))


def test_a_service_works_until_it_is_stopped_and_says_how_it_went(settings: Settings) -> None:
    root, stop, rows, seen = settings.database.root, threading.Event(), [], []
    assert maintenance_status(root)["state"] == "off"

    def note(report: MoveReport) -> None:
        rows.append(report.rows)
        seen.append(maintenance_status(root))
        if len(rows) == 3:
            stop.set()

    serve(settings, stop, on_report=note)
    assert rows == [80, 0, 0]
    first, _, last = seen
    assert (first["state"], first["owner"], first["owner_pid"], first["rounds"]) == (
        "running",
        "service",
        None,
        0,
    )
    assert first["round_started_at"] is not None
    assert (last["rounds"], last["rows_moved"], last["last_report"]["rows"]) == (2, 80, 0)
    after = maintenance_status(root)
    assert (after["state"], after["pid"], after["round_started_at"], after["next_round_at"]) == (
        "off",
        None,
        None,
        None,
    )
    assert (after["rounds"], after["rows_moved"], after["last_error"]) == (3, 80, None)
    assert after["last_round_at"] is not None
    assert not is_maintained(root)


def test_a_round_that_fails_is_told_and_tried_again(settings: Settings) -> None:
    root, stop = settings.database.root, threading.Event()
    obstacle = root / "archives"
    obstacle.write_text("not a folder", encoding="utf-8")
    errors: list[Exception] = []
    told: list[dict[str, object]] = []

    def note(error: Exception) -> None:
        errors.append(error)
        if len(errors) == 2:
            told.append(maintenance_status(root))
            obstacle.unlink()

    def end(report: MoveReport) -> None:
        assert report.rows == 80
        stop.set()

    serve(settings, stop, on_error=note, on_report=end, retry_s=0.001)
    assert len(errors) == 2
    (seen,) = told
    assert type(errors[0]).__name__ in str(seen["last_error"])
    assert any("last round of maintenance failed" in sentence for sentence in maintenance_warnings(seen))
    after = maintenance_status(root)
    assert (after["last_error"], after["rounds"]) == (None, 3)
    assert maintenance_warnings(after) == []


def test_a_condition_that_cannot_be_written_keeps_no_row_from_moving(settings: Settings) -> None:
    root, stop = settings.database.root, threading.Event()
    (root / CONDITION_NAME).mkdir()
    errors: list[Exception] = []
    rows: list[int] = []

    def end(report: MoveReport) -> None:
        rows.append(report.rows)
        stop.set()

    serve(settings, stop, on_error=errors.append, on_report=end)
    assert rows == [80]
    assert all(isinstance(error, OSError) for error in errors)
    assert errors
    assert maintenance_status(root) == {**dict.fromkeys(maintenance_status(root)), "state": "off"}


def test_the_second_of_two_says_who_is_first_and_takes_over(settings: Settings) -> None:
    root = settings.database.root
    first, second, busy = threading.Event(), threading.Event(), threading.Event()
    said: list[str] = []

    def stand_by(sentence: str) -> None:
        said.append(sentence)
        first.set()

    reports: list[MoveReport] = []

    def note(report: MoveReport) -> None:
        reports.append(report)
        busy.set()

    one = threading.Thread(
        target=serve, args=(settings, first), kwargs={"on_report": note, "owner_pid": 4711}
    )
    one.start()
    assert busy.wait(20)
    with pytest.raises(StoreBusy, match="started by the bot with process 4711"):
        serve(settings, second)
    reports_before = len(reports)
    serve(settings, second, on_standby=stand_by, on_report=lambda _report: second.set())
    one.join(20)
    assert len(said) == 1
    assert "4711" in said[0]
    assert reports_before >= 1
    condition = read_condition(root)
    assert condition is not None
    assert condition.owner == "service"


def test_a_lock_left_by_the_dead_is_free(settings: Settings) -> None:
    root = settings.database.root
    with maintenance_lock(root):
        assert is_maintained(root)
        assert maintenance_status(root)["state"] == "running"
    assert not is_maintained(root)
    (root / CONDITION_NAME).write_text("{", encoding="utf-8")
    assert read_condition(root) is None


def test_a_clock_that_keeps_rows_from_being_deleted_is_told(tmp_path: Path) -> None:
    clock = ManualClock(20_600 * DAY_US)
    with HybridStore(tmp_path, clock=clock) as store:
        store.record_market_trades([("BTC/USDT", 1, "1", "1", "buy", clock.now_us())])
    report = run_once(tmp_path, clock=ManualClock(clock.now_us() + 3_000 * DAY_US))
    told = {"last_equity": None, "last_error": None, "state": "running", "last_report": report.to_dict()}
    (warning,) = maintenance_warnings(told)
    assert "nothing more is deleted by policy: the clock says" in warning
    assert warning.endswith("run: hybridstore retention confirm-clock")
    assert maintenance_warnings({**told, "last_report": None}) == []
