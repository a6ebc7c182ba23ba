"""What is known of a store's backups: the file the shipper writes, and what it means to an operator."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from hybridstore.durable import write_file
from hybridstore.records import Record

CONDITION_NAME = "status.json"


class BackupCondition(Record, frozen=True, gc=False):
    """How the backups of a store are doing; moments are us UTC by the machine's clock, 0 where there was none.

    Attributes:
        pid: The process that ships.
        epoch: The chain that is written.
        seq: Last commit that is safe.
        ts_us: Time of that commit, us UTC.
        polled_us: When the log was looked at last: every commit before is safe.
        frames: Frames shipped since the process began.
        lag_ms: How long the newest commit waited before it was safe, of the last that came, ms.
        archives_us: When archived files were looked at last: each that counted then has a copy.
        proven_us: When a moment was last restored and found equal to the store.
        proven_seq: The commit of that moment.
        mirrored_us: When everything that is no tail had last a copy below the mirror's URL.
        error: Why the log could not be shipped when it was looked at last; None where it could.
        work_error: Why the last full copy, copy of an archived file or proof failed; None where it did not.
        mirror_error: Why backups could not be copied below the mirror's URL when that was tried last; None where they
            could.
        gap: Why the chain could not be continued, of the last time in this process; None where it could.
    """

    pid: int
    epoch: int = 0
    seq: int = 0
    ts_us: int = 0
    polled_us: int = 0
    frames: int = 0
    lag_ms: float = 0.0
    archives_us: int = 0
    proven_us: int = 0
    proven_seq: int = 0
    mirrored_us: int = 0
    error: str | None = None
    work_error: str | None = None
    mirror_error: str | None = None
    gap: str | None = None

    def proven_in(self, other: BackupCondition) -> BackupCondition:
        """Return what another process says, with what stays true of what this one said: proofs and copies.

        Args:
            other: What it says.
        """
        return msgspec.structs.replace(
            other, proven_us=self.proven_us, proven_seq=self.proven_seq, mirrored_us=self.mirrored_us
        )


def write_condition(base: Path, condition: BackupCondition) -> None:
    """Write how it goes. A full disk keeps it from being told, and nothing else.

    Args:
        base: The folder of the backups.
        condition: What to write.
    """
    with suppress(OSError):
        write_file(base / CONDITION_NAME, msgspec.json.format(msgspec.json.encode(condition)))


def read_condition(base: Path) -> BackupCondition | None:
    """Read what the shipper wrote last.

    Args:
        base: The folder of the backups.

    Returns:
        Its words; None where none can be read.
    """
    try:
        return msgspec.json.decode((base / CONDITION_NAME).read_bytes(), type=BackupCondition)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
