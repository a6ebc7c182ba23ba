"""Making, examining, configuring, migrating and watching a store on the command line."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore import HybridStore
from hybridstore.cli.app import CONFIG
from hybridstore.config import CONFIG_NAME, DATABASE_NAME, DatabaseConfig, Settings, load_settings
from hybridstore.errors import SchemaMismatch
from hybridstore.operations.migrating import migrate_store
from hybridstore.operations.settings_told import EXAMPLES, example_file, sections
from hybridstore.schema.migrations import MIGRATIONS, Migration
from tests.operations import seeding
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
SECOND = Migration(
    2, "remember_the_weather", ("CREATE TABLE weather (day INTEGER PRIMARY KEY, rain REAL) STRICT",)
)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("HYBRIDSTORE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with HybridStore(folder) as store:
        store.record_balance_update("USDT", "1000.50", "50.25", "websocket")
    return folder


# -- init and config -------------------------------------------------------------------------------------------------


def test_init_makes_a_store_and_a_file_that_changes_nothing(tmp_path: Path, run: Run) -> None:  # noqa: F811
    folder = tmp_path / "new store"
    code, out, err = run("init", str(folder))
    assert (code, err) == (0, "")
    assert f"hybridstore doctor --root {folder}" in out
    assert load_settings(folder, {}) == load_settings(tmp_path / "nowhere", {}).__class__(
        database=DatabaseConfig(database_path=str(folder / DATABASE_NAME))
    )
    if os.name == "posix":
        assert (folder / CONFIG_NAME).stat().st_mode & 0o777 == 0o600
    with HybridStore(folder) as store:
        store.record_balance_update("USDT", 1)
    before = (folder / DATABASE_NAME).read_bytes()
    code, _, err = run("init", "--root", str(folder))
    assert code == 1
    assert "there is a store here" in err
    assert (folder / DATABASE_NAME).read_bytes() == before


def test_init_makes_no_store_where_one_was(root: Path, run: Run) -> None:  # noqa: F811
    (root / DATABASE_NAME).unlink()
    code, _, err = run("init", str(root))
    assert code == 1
    assert ".watermark" in err
    assert not (root / DATABASE_NAME).exists()


def test_init_with_checksums_says_so_in_the_file(tmp_path: Path, run: Run) -> None:  # noqa: F811
    assert run("init", str(tmp_path / "s"), "--page-checksums")[0] == 0
    assert load_settings(tmp_path / "s", {}).database.page_checksums
    with HybridStore(tmp_path / "s") as store:
        assert store.config.page_checksums


def test_every_line_of_the_file_shows_a_setting_with_its_default(tmp_path: Path, run: Run) -> None:  # noqa: F811
    code, printed, _ = run("init", "--print")
    assert (code, printed) == (0, example_file())
    assert max(map(len, printed.splitlines())) < 110
    lines = []
    for line in printed.splitlines():
        setting = re.match(r"# (\w+ = .*|\[\[retention\]\])$", line)
        lines.append(setting[1] if setting and "# for example" not in line else line)
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = load_settings(tmp_path, {"HYBRIDSTORE_CONFIG": str(path)})
    (policy,) = found.retention
    assert (policy.table_name, policy.hot_retention_days) == ("market_trades", 7)
    assert msgspec.structs.replace(found, retention=()) == Settings(
        database=DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME))
    )
    fields = [field for kind in sections().values() for field in msgspec.structs.fields(kind)]
    assert {field.name for field in fields if field.default is None} == EXAMPLES.keys()
    assert all(re.search(rf"^# {field.name} = ", printed, re.MULTILINE) for field in fields)
    path.write_text(printed.replace("# archive_url", "archive_url"), encoding="utf-8")
    assert run("config", "check", str(path))[0] == 0


def test_show_tells_where_each_value_came_from_and_no_secret(
    root: Path,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeding.configure(
        root,
        "[database]\ncache_size_mb = 64\nmax_connections = 5\n"
        "[backup]\nmirror_url = 's3://key:secret@bucket/backups?token=hidden'\n"
        "[[retention]]\nname = 'ticks'\ntable_name = 'market_trades'\n",
    )
    monkeypatch.setenv("HYBRIDSTORE_CACHE_SIZE_MB", "256")
    monkeypatch.setenv("HYBRIDSTORE_MAINTENANCE", "off")
    code, out, _ = run("config", "show", "--root", str(root), "--json")
    assert code == 0
    found = {f"{one['section']}.{one['name']}": one for one in json.loads(out)}
    told = {name: (one["value"], one["source"], one["where"]) for name, one in found.items()}
    path = str(root / CONFIG_NAME)
    assert told["database.cache_size_mb"] == (256, "environment", "HYBRIDSTORE_CACHE_SIZE_MB")
    assert told["database.max_connections"] == (5, "file", path)
    assert told["database.durability"] == ("full", "default", None)
    assert told["database.database_path"] == (str(root / DATABASE_NAME), "argument", "--root")
    assert told["maintenance.mode"] == ("off", "environment", "HYBRIDSTORE_MAINTENANCE")
    assert told["backup.mirror_url"] == ("s3://***@bucket/backups?token=***", "file", path)
    assert told["retention.ticks"][1:] == ("file", path)
    assert all(one["means"] for name, one in found.items() if not name.startswith("retention."))
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(root))
    code, out, _ = run("config", "show")
    assert code == 0
    assert "HYBRIDSTORE_ROOT" in out.replace("\n", "")
    monkeypatch.setenv("HYBRIDSTORE_DATABASE_PATH", str(root / "other.db"))
    code, out, _ = run("config", "show", "--json")
    (one,) = [one for one in json.loads(out) if one["name"] == "database_path"]
    assert (one["value"], one["where"]) == (str(root / "other.db"), "HYBRIDSTORE_DATABASE_PATH")
    assert "key:secret" not in out
    assert "hidden" not in out


def test_check_names_what_is_wrong(tmp_path: Path, run: Run) -> None:  # noqa: F811
    path = tmp_path / "a.toml"
    path.write_text("[analytics]\nthreads = -2\n", encoding="utf-8")
    code, _, err = run("config", "check", str(path))
    assert code == 1
    assert "threads=-2" in err
    code, _, err = run("config", "check", str(tmp_path / "none.toml"))
    assert code == 1
    assert "there is no such file" in err
    for name, told in CONFIG.items():
        assert run("config", name, "--help")[0] == 0
        assert getattr(import_module("hybridstore.cli.config"), name).__doc__ == told


# -- migrate -------------------------------------------------------------------------------------------------------


def test_a_new_store_has_nothing_to_migrate(root: Path, run: Run) -> None:  # noqa: F811
    code, out, _ = run("migrate", "--root", str(root), "--json")
    report = json.loads(out)
    newest = MIGRATIONS[-1].version
    assert (code, report["before"], report["after"], report["steps"]) == (0, newest, newest, [])
    assert "nothing to do" in run("migrate", "--root", str(root))[1]


def test_each_step_is_told_before_and_run_after_a_backup(root: Path) -> None:
    config, known = load_settings(root, {}).database, (*MIGRATIONS, SECOND)
    planned = migrate_store(config, dry_run=True, migrations=known)
    assert [(one.version, one.name, one.backup) for one in planned.steps] == [(2, SECOND.name, None)]
    assert not (root / "backups").exists()
    done = migrate_store(config, migrations=known)
    (step,) = done.steps
    assert (done.before, done.after, step.name) == (1, 2, SECOND.name)
    assert step.backup is not None
    with seeding.connected(Path(step.backup)) as copy:
        assert copy.pragma("user_version") == 1
    assert [one["version"] for one in done.history] == [1, 2]
    assert migrate_store(config, migrations=known).steps == ()
    with pytest.raises(SchemaMismatch, match="schema version 2, this hybridstore knows 1"):
        migrate_store(config, migrations=MIGRATIONS)


def test_a_newer_store_is_refused_in_words(root: Path, run: Run) -> None:  # noqa: F811
    seeding.execute(root, "PRAGMA user_version = 99")
    for arguments in (["migrate"], ["migrate", "--dry-run"]):
        code, _, err = run(*arguments, "--root", str(root))
        assert code == 1
        assert "schema version 99" in err
        assert "pip install -U hybridstore" in err.replace("\n", " ")


def test_a_dry_run_tells_and_changes_nothing(root: Path, run: Run) -> None:  # noqa: F811
    seeding.execute(root, "PRAGMA user_version = 0")
    before = (root / DATABASE_NAME).read_bytes()
    code, out, _ = run("migrate", "--root", str(root), "--dry-run")
    assert code == 0
    assert "1 first_release would be run" in out
    assert (root / DATABASE_NAME).read_bytes() == before


# -- status --watch --------------------------------------------------------------------------------------------------


def test_watch_shows_each_look(root: Path, run: Run) -> None:  # noqa: F811
    code, out, _ = run(
        "status", "--root", str(root), "--watch", "--times", "3", "--interval-s", "0.01", "--json"
    )
    looks = [json.loads(line) for line in out.splitlines()]
    assert (code, len(looks)) == (0, 3)
    assert {look["commit_seq"] for look in looks} == {looks[0]["commit_seq"]}
    code, out, _ = run("status", "--root", str(root), "--watch", "--times", "1")
    assert code == 0
    assert "market_trades" in out
    for wrong in (["--diagnose"], ["--interval-s", "0"], ["--times", "0"]):
        assert run("status", "--root", str(root), "--watch", *wrong)[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_watching_well(root: Path) -> None:
    command = [sys.executable, "-m", "hybridstore", "status", "--root", str(root), "--watch", "--json"]
    environment = os.environ | {"PYTHONPATH": str(seeding.REPOSITORY)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert json.loads(child.stdout.readline())["root"] == str(root)
        begun_s = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0, child.stderr.read()
        assert child.stderr.read() == ""
        assert time.monotonic() - begun_s < 10


# -- doctor --------------------------------------------------------------------------------------------------------


def answer(run: Run, root: Path, *options: str) -> tuple[int, dict[str, Any]]:  # noqa: F811
    code, out, _ = run("doctor", "--root", str(root), "--json", *options)
    found = json.loads(out)
    return code, {one["code"]: one for one in found["findings"]}


def test_doctor_explains_and_fixes_only_when_asked(root: Path, run: Run) -> None:  # noqa: F811
    (root / ".reserve").unlink()
    code, out, err = run("doctor", "--root", str(root), "--quick")
    assert (code, err) == (0, ""), "warnings and notes are no errors"
    assert "note reserve-missing: there is no reserve file of 1 MiB" in out
    assert "--fix would: set 1 MiB aside" in out
    assert not (root / ".reserve").exists()
    code, out, _ = run("doctor", "--root", str(root), "--quick", "--fix", "--yes")
    assert code == 0
    assert "done: 1 MiB are set aside" in out
    assert (root / ".reserve").exists()
    assert "reserve-missing" not in answer(run, root, "--quick")[1]


def test_doctor_ends_with_1_where_there_are_errors(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    seeding.execute(root, "ALTER TABLE trades ADD COLUMN x TEXT")
    code, found = answer(run, root)
    assert code == 1
    assert found["schema-changed"]["severity"] == "error"
    code, out, _ = run("doctor", "--root", str(tmp_path / "nothing"))
    assert code == 1
    assert "error root-missing" in out
    assert "the store was not opened" in out


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "is_done"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_on_a_terminal_each_repair_is_asked_for(
    root: Path,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    is_done: bool,  # noqa: FBT001  of a table
) -> None:
    (root / ".reserve").unlink()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    code, out, _ = run("doctor", "--root", str(root), "--quick", "--fix")
    assert code == 0
    assert "set 1 MiB aside? [y/N]" in out
    assert (root / ".reserve").exists() == is_done
