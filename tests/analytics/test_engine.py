"""Limits: a question can be cancelled, runs out of time and memory, and leaves the session working."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from hybridstore.analytics.session import Analytics
from hybridstore.errors import HybridStoreError, QueryTimeout
from hybridstore.sections import AnalyticsConfig
from hybridstore.store import HybridStore

ENDLESS = "SELECT count(*) FROM range(1000000000000) a(i) WHERE i * i % 7 = 3"
PROMPT_S = 5.0
"""An interrupt takes about a millisecond; a shared machine may stall for longer."""


def test_a_question_runs_out_of_time(store: HybridStore) -> None:
    begun_s = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"longer than 0\.2 s") as caught:
        store.analytics.sql(ENDLESS, timeout_s=0.2)
    assert time.monotonic() - begun_s < PROMPT_S
    assert caught.value.retryable
    assert store.sql("SELECT 1").rows() == [(1,)]


def test_the_limit_of_the_session_counts_where_none_is_given(store: HybridStore) -> None:
    analytics = Analytics(store.database, AnalyticsConfig(timeout_s=0.2))
    try:
        with pytest.raises(QueryTimeout, match=r"0\.2 s"):
            analytics.sql(ENDLESS)
        with analytics.snapshot() as snapshot, pytest.raises(QueryTimeout, match=r"0\.1 s"):
            snapshot.ask(ENDLESS, timeout_s=0.1)
    finally:
        analytics.close()


def test_every_running_question_can_be_cancelled(store: HybridStore) -> None:
    analytics = store.analytics
    errors: list[HybridStoreError] = []

    def ask() -> None:
        try:
            analytics.sql(ENDLESS)
        except HybridStoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline_s = time.monotonic() + PROMPT_S
    while len(analytics._engine._watcher._running) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert analytics.cancel() == 3
    for thread in threads:
        thread.join(PROMPT_S)

    assert [type(error) for error in errors] == [QueryTimeout] * 3
    assert all("cancelled" in str(error) for error in errors)
    assert analytics.cancel() == 0
    assert analytics.sql("SELECT 1").rows() == [(1,)]


def test_closing_the_store_cancels_what_runs(tmp_path: Path) -> None:
    store = HybridStore(tmp_path / "root").open()
    analytics = store.analytics
    errors: list[HybridStoreError] = []

    def ask() -> None:
        try:
            analytics.sql(ENDLESS)
        except HybridStoreError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline_s = time.monotonic() + PROMPT_S
    while not analytics._engine._watcher._running and time.monotonic() < deadline_s:
        time.sleep(0.01)
    store.close()
    thread.join(PROMPT_S)

    assert not thread.is_alive()
    assert [type(error) for error in errors] == [QueryTimeout]


def test_a_question_runs_out_of_memory(store: HybridStore) -> None:
    analytics = Analytics(store.database, AnalyticsConfig(memory_limit_mb=64))
    try:
        with pytest.raises(QueryTimeout, match="more memory than it may take"):
            analytics.sql("SELECT list(i ORDER BY random()) FROM range(100000000) r(i)")
        assert analytics.sql("SELECT 1").rows() == [(1,)]
    finally:
        analytics.close()


def watchers() -> int:
    return sum(thread.name == "hybridstore-query-watch" for thread in threading.enumerate())


def test_one_thread_watches_and_ends_with_the_store(tmp_path: Path) -> None:
    before = watchers()
    with HybridStore(tmp_path / "root") as store:
        for _ in range(3):
            store.sql("SELECT 1")
        assert watchers() == before + 1
    deadline_s = time.monotonic() + PROMPT_S
    while watchers() > before and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert watchers() == before


def test_a_short_limit_counts_while_a_long_one_is_watched(store: HybridStore) -> None:
    """The watcher sleeps until the first deadline it knows; an earlier one must wake it."""
    store.analytics.sql("SELECT 1", timeout_s=1000)
    begun_s = time.monotonic()
    with pytest.raises(QueryTimeout):
        store.analytics.sql(ENDLESS, timeout_s=0.1)
    assert time.monotonic() - begun_s < PROMPT_S


def test_a_cursor_has_every_setting_of_the_session(store: HybridStore) -> None:
    """Some settings of the engine belong to a connection; a cursor must not fall back to their defaults."""
    wanted = {
        "TimeZone": "UTC",
        "memory_limit": "2.0 GiB",
        "parquet_metadata_cache": "true",
        "python_enable_replacements": "false",
        "python_scan_all_frames": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
        "temp_directory": (store.root / "cache").as_posix(),
    }
    with store.analytics._engine.cursor() as cursor:
        found = dict(cursor.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert {name: found[name] for name in wanted} == wanted
    assert (store.root / "archives").as_posix() in found["allowed_directories"]
    assert store.root.as_posix() + "/]" not in found["allowed_directories"]


def test_the_folders_are_private(store: HybridStore) -> None:
    store.sql("SELECT 1")
    for name in ("archives", "cache"):
        assert (store.root / name).is_dir()
        if os.name == "posix":
            assert (store.root / name).stat().st_mode & 0o077 == 0


def test_times_are_utc_whatever_the_machine_thinks(
    store: HybridStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    if hasattr(time, "tzset"):
        time.tzset()
    try:
        day = store.sql("SELECT date_trunc('day', TIMESTAMPTZ '2026-01-02 01:00:00+00')::VARCHAR").rows()
    finally:
        monkeypatch.undo()
        if hasattr(time, "tzset"):
            time.tzset()
    assert day == [("2026-01-02 00:00:00+00",)]
