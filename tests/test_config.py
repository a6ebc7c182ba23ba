"""Settings: an argument wins over the environment, that over the file; what is unknown or cannot work is named."""

from __future__ import annotations

import gc
import math
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore.config import (
    CONFIG_NAME,
    DATABASE_NAME,
    LIVE_SETTINGS,
    BackupConfig,
    DatabaseConfig,
    RetentionPolicy,
    default_root,
    load_settings,
)
from hybridstore.errors import ConfigError
from hybridstore.store import HybridStore


def write(root: Path, text: str) -> Path:
    path = root / CONFIG_NAME
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_gives_way_to_the_environment(tmp_path: Path) -> None:
    write(tmp_path, "[database]\nmax_connections = 5\ncache_size_mb = 64\ndurability = 'normal'\n")
    environment = {
        "HYBRIDSTORE_CACHE_SIZE_MB": "256",
        "HYBRIDSTORE_ENABLE_QUERY_CACHE": "false",
        "OTHER": "x",
    }
    found = load_settings(tmp_path, environment).database
    assert (found.max_connections, found.cache_size_mb, found.durability) == (5, 256, "normal")
    assert found.enable_query_cache is False
    assert found.busy_timeout_ms == DatabaseConfig().busy_timeout_ms
    assert found.path == tmp_path / DATABASE_NAME


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    values = {
        field.name: "7" if field.type in (int, float) else "true"
        for field in msgspec.structs.fields(DatabaseConfig)
        if field.type in (int, float, bool)
    }
    found = load_settings(
        tmp_path, {f"HYBRIDSTORE_{name.upper()}": value for name, value in values.items()}
    ).database
    for name in values:
        assert getattr(found, name) in {7, True}


def test_all_tables_of_the_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        "[backup]\nkeep_full_backups_days = 60\n"
        "[[retention]]\nname = 'a'\ntable_name = 'trades'\nhot_retention_days = 3\n"
        "[[retention]]\nname = 'b'\ntable_name = 'ledger'\n",
    )
    settings = load_settings(tmp_path, {})
    assert settings.backup.keep_full_backups_days == 60
    assert [policy.hot_retention_days for policy in settings.retention] == [3, 7]


def test_a_file_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "settings.toml"
    elsewhere.write_text("[database]\nreserve_mb = 0\n", encoding="utf-8")
    assert load_settings(tmp_path, {"HYBRIDSTORE_CONFIG": str(elsewhere)}).database.reserve_mb == 0
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_settings(tmp_path, {"HYBRIDSTORE_CONFIG": str(tmp_path / "absent.toml")})
    assert caught.value.path == str(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[database]\nmax_conections = 5\n", "max_conections"),
        ("[databse]\n", "databse"),
        ("[database]\nmax_connections = 'many'\n", "max_connections"),
        ("[database]\nmax_connections = 0\n", "max_connections=0"),
        ("[database]\ndurability = 'ful'\n", "durability"),
        ("database = 5\n", "database=5"),
        ("[[retention]]\nname = 'a'\n", "table_name"),
        ("[[retention]]\nname = 'a'\ntable_name = 'trades'\nhot_retention_days = 90\n", "hot 90 d"),
        ("[backup]\nkeep_full_backups_days = 0\n", "keep_full_backups_days=0"),
        ("[database\n", "not a TOML file"),
    ],
)
def test_what_the_file_says_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=named) as caught:
        load_settings(tmp_path, {})
    assert str(path) in str(caught.value) or caught.value.path is None


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a TOML file"):
        load_settings(tmp_path, {})


def test_what_the_environment_says_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HYBRIDSTORE_CACHE_SIZE is no setting") as caught:
        load_settings(tmp_path, {"HYBRIDSTORE_CACHE_SIZE": "1"})
    assert "HYBRIDSTORE_CACHE_SIZE_MB" in str(caught.value)
    with pytest.raises(ConfigError, match="max_connections"):
        load_settings(tmp_path, {"HYBRIDSTORE_MAX_CONNECTIONS": "many"})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"enable_wal_mode": False}, "enable_wal_mode=False"),
    ({"durability": "FULL"}, "durability='FULL'"),
    ({"durability": None}, "durability=None"),
    ({"max_connections": 0}, "max_connections=0"),
    ({"max_connections": "20"}, "max_connections='20'"),
    ({"max_connections": 2.5}, "max_connections=2.5"),
    ({"max_connections": True}, "max_connections=True"),
    ({"cache_size_mb": -1}, "cache_size_mb=-1"),
    ({"busy_timeout_ms": 0}, "busy_timeout_ms=0"),
    ({"reader_max_age_s": 0}, "reader_max_age_s=0"),
    ({"reader_max_age_s": math.nan}, "reader_max_age_s=nan"),
    ({"wal_checkpoint_mb": 0}, "wal_checkpoint_mb=0"),
    ({"wal_limit_mb": 0}, "wal_limit_mb=0"),
    ({"reserve_mb": -1}, "reserve_mb=-1"),
    ({"database_path": 5}, "database_path=5"),
    ({"page_checksums": "yes"}, "page_checksums='yes'"),
    ({"balance_query_timeout": 0}, "balance_query_timeout=0"),
]


