"""Flips, cuts, swaps and losses in every kind of file of a backup: a restore is right, or it says what is wrong."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from hybridstore.backup.repository import Repository
from hybridstore.backup.verification import verify_backups
from tests.faults.damaged_backups import Backups, build, damage, draw_question, files_of, kind_of, outcome

_KINDS = {
    "repo.json",
    "epochs.jsonl",
    "epochs-copy.jsonl",
    "newest.bin",
    ".db.zst",
    ".db",
    ".db.zst.json",
    ".db.json",
    ".wal.zst",
    ".wal",
    ".tail",
    ".parquet",
}


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """Return backups of several days in three chains."""
    return build(tmp_path_factory.mktemp("backups"), 7)


def _damage_many(folder: Path, backups: Backups, rng: random.Random, times: int) -> None:
    found: Counter[str] = Counter()
    problems: list[str] = []
    for number in range(times):
        base = folder / "damaged"
        shutil.rmtree(base, ignore_errors=True)
        shutil.copytree(backups.base, base)
        what = damage(base, backups.older, rng)
        question = draw_question(backups.known, rng)
        try:
            how = outcome(backups, base, question, folder / "restored")
            if number % 3 == 0:
                found[_verify(backups, base, what)] += 1
        except Exception as error:  # noqa: BLE001  the search goes on: all problems are told
            how = f"RAW {type(error).__name__}: {error}"
        found[how.split(":")[0]] += 1
        if how.split(":")[0] in ("RAW", "WRONG", "UNNAMED") or how.startswith("RAW"):
            problems.append(f"{number}: {what}, {question.target}: {how}")
    print(f"{times} damages: {dict(found)}")
    assert not problems, (len(problems), "\n".join(problems[:20]))
    assert min(found["refused"], found["right"], found["earlier, and said so"]) > 0


def _verify(backups: Backups, base: Path, what: str) -> str:
    """Prove damaged backups; it says what is wrong and does not fail."""
    told = verify_backups(Repository(base), "chain", backups.config)
    assert told.problems or not what.startswith("lose "), f"nobody noticed: {what}"
    return "verified; whole" if told.holds else "verified; told"


def test_backups_hold_every_kind_of_file(backups: Backups) -> None:
    assert {kind_of(path) for path in files_of(backups.base)} >= _KINDS
    assert {one.epoch for one in backups.known} == {1, 2, 3}
    assert any(one.files for one in backups.known if one.epoch == 1)


def test_what_is_not_damaged_is_restored(tmp_path: Path, backups: Backups, rng: random.Random) -> None:
    for _ in range(30):
        question = draw_question(backups.known, rng)
        how = outcome(backups, backups.base, question, tmp_path / "restored")
        assert how == ("right" if question.expected else "before the first"), (question, how)


@pytest.mark.timeout(120)
def test_damage_restores_nothing_wrong(tmp_path: Path, backups: Backups, rng: random.Random) -> None:
    _damage_many(tmp_path, backups, rng, 150)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_five_thousand_damages_restore_nothing_wrong(
    tmp_path: Path, backups: Backups, rng: random.Random
) -> None:
    _damage_many(tmp_path, backups, rng, 5_000)
