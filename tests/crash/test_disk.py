"""The modelled disk keeps its own promises: what was synced is there, what was not is anybody's guess."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crash.disk import Crash
from tests.crash.images import STRATEGIES
from tests.crash.operations import (
    Create,
    Delete,
    MakeFolder,
    Operation,
    Rename,
    Sync,
    SyncFolder,
    Truncate,
    Write,
)

_DRAWS = 60


def _replay(*operations: Operation) -> Crash:
    crash = Crash()
    for operation in operations:
        crash.step(operation)
    return crash


def _images(crash: Crash, seed: int = 1) -> list[dict[str, bytes]]:
    rng = random.Random(seed)
    return [crash.image(rng, strategy) for _ in range(_DRAWS) for strategy in sorted(set(STRATEGIES))]


changes = st.lists(
    st.one_of(
        st.builds(Write, st.just(1), st.integers(0, 3_000), st.binary(min_size=1, max_size=1_500)),
        st.builds(Truncate, st.just(1), st.integers(0, 4_000)),
    ),
    max_size=8,
)


@given(synced=changes, unsynced=changes, seed=st.integers(0, 2**32))
def test_unsynced_changes_touch_only_the_bytes_they_are_about(
    synced: list[Operation], unsynced: list[Operation], seed: int
) -> None:
    operations = [Create("f", 1), *synced]
    operations += [Sync(1, 0, len(operations)), SyncFolder("", len(operations)), *unsynced]
    crash = _replay(*operations)
    durable = crash.image(random.Random(seed), "nothing")["f"]
    whole = crash.image(random.Random(seed), "everything")["f"]
    longest = max(len(durable), len(whole), *(getattr(change, "size_bytes", 0) for change in unsynced), 0)
    touched = bytearray(8_000)
    for change in unsynced:
        if isinstance(change, Write):
            touched[change.offset : change.offset + len(change.data)] = b"\1" * len(change.data)
            longest = max(longest, change.offset + len(change.data))
        else:
            assert isinstance(change, Truncate)
            touched[change.size_bytes :] = b"\1" * (8_000 - change.size_bytes)
    for strategy in STRATEGIES:
        content = crash.image(random.Random(seed), strategy)["f"]
        assert len(content) <= longest
        for place, byte in enumerate(durable):
            if not touched[place]:
                assert content[place] == byte


@given(synced=changes)
def test_a_synced_file_has_one_image_only(synced: list[Operation]) -> None:
    operations = [Create("f", 1), SyncFolder("", 1), *synced]
    crash = _replay(*operations, Sync(1, 0, len(operations)))
    assert len({image["f"] for image in _images(crash)}) == 1


def test_a_sync_covers_only_what_was_written_before_it_began() -> None:
    crash = _replay(
        Create("f", 1), SyncFolder("", 1), Write(1, 0, b"a" * 512), Write(1, 512, b"b" * 512), Sync(1, 0, 3)
    )
    contents = {image["f"] for image in _images(crash)}
    assert {content[:512] for content in contents} == {b"a" * 512}
    assert len(contents) > 1


def test_an_unsynced_write_is_torn_at_sectors() -> None:
    crash = _replay(Create("f", 1), SyncFolder("", 1), Write(1, 0, b"x" * 2_048))
    contents = {image["f"] for image in _images(crash)}
    assert {b"", b"x" * 2_048} <= contents
    assert any(b"x" in content and b"\0" in content for content in contents)
    for content in contents:
        assert all(len(set(content[start : start + 512])) == 1 for start in range(0, len(content), 512))


def test_names_are_durable_only_with_their_folder_and_its_folder() -> None:
    made = (MakeFolder("a"), MakeFolder("a/b"), Create("a/b/f", 1), Write(1, 0, b"x"), Sync(1, 0, 4))
    only_file = _replay(*made, SyncFolder("a/b", 5))
    assert {"a/b/f" in image for image in _images(only_file)} == {True, False}
    all_three = _replay(*made, SyncFolder("a/b", 5), SyncFolder("a", 5), SyncFolder("", 5))
    assert all(image == {"a/b/f": b"x"} for image in _images(all_three))


def test_a_rename_happens_whole_or_not_at_all() -> None:
    written = (Create("old", 1), Write(1, 0, b"x"), Sync(1, 0, 2), SyncFolder("", 3))
    names = {tuple(image) for image in _images(_replay(*written, Rename("old", "new")))}
    assert names == {("old",), ("new",)}
    synced = _replay(*written, Rename("old", "new"), SyncFolder("", 5))
    assert all(image == {"new": b"x"} for image in _images(synced))


def test_a_file_that_was_renamed_but_not_synced_may_be_empty_under_its_new_name() -> None:
    crash = _replay(Create("tmp", 1), Write(1, 0, b"x" * 700), Rename("tmp", "final"), SyncFolder("", 3))
    assert b"" in {image["final"] for image in _images(crash)}


def test_a_deleted_file_may_come_back_until_its_folder_is_synced() -> None:
    written = (Create("f", 1), SyncFolder("", 1), Delete("f"))
    assert {len(image) for image in _images(_replay(*written))} == {0, 1}
    assert {len(image) for image in _images(_replay(*written, SyncFolder("", 3)))} == {0}


def test_a_file_is_not_deleted_before_it_was_created() -> None:
    crash = _replay(Create("f", 1), Delete("f"), Create("f", 2), Write(2, 0, b"second"), Sync(2, 0, 4))
    assert {image.get("f") for image in _images(crash)} <= {None, b"", b"second"}


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(KeyError):
        _replay(Write(7, 0, b"x"))