@pytest.mark.parametrize(("settings", "named"), WRONG, ids=[case[1] for case in WRONG])
def test_settings_that_cannot_work_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DatabaseConfig(**settings)


def test_an_assignment_is_checked_like_an_argument() -> None:
    config = DatabaseConfig()
    for settings, named in WRONG:
        for name, value in settings.items():
            with pytest.raises(ConfigError, match=named):
                setattr(config, name, value)
    assert config == DatabaseConfig()
    with pytest.raises(ConfigError, match="cash_size_mb=256: there is no such setting") as caught:
        config.cash_size_mb = 256
    assert "cache_size_mb" in str(caught.value)
    config.durability = "normal"
    config.database_path = Path("x") / "y.db"  # type: ignore[assignment]  # a path may be a path
    assert (config.durability, config.path) == ("normal", Path("x/y.db"))


OTHER: dict[str, Any] = {
    "archive_url": "s3://bucket/prefix",
    "durability": "normal",
    "database_path": "other.db",
    "vfs": "mine",
}


def changed(name: str) -> Any:
    """Return a value a setting does not have by default."""
    default = getattr(DatabaseConfig(), name)
    return OTHER.get(name, not default if isinstance(default, bool) else default or 0)


@pytest.mark.parametrize("name", DatabaseConfig.__struct_fields__)
def test_a_setting_assigned_under_a_store_takes_effect_or_is_refused(name: str, tmp_path: Path) -> None:
    mine = DatabaseConfig(database_path=str(tmp_path / "a" / DATABASE_NAME))
    stores = [HybridStore(config=mine), HybridStore(tmp_path / "b", config=mine)]
    value = changed(name)
    if name in LIVE_SETTINGS:
        value = value if isinstance(value, bool) else value + 1
        setattr(mine, name, value)
        assert [getattr(store.config, name) for store in stores] == [value, value]
        setattr(stores[1].config, name, before := getattr(DatabaseConfig(), name))
        assert [getattr(store.config, name) for store in stores] == [value, before]
        assert getattr(mine, name) == value, "what one store is given is its own"
    else:
        for config in (mine, *(store.config for store in stores)):
            with pytest.raises(ConfigError, match=f"{name}=.*(decided when the store is made|leave it on)"):
                setattr(config, name, value)


def test_the_settings_that_can_be_assigned_are_documented() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "operating.md").read_text(encoding="utf-8")
    told = text.split("These take effect within", 1)[1].split("others are decided", 1)[0]
    assert set(re.findall(r"`(\w+)`", told)) == LIVE_SETTINGS


def test_settings_are_free_again_when_their_store_is_gone(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME))
    store = HybridStore(config=config)
    with pytest.raises(ConfigError, match="durability='normal'"):
        config.durability = "normal"
    mine = msgspec.structs.replace(config)
    mine.durability = "normal"
    assert store.config.durability == "full"
    del store
    gc.collect()
    config.durability = "normal"


def test_settings_can_be_compared_and_copied_under_a_store(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME))
    store = HybridStore(config=config)
    assert store.config == config
    assert "weakref" not in repr(config)
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301  what this test wrote itself


def test_a_path_may_be_a_path(tmp_path: Path) -> None:
    anything: Any = tmp_path / "x.db"
    assert DatabaseConfig(database_path=anything).path == tmp_path / "x.db"
    assert DatabaseConfig(database_path=anything).root == tmp_path


@pytest.mark.parametrize(
    "ages",
    [
        {"hot_retention_days": 0},
        {"hot_retention_days": 31},
        {"warm_retention_days": 366},
        {"frozen_retention_years": 0},
        {"cold_retention_days": 20},
        {"hot_retention_days": "7"},
        {"max_hot_records": -1},
    ],
)
def test_tiers_out_of_order_are_refused(ages: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"retention policy 'mine'|hot_retention_days='7'|max_hot_records=-1"
    ):
        RetentionPolicy(name="mine", table_name="trades", **ages)


def test_the_documents_settings() -> None:
    """The names and defaults of the requested system."""
    config = DatabaseConfig()
    assert (config.max_connections, config.cache_size_mb) == (20, 128)
    assert (config.balance_query_timeout, config.position_query_timeout) == (50, 100)
    backup = BackupConfig()
    assert (backup.full_backup_interval_hours, backup.incremental_backup_interval_hours) == (24, 6)
    assert backup.keep_full_backups_days == 30
    policy = RetentionPolicy(name="balance_history", table_name="balance_history")
    assert (policy.hot_retention_days, policy.warm_retention_days, policy.cold_retention_days) == (7, 30, 365)
    assert (policy.frozen_retention_years, policy.max_hot_records) == (7, 500_000)
    with pytest.raises(ConfigError):
        BackupConfig(full_backup_interval_hours=0)


def test_where_a_store_lives_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path))
    assert default_root() == tmp_path
    assert load_settings().database.path == tmp_path / DATABASE_NAME
    monkeypatch.delenv("HYBRIDSTORE_ROOT")
    found = default_root()
    assert found.is_absolute()
    assert found.name == (
        "trading_data" if sys.platform == "win32" and Path("D:/").exists() else "hybridstore"
    )
