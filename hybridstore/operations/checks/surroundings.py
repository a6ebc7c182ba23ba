"""What a store needs around it: versions, a configuration that can be read, memory. The store is not touched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hybridstore.config import CONFIG_NAME, ENVIRONMENT_PREFIX, load_settings
from hybridstore.errors import ConfigError
from hybridstore.hot.inspection import sqlite_versions
from hybridstore.operations.findings import Ailment, Case, ailment

PYTHON_MIN = (3, 11)
_MIB = 1 << 20
_NOWHERE = ".no-such-folder"
"""Where there is no configuration file: there a variable is looked at by itself."""
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may take, where this is one."""


def check_python(_case: Case, version: tuple[int, ...] = tuple(sys.version_info[:3])) -> list[Ailment]:
    """Compare the interpreter with the oldest that is supported."""
    if version[:2] >= PYTHON_MIN:
        return []
    told, least = ".".join(map(str, version)), ".".join(map(str, PYTHON_MIN))
    return [
        ailment("python-old", f"Python {told} runs this; {least} is the oldest", "install a newer Python")
    ]


def check_sqlite(_case: Case, version: int | None = None) -> list[Ailment]:
    """Compare SQLite with the oldest that is safe."""
    found = sqlite_versions()
    if (found.number if version is None else version) >= found.least:
        return []
    return [
        ailment(
            "sqlite-old",
            f"apsw brings SQLite {found.name if version is None else version}, and {found.least} is the oldest that "
            "is safe",
            "pip install -U apsw",
        )
    ]


def check_configuration(case: Case) -> list[Ailment]:
    """Read the configuration file, and each environment variable by itself, so that all that is wrong is told."""
    told: list[Ailment] = []
    own = {name: value for name, value in case.environment.items() if name.startswith(ENVIRONMENT_PREFIX)}
    elsewhere = own.pop("HYBRIDSTORE_CONFIG", None)
    try:
        load_settings(case.root, {} if elsewhere is None else {"HYBRIDSTORE_CONFIG": elsewhere})
    except (ConfigError, OSError) as error:
        told.append(ailment("config-invalid", str(error), "correct it, then: hybridstore config check FILE"))
    for name, value in own.items():
        try:
            load_settings(case.root / _NOWHERE, {name: value})
        except ConfigError as error:
            is_unknown = "is no setting" in error.message
            code = "environment-unknown" if is_unknown else "config-invalid"
            what = error.message if is_unknown else f"{name}={value!r}: {error.message}"
            told.append(
                ailment(code, what, f"unset {name}, or correct it; hybridstore config show lists all")
            )
    beside = case.root / CONFIG_NAME
    if elsewhere is not None and beside.is_file() and Path(elsewhere).absolute() != beside.absolute():
        what = f"HYBRIDSTORE_CONFIG names {elsewhere}, so {beside} is not read"
        told.append(ailment("config-ignored", what, "unset HYBRIDSTORE_CONFIG, or keep one of the two files"))
    return told


def check_memory(case: Case, total_mb: int | None = None) -> list[Ailment]:
    """Compare what questions may take with what the machine has."""
    total_mb = memory_mb() if total_mb is None else total_mb
    hot, asked = case.settings.database, case.settings.analytics
    told = []
    if total_mb is not None and asked.memory_limit_mb > total_mb:
        told.append(
            ailment(
                "memory-short",
                f"memory_limit_mb = {asked.memory_limit_mb}, and this machine has {total_mb} MiB",
                f"set memory_limit_mb of [analytics] to {max(total_mb // 2, 64)} or less",
            )
        )
    readers_mb = hot.cache_size_mb * hot.max_connections
    if total_mb is not None and readers_mb > total_mb:
        told.append(
            ailment(
                "memory-short",
                f"{hot.max_connections} readers with {hot.cache_size_mb} MiB each may take {readers_mb} MiB, and this "
                f"machine has {total_mb}",
                "lower cache_size_mb or max_connections of [database]",
            )
        )
    processors = os.cpu_count() or 1
    if asked.threads > processors:
        what = f"threads = {asked.threads}, and this machine has {processors} processors"
        told.append(ailment("threads-many", what, "set threads of [analytics] to 0: one a processor"))
    return told


def memory_mb() -> int | None:
    """Return how much memory this machine has.

    Returns:
        MiB; None where the system does not say.
    """
    if sys.platform == "win32":
        import ctypes

        kilobytes = ctypes.c_ulonglong(0)
        is_told = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return kilobytes.value // 1024 if is_told else None
    try:
        total_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    except (ValueError, OSError):
        return None
    try:
        return min(total_mb, int(_CONTAINER_LIMIT.read_text(encoding="ascii")) // _MIB)
    except (OSError, ValueError):  # there is none, or it says "max"
        return total_mb


CHECKS = (check_python, check_sqlite, check_configuration, check_memory)
