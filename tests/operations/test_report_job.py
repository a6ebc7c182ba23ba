"""Reports that whoever maintains the store writes by itself."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import msgspec
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import Settings, load_settings
from hybridstore.errors import HybridStoreError
from hybridstore.operations.report_job import REPORTS, ReportJob, ReportsWritten, are_due, write_reports
from hybridstore.sections import ReportConfig

NOW_US = 20_600 * DAY_US
HOSTILE = "../<b>x</b>"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "store"
    clock = ManualClock(NOW_US)
    with HybridStore(root, clock=clock) as store:
        for day in range(3):
            clock.set(NOW_US + day * DAY_US)
            for account in ("kraken/main", HOSTILE):
                store.record_balance_update("USDT", 100 + day, 0, "test", account=account)
                store.record_portfolio_snapshot(account)
    return load_settings(root)


def pages(settings: Settings) -> list[Path]:
    return sorted((settings.database.root / REPORTS).glob("*.html"))


def test_every_account_has_a_page_and_its_tables(settings: Settings) -> None:
    written = write_reports(settings)
    assert (written.pages, written.failed) == (2, {})
    found = pages(settings)
    assert len(found) == 2
    assert {path.parent for path in found} == {settings.database.root / REPORTS}, "no name leads elsewhere"
    for path in found:
        html = path.read_text(encoding="utf-8")
        assert "performance report" in html
        assert "<b>x</b>" not in html
        days = json.loads((path.with_suffix("") / "days.json").read_text(encoding="utf-8"))
        assert [day["equity"] for day in days] == ["101", "102"]


def test_they_are_due_when_the_newest_is_old_or_there_is_none(settings: Settings) -> None:
    now_s = time.time()
    assert are_due(settings, now_s)
    write_reports(settings)
    assert not are_due(settings, time.time())
    assert are_due(settings, time.time() + 24 * 3600)
    assert are_due(settings, now_s - 7200), "of a clock that was set back nothing is known"
    never = msgspec.structs.replace(settings, report=ReportConfig(interval_hours=0))
    assert not are_due(never, time.time() + 10 * 24 * 3600)


def test_one_account_that_fails_keeps_no_other_from_its_page(settings: Settings) -> None:
    write_reports(settings)
    (page,) = [path for path in pages(settings) if path.name.startswith("kraken")]
    page.unlink()
    page.mkdir()
    written = write_reports(settings)
    assert (written.pages, list(written.failed)) == (1, ["kraken/main"])
    assert "write the report" in written.failed["kraken/main"]


def test_the_job_writes_them_in_a_process_of_its_own(settings: Settings) -> None:
    stop, told = threading.Event(), threading.Event()
    written: list[ReportsWritten] = []
    errors: list[Exception] = []

    def note(one: ReportsWritten) -> None:
        written.append(one)
        told.set()

    job = ReportJob(settings, stop, note, errors.append, first_after_s=0)
    job.start()
    assert told.wait(60), errors
    stop.set()
    job.close()
    assert [one.pages for one in written] == [2]
    assert errors == []
    assert len(pages(settings)) == 2


def test_the_job_tells_why_nothing_was_written(settings: Settings) -> None:
    (settings.database.root / REPORTS).write_text("in the way", encoding="utf-8")
    stop, told = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def note(error: Exception) -> None:
        errors.append(error)
        told.set()

    job = ReportJob(settings, stop, lambda _written: None, note, first_after_s=0)
    job.start()
    assert told.wait(60)
    stop.set()
    job.close()
    assert [type(error) for error in errors] == [HybridStoreError]
    assert "no reports were written" in str(errors[0])


def test_a_job_that_is_stopped_ends_at_once(settings: Settings) -> None:
    stop = threading.Event()
    job = ReportJob(settings, stop, lambda _written: None, lambda _error: None, first_after_s=0)
    job.start()
    time.sleep(0.7)  # its process begins
    stop.set()
    begun_s = time.monotonic()
    job.close()
    assert time.monotonic() - begun_s < 10
    for path in pages(settings):
        assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
