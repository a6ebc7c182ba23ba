"""Examining a copy of a store in a test, and reading what was found."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hybridstore.operations.doctor import Examination, examine_store
from hybridstore.operations.findings import Finding

USUAL = {"backup-same-device"}
"""What a store has whose backups lie in its own folder."""


def examine(root: Path, *, thorough: bool = True, fix: bool = False) -> Examination:
    return examine_store(root, environment={}, thorough=thorough, fix=fix)


def codes(found: Examination) -> set[str]:
    return {one.code for one in found.findings} - USUAL


def only(found: Examination, code: str) -> Finding:
    (one, *_) = [one for one in found.findings if one.code == code]
    return one


def content(root: Path) -> dict[str, str]:
    """Return the hash of every file whose content is somebody's; nobody has the store open."""
    passing = ("-shm", ".lock", ".watermark")
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(passing)
    }
