"""Where an archived file lies. Pure: names and paths as text, nothing is touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hybridstore.clock import DAY_US

ARCHIVES = "archives"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
"""What Windows takes for a device, whatever follows the first dot."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_name(name: str) -> str:
    """Make a name safe as part of a path on every system.

    Capitals, separators, NUL and everything outside a small set become %XX: ``A`` and ``a`` are one file on Windows
    and macOS, a device name such as CON cannot be a file there, and a dot at the end is cut off.

    Args:
        name: Any text.

    Returns:
        Text of lower-case letters, digits, ``-``, ``_``, ``.`` and ``%``: never empty, never a device, without a dot
        at either end. No two names give the same text.
    """
    encoded = "".join(
        character if character in _SAFE else "".join(f"%{byte:02x}" for byte in character.encode())
        for character in name
    )
    if not encoded:
        return "%"
    if encoded.startswith(".") or encoded.partition(".")[0] in _DEVICES:
        encoded = f"%{ord(encoded[0]):02x}{encoded[1:]}"
    return f"{encoded[:-1]}%2e" if encoded.endswith(".") else encoded


def unit_of(time_us: int) -> tuple[int, int]:
    """Return the UTC day a moment falls in.

    Args:
        time_us: Microseconds since 1970-01-01 UTC.

    Returns:
        First moment of the day and first moment after it, us UTC.
    """
    start_us = time_us // DAY_US * DAY_US
    return start_us, start_us + DAY_US


def partition_of(tier: str, time_us: int) -> tuple[int, int]:
    """Return the period of a tier's partition that a moment falls in: days, cold months, frozen years, all UTC.

    Args:
        tier: hot, warm, cold or frozen.
        time_us: Microseconds since 1970-01-01 UTC.

    Returns:
        First moment of the period and first moment after it, us UTC.
    """
    if tier not in {"cold", "frozen"}:
        return unit_of(time_us)
    at = _EPOCH + timedelta(microseconds=time_us)
    month = at.month if tier == "cold" else 1
    start = datetime(at.year, month, 1, tzinfo=UTC)
    years, month = divmod(month, 12) if tier == "cold" else (1, 0)
    end = datetime(at.year + years, month + 1, 1, tzinfo=UTC)
    return _microseconds(start), _microseconds(end)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def file_path(dataset: str, tier: str, start_us: int, end_us: int, file_id: str) -> str:
    """Return the path of a file that holds one UTC day, month or year of a dataset.

    Args:
        dataset: The dataset's name.
        tier: hot, warm, cold or frozen.
        start_us: First moment of the period, us UTC.
        end_us: First moment after it, us UTC.
        file_id: The file's id, unique for ever.

    Returns:
        Path relative to the root, with forward slashes.
    """
    first = _EPOCH + timedelta(microseconds=start_us)
    last = _EPOCH + timedelta(microseconds=end_us - 1)
    folder = f"year={first:%Y}"
    if last - first < timedelta(days=31):
        folder += f"/month={first:%m}"
    if last - first < timedelta(days=1):
        folder += f"/day={first:%d}"
    name = f"{encode_name(dataset)}-{tier}-{first:%Y%m%d}-{last:%Y%m%d}-{encode_name(file_id)}.parquet"
    return f"{ARCHIVES}/{tier}/{encode_name(dataset)}/{folder}/{name}"


def temporary_path(path: str) -> str:
    """Return the name a file has while it is being written, in the same folder.

    Args:
        path: Its final path.

    Returns:
        The temporary path; it ends in ``.tmp``.
    """
    return f"{path}.tmp"
