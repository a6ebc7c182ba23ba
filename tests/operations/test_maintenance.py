"""Maintenance in a process of its own: it moves what is due, tells how far it is, and its failure has words."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from hybridstore.errors import MoveFailed
from hybridstore.operations.maintenance import run_in_process, run_once, serve
from hybridstore.retention.manager import MoveReport, Progress
from hybridstore.schema.types import moment
from tests.tiered import NOW_US, OWN, all_rows, hot_rows, insert, make_rows, open_store


@pytest.fixture
def root(tmp_path: Path, rng: random.Random) -> Path:
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 80, days=2))
    return tmp_path


def test_the_child_moves_beside_an_open_store_and_knows_its_own_datasets(root: Path) -> None:
    seen: list[Progress] = []
    with open_store(root) as database:
        before = all_rows(database, OWN)
        report = run_in_process(root, now_us=NOW_US, progress=seen.append)
        assert isinstance(report, MoveReport)
        assert (report.rows, report.files) == (80, 2)
        assert all_rows(database, OWN) == before
        assert hot_rows(database, OWN) == {}
    assert (seen[-1].rows_done, seen[-1].rows_total) == (80, 80)


def test_a_child_that_fails_says_why(root: Path) -> None:
    (root / "hybridstore.toml").write_text("[database]\nno_such_setting = 1\n", encoding="utf-8")
    with pytest.raises(MoveFailed, match="no_such_setting"):
        run_in_process(root, now_us=NOW_US)


def test_one_round_can_be_run_as_of_a_moment(root: Path) -> None:
    assert run_once(root, now_us=NOW_US - 40 * 86_400_000_000).rows == 0
    report = serve(root, once=True, now=(moment(NOW_US) + timedelta(days=1)).isoformat())
    assert report.rows == 80


def test_a_service_works_until_it_is_stopped(root: Path) -> None:
    stop, reports = threading.Event(), []

    def note(report: MoveReport) -> None:
        reports.append(report.rows)
        if len(reports) == 2:
            stop.set()

    serve(root, interval_s=0.01, on_report=note, stop=stop)
    assert reports == [80, 0]
