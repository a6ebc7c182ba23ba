"""Figures and health of a store: right, read seldom enough, over HTTP on this machine alone, and never in the way."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore import HybridStore
from hybridstore.cli import metrics as metrics_command
from hybridstore.config import DATABASE_NAME, Settings, load_settings
from hybridstore.errors import ConfigError, StorageFailure
from hybridstore.operations.condition import maintenance_status
from hybridstore.operations.endpoint import Endpoint, serving
from hybridstore.operations.figures import CATALOGUE, INVARIANTS, Observer
from hybridstore.operations.findings import KINDS
from hybridstore.operations.metrics import exposition
from hybridstore.operations.service import serve
from hybridstore.sections import MaintenanceConfig, MetricsConfig
from tests.operations import seeding

HERE = "127.0.0.1"


@pytest.fixture
def root(well: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(well, tmp_path / "store"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HERE, 0))
        port: int = one.getsockname()[1]
        return port


def settings_of(root: Path, **metrics: int | str) -> Settings:
    asked = {"port": free_port(), **metrics}
    return msgspec.structs.replace(
        load_settings(root, {}),
        metrics=msgspec.convert(asked, MetricsConfig),
        maintenance=MaintenanceConfig(interval_s=3600),
    )


def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(HERE, port, timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return (
            answer.status,
            answer.read().decode(),
            {name.lower(): value for name, value in answer.getheaders()},
        )
    finally:
        connection.close()


@pytest.fixture
def endpoint(root: Path) -> Iterator[Endpoint]:
    answering = Endpoint(settings_of(root))
    yield answering
    answering.close()


def figures(observer: Observer) -> dict[str, dict[str, float]]:
    return {figure.name: figure.samples for figure in observer.figures()}


def test_every_figure_is_read_and_right(root: Path) -> None:
    with HybridStore(root) as store:
        store.record_portfolio_snapshot()
        status = store.get_system_status()
        observer = Observer(load_settings(root, {}))
        found = figures(observer)
        assert list(found) == list(CATALOGUE)
        assert found["hybridstore_up"] == {"": 1}
        assert found["hybridstore_commit_seq"] == {"": status["commit_seq"]}
        assert found["hybridstore_archived_rows"]["market_trades"] == 50
        assert found["hybridstore_hot_rows"]["trades"] == 2
        assert found["hybridstore_tier_files"] == {"warm": 1}
        assert found["hybridstore_tier_bytes"] == {"warm": seeding.archived(root).stat().st_size}
        assert found["hybridstore_database_bytes"] == {"": (root / DATABASE_NAME).stat().st_size}
        assert found["hybridstore_wal_bytes"] == {"": (root / f"{DATABASE_NAME}-wal").stat().st_size}
        assert found["hybridstore_maintenance_up"] == {"": 0}
        assert found["hybridstore_last_proven_restore_age_seconds"] == {"": math.inf}, (
            "only one full copy was made"
        )
        assert 0 < found["hybridstore_backup_lag_seconds"][""] < 600, "a commit that nobody ships"
        assert found["hybridstore_equity_age_seconds"]["default"] < 600
        assert abs(found["hybridstore_last_commit_timestamp_seconds"][""] - time.time()) < 600
        assert found["hybridstore_invariant_violations"] == dict.fromkeys(INVARIANTS, 0)
        assert set(INVARIANTS) <= KINDS.keys()
        store.record_balance_update("ETH", 1)
        time.sleep(1.1)
        assert figures(observer)["hybridstore_commit_seq"][""] > status["commit_seq"]
        assert observer.figures() is observer.figures(), "who asks more often costs no read"
        observer.close()
        assert figures(observer)["hybridstore_up"] == {"": 0}, "who asks late opens nothing again"


def test_what_must_never_be_is_counted_and_proven_once_a_minute(root: Path) -> None:
    observer = Observer(load_settings(root, {}))
    try:
        assert sum(figures(observer)["hybridstore_invariant_violations"].values()) == 0
        assert observer.health().state == "ok"
        seeding.archived(root).unlink()
        observer._kept.pop("figures")
        assert sum(figures(observer)["hybridstore_invariant_violations"].values()) == 0, (
            "it was proven just now"
        )
        observer._kept.clear()
        assert figures(observer)["hybridstore_invariant_violations"]["archive-missing"] == 1
        health = observer.health()
        assert health.state == "failing"
        assert "archive-missing" in health.reasons[0]
    finally:
        observer.close()


@pytest.mark.parametrize("fault", ["no store", "no database"])
def test_a_store_that_cannot_be_read_is_down_and_not_made(tmp_path: Path, fault: str) -> None:
    root = tmp_path / "store"
    if fault == "no database":
        root.mkdir()
        (root / DATABASE_NAME).write_bytes(b"this is no database\n" * 500)
    observer = Observer(load_settings(root, {}))
    found = figures(observer)
    assert found["hybridstore_up"] == {"": 0}
    assert set(found) == {"hybridstore_up", "hybridstore_build_info"}
    assert observer.health().state == "failing"
    assert root.exists() == (fault == "no database")
    observer.close()


def test_a_round_that_failed_is_told(root: Path) -> None:
    seeding.write_condition(root, last_error="StorageFull: no space left")
    observer = Observer(load_settings(root, {}))
    assert figures(observer)["hybridstore_maintenance_failed"] == {"": 1}
    assert "no space left" in observer.health().reasons[0]
    observer.close()


# -- over HTTP -----------------------------------------------------------------------------------------------------


def test_metrics_are_what_prometheus_reads(endpoint: Endpoint) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    status, text, headers = ask(endpoint.address[1], "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    # Of an account without equity there is no age of it, and nobody has proven a restore.
    assert set(CATALOGUE) - families.keys() <= {"hybridstore_equity_age_seconds"}
    assert families.keys() <= set(CATALOGUE)
    assert all(one.type == "gauge" for one in families.values())
    for family in families.values():
        label = CATALOGUE[family.name].label
        assert all(set(sample.labels) == ({label} if label else set()) for sample in family.samples)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    status, text, headers = ask(endpoint.address[1], "/metrics", headers=accept)
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_health_is_json_with_reasons(root: Path, endpoint: Endpoint) -> None:
    port = endpoint.address[1]
    status, text, headers = ask(port, "/health")
    assert (status, headers["content-type"]) == (200, "application/json")
    told = json.loads(text)
    assert (told["state"], told["reasons"]) == ("ok", [])
    seeding.write_condition(root, last_error="StorageFull: no space left")
    status, text, _ = ask(port, "/health")
    assert status == 503
    assert "no space left" in json.loads(text)["reasons"][0]
    status, text, headers = ask(port, "/health", "HEAD")
    assert (status, text) == (503, "")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(endpoint: Endpoint, method: str) -> None:
    status, _, headers = ask(endpoint.address[1], "/metrics", method)
    assert status == (501 if method == "BREW" else 405)
    assert method == "BREW" or headers["allow"] == "GET, HEAD"


def test_other_paths_and_other_names_are_refused(endpoint: Endpoint) -> None:
    port = endpoint.address[1]
    for path in ("/", "/metrics/", "/../trading_bot.db", "/health%00", "/" + "x" * 1_000):
        assert ask(port, path)[0] == 404, path
    assert ask(port, "/health?x=1")[0] == 200
    for name in ("localhost", f"127.0.0.1:{port}", "[::1]:9464", "127.8.8.8"):
        assert ask(port, "/health", headers={"Host": name})[0] == 200, name
    for name in ("evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example"):
        assert ask(port, "/health", headers={"Host": name})[0] == 403, name


def test_rubbish_and_silence_do_no_harm(endpoint: Endpoint) -> None:
    port = endpoint.address[1]
    with socket.create_connection((HERE, port)) as silent, socket.create_connection((HERE, port)) as rude:
        rude.sendall(b"\x16\x03\x01\x00\xff" * 100 + b"\r\n\r\n")
        assert ask(port, "/health")[0] == 200
        silent.sendall(b"GET /metr")
        assert ask(port, "/health")[0] == 200


def test_without_prometheus_client_health_works_and_metrics_say_what_to_install(
    root: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert ask(endpoint.address[1], "/health")[0] == 200
    status, text, _ = ask(endpoint.address[1], "/metrics")
    assert status == 501
    assert "pip install 'hybridstore[metrics]'" in text
    observer = Observer(load_settings(root, {}))
    with pytest.raises(ConfigError, match="prometheus_client"):
        exposition(observer.figures())
    observer.close()


def test_a_port_in_use_is_told_and_the_block_runs_all_the_same(root: Path, endpoint: Endpoint) -> None:
    told: list[Exception] = []
    with serving(settings_of(root, port=endpoint.address[1]), told.append) as second:
        assert second is None
    assert isinstance(told[0], StorageFailure)
    assert f"cannot listen on 127.0.0.1 port {endpoint.address[1]}" in str(told[0])
    with serving(settings_of(root, host="192.0.2.1"), told.append) as third:
        assert third is None
    assert len(told) == 2
    with serving(settings_of(root, port=0), told.append) as none:
        assert none is None


def test_it_comes_and_goes_with_the_service(root: Path) -> None:
    settings, stop, answers = settings_of(root), threading.Event(), []

    def look(_report: object) -> None:
        answers.append(ask(settings.metrics.port, "/health"))
        stop.set()

    serve(settings, stop, on_report=look)
    ((status, text, _),) = answers
    assert (status, json.loads(text)["figures"]["maintenance"]) == (200, "running")
    with pytest.raises(ConnectionRefusedError):
        ask(settings.metrics.port, "/health")
    assert not [one for one in threading.enumerate() if one.name == "hybridstore-metrics"]
    assert maintenance_status(root)["state"] == "off"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_the_command_answers_until_it_is_told_to_end(root: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "hybridstore", "run", "--root", str(root), "--metrics-port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(seeding.REPOSITORY)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            try:
                status, _, _ = ask(port, "/health")
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    assert (status, child.returncode) == (200, 0), (out, err)


# -- once ------------------------------------------------------------------------------------------------------------


def test_the_textfile_is_replaced_whole(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    metrics_command.metrics(root=root)
    printed = capsys.readouterr().out
    target = tmp_path / "hybridstore.prom"
    target.write_text("old", encoding="utf-8")
    metrics_command.metrics(root=root, output=target)
    names = set(re.findall(r"^(hybridstore_\w+)", printed, re.MULTILINE))
    assert names == set(re.findall(r"^(hybridstore_\w+)", target.read_text(encoding="utf-8"), re.MULTILINE))
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
    with pytest.raises(StorageFailure, match="write metrics"):
        metrics_command.metrics(root=root, output=tmp_path / "no" / "folder.prom")


@pytest.mark.parametrize("wrong", [{"port": -1}, {"port": 65_536}, {"host": ""}, {"port": "9464"}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MetricsConfig(**wrong)


def test_health_names_no_credentials(root: Path, endpoint: Endpoint) -> None:
    seeding.write_condition(root, last_error="ArchiveUnreachable: s3://key:secret@bucket/bot does not answer")
    status, text, _ = ask(endpoint.address[1], "/health")
    assert status == 503
    assert "s3://***@bucket/bot does not answer" in text
    assert "secret" not in text


def test_invariants_ask_no_object_store(root: Path) -> None:
    seeding.execute(root, "UPDATE archive_files SET url = 's3://nowhere/bot', offloaded_at = 1")
    observer = Observer(load_settings(root, {}))
    begun_s = time.monotonic()
    assert figures(observer)["hybridstore_invariant_violations"]["archive-missing"] == 0
    assert time.monotonic() - begun_s < 5
    observer.close()
