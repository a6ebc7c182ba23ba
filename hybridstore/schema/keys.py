"""Hashes of natural keys: eight bytes that say where to look, never that something was found."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

KEY_SEPARATOR = "\x1f"
"""Names hold no control characters, so no two keys join into one text."""
_BYTES = 8


def key_hash(dataset: str, key: Iterable[Any]) -> int:
    """Return the hash of a row's key.

    Args:
        dataset: Whose row.
        key: The stored forms of its key columns, in order.

    Returns:
        A signed 64-bit number.
    """
    return hash_text(KEY_SEPARATOR.join([dataset, *map(str, key)]))


def hash_text(text: str) -> int:
    """Return the hash of a key that was joined before.

    Args:
        text: Dataset and key columns, joined by :data:`KEY_SEPARATOR`.

    Returns:
        A signed 64-bit number.
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=_BYTES).digest(), "little", signed=True)
