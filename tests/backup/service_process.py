"""Whoever backs a store up, to be killed: ``python -m tests.backup.service_process ROOT``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from hybridstore.backup.service import BackupService
from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig


def _main(root: Path) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), wal_checkpoint_mb=1, wal_limit_mb=4)
    backup = BackupConfig(poll_interval_ms=10, segment_interval_s=0.1, full_backup_interval_hours=0.001)
    stop = threading.Event()
    service = BackupService(
        config,
        backup,
        SystemClock(),
        stop,
        on_error=lambda error: print(f"error {error!r}", file=sys.stderr, flush=True),
        on_gap=lambda said: print(f"gap {said}", file=sys.stderr, flush=True),
        archives_every_s=0.1,
    )
    service.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    service.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
